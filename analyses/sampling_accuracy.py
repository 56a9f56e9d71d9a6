"""How well does statistical sampling follow the pages that a VM really uses?

Method: for each sampling period, the truth from the trace (distinct pages touched) beside the period's own sample with its
95 % interval and the estimate that the host acts on, the larger of the slow and the fast moving average.
Source: Waldspurger 2002, section 5.3 and Figure 6; reviewers missed the accuracy.
"""

import sys

import altair as alt
import polars as pl

import tracekit as tk

MIB = 256  # pages


def table(results: tk.Results) -> pl.LazyFrame:
    """One row a variant, VM and period: t (s), truth, sampled, low, high, acted_on (all MiB), covered."""
    sizes = pl.col("vms").str.extract_groups(r"(?<vm>\S+)=(?<pages>\d+)")
    one = (
        results.runs.select("variant", "trace", pl.col("vms").str.split(" ")).explode("vms").select("variant", "trace", sizes).unnest("vms")
    )
    sampled = pl.col("touched") / pl.col("n") * pl.col("pages").cast(pl.Int64)
    return (
        results.sampling.join(one, on=["variant", "trace", "vm"])
        .with_columns(covered=(pl.col("low") <= pl.col("active")) & (pl.col("active") <= pl.col("high")))
        .select(
            "variant", "trace", "vm", "covered",
            t=pl.col("t") / 1e9, truth=pl.col("active") / MIB, sampled=sampled / MIB, low=pl.col("low") / MIB, high=pl.col("high") / MIB,
            acted_on=pl.col("estimate") / MIB,
        )
    )  # fmt: skip


def chart(frame: pl.DataFrame) -> alt.FacetChart:
    """Truth and estimates over time, with the band of the periods' intervals, a panel a VM."""
    time = alt.X("t:Q", title="trace time (s)")
    size = alt.Y("low:Q", title="memory in use (MiB)")
    band = alt.Chart().mark_area(opacity=0.2, interpolate="step-before").encode(time, size, alt.Y2("high:Q"))
    lines = (
        alt.Chart()
        .transform_fold(["truth", "sampled", "acted_on"], as_=["series", "MiB"])
        .mark_line(interpolate="step-before")
        .encode(time, alt.Y("MiB:Q"), alt.Color("series:N", title=None))
    )
    return alt.layer(band, lines, data=alt.Data(values=frame.to_dicts())).facet("vm:N")


if __name__ == "__main__":
    chart(table(tk.open(sys.argv[1])).collect()).save(sys.argv[2])
