"""How long do equal pages go unfound?

Method: the table discovery: from the moment two pages are equal until the page is shared, over all pages that a scheme
shared; beside it what a random scan must take: 1.5 P/r on average for a pair among P pages scanned at r a second.
Wants: ``--preset sharing`` with several schemes in sharing.module, at several sharing.rate.
Source: Waldspurger 2002, section 4.3 (random scan); the expectation by hand: the later of two visits, each exponential.
"""

import altair as alt
import polars as pl

import tracekit as tk


def table(results: tk.Results) -> pl.LazyFrame:
    """One row a variant, trace and VM: module, rate, found, missed, mean, p10, p50, p90, p99 (s) and expected (s)."""
    pages = results.savings.group_by("variant", "trace", "vm", maintain_order=True).last().select("variant", "trace", "vm", "pages")
    params = results.params("sharing.module", "sharing.rate")
    rate = pl.col("sharing.rate").cast(pl.Float64, strict=False)
    return (
        results.discovery.filter(pl.col("vm") != "*")
        .join(pages, on=["variant", "trace", "vm"])
        .join(params, on="variant")
        .with_columns(expected=1.5 * pl.col("pages") / rate)
        .select(
            "variant", "trace", "vm", "sharing.module", "sharing.rate", "found", "missed", "mean", "p10", "p50", "p90", "p99", "expected"
        )
        .sort("trace", "sharing.module", "sharing.rate", "vm")
    )


def chart(frame: pl.DataFrame) -> alt.FacetChart:
    """From the 10th to the 99th percentile (line), from the median to the 90th (bar), the mean (black) and what a random scan
    must take on average (red), a row a module, rate and VM, a panel a trace."""
    rate = pl.col("sharing.rate").cast(pl.Float64, strict=False)
    labelled = (
        frame.with_columns(rate=rate, module="sharing.module")
        .sort("module", "rate", "vm")
        .with_columns(case=pl.format("{} {}/s {}", "module", "sharing.rate", "vm"))
        .select(pl.exclude("sharing.module", "sharing.rate"))
    )
    base = alt.Chart().encode(alt.Y("case:N", title=None, sort=None))
    span = base.mark_rule().encode(alt.X("p10:Q", title="time until shared (s)", scale=alt.Scale(type="log")), alt.X2("p99:Q"))
    box = base.mark_bar(height=8).encode(alt.X("p50:Q"), alt.X2("p90:Q"), alt.Color("module:N"))
    tick = {"thickness": 3}
    mean = base.mark_tick(color="black", **tick).encode(alt.X("mean:Q"))
    expected = base.mark_tick(color="red", **tick).encode(alt.X("expected:Q"))
    return alt.layer(span, box, mean, expected, data=alt.Data(values=labelled.to_dicts())).facet("trace:N")
