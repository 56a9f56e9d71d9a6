"""How much memory does sharing save over time, and how much of what is possible does the scan find?

Method: the host's rows of the table savings: machine pages reclaimed by the scan, beside those that sharing every two equal
pages would reclaim at the same moment.
Wants: any replay with a sharing stage (``--preset sharing``).
Source: Waldspurger 2002, section 4.4, Figures 4 and 5.
"""

import altair as alt
import polars as pl

import tracekit as tk

MIB = 256  # pages


def table(results: tk.Results) -> pl.LazyFrame:
    """One row a variant, trace and moment: t (s), found, possible, zero (MiB), part (of what is possible)."""
    host = results.savings.filter(pl.col("vm") == "*")
    return host.select(
        "variant",
        "trace",
        t=pl.col("t") / 1e9,
        found=pl.col("reclaimed") / MIB,
        possible=pl.col("possible_reclaimed") / MIB,
        zero=pl.col("zero") / MIB,
        part=pl.col("reclaimed") / pl.col("possible_reclaimed"),
    )


def chart(frame: pl.DataFrame) -> alt.FacetChart:
    """Found, possible and zero pages over time, a panel a trace."""
    return (
        alt.Chart(alt.Data(values=frame.to_dicts()))
        .transform_fold(["found", "possible", "zero"], as_=["series", "MiB"])
        .mark_line(interpolate="step-after")
        .encode(
            alt.X("t:Q", title="trace time (s)"),
            alt.Y("MiB:Q", title="memory (MiB)"),
            alt.Color("series:N", title=None),
            alt.Detail("variant:N"),
        )
        .facet("trace:N")
    )
