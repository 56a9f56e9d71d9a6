"""How long do pages share a frame, and why do they cease to?

Method: the table churn: of every time that a page shared a frame, how long that lasted, by what ended it; pages that share
still at the end are shown apart, as theirs are times so far. Seen from report to report: times are exact to within one.
Wants: any replay with a sharing stage, with a replay.report as fine as times are wanted.
Source: copy-on-write (Waldspurger 2002, section 4.1); a short life is a scan and a break paid for little memory.
"""

import altair as alt
import polars as pl

import tracekit as tk


def table(results: tk.Results) -> pl.LazyFrame:
    """One row a variant, trace, VM and reason: module, why, pages, mean, p10, p50, p90, p99 (s), and part: of that VM's pages."""
    return (
        results.churn.filter((pl.col("vm") != "*") & (pl.col("pages") > 0))
        .join(results.params("sharing.module"), on="variant")
        .with_columns(part=pl.col("pages") / pl.col("pages").sum().over("variant", "trace", "vm"))
        .select("variant", "trace", "sharing.module", "vm", "why", "pages", "part", "mean", "p10", "p50", "p90", "p99")
        .sort("trace", "sharing.module", "vm", "why", "variant")
    )


def chart(frame: pl.DataFrame) -> alt.FacetChart:
    """From the 10th to the 90th percentile (line) and the median (dot, as large as its pages), a row a module and VM."""
    labelled = frame.with_columns(case=pl.format("{} {}", "sharing.module", "vm")).select(pl.exclude("sharing.module"))
    base = alt.Chart().encode(alt.Y("case:N", title=None), alt.YOffset("why:N"), alt.Color("why:N", title="ended by"))
    scale = alt.Scale(type="symlog")
    span = base.mark_rule().encode(alt.X("p10:Q", title="time shared (s)", scale=scale), alt.X2("p90:Q"))
    median = base.mark_circle(opacity=1).encode(alt.X("p50:Q", scale=scale), alt.Size("pages:Q"))
    return alt.layer(span, median, data=alt.Data(values=labelled.to_dicts())).facet("trace:N")
