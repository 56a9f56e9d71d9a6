"""How does sharing grow with the number of VMs?

Method: the contents at the end of a trace of similar VMs, with the first 1, 2, … of them alone, every two equal pages
shared. Zero pages apart, because they are what one VM shares with itself.
Wants: traces with contents of similar VMs; no replay.
Source: Waldspurger 2002, section 4.4, Figure 4 (1 … 10 identical VMs: 67 % of pages shared, nearly 60 % reclaimed; one VM
alone reclaims nearly 5 MB, about 55 % of it zero pages).
"""

import altair as alt
import polars as pl
from contents import MIB, last_contents

from tracekit.duplicates import by_vm
from tracekit.trace import Trace


def table(trace: Trace) -> pl.LazyFrame:
    """One row a number of VMs: vms, memory, shared, reclaimed, zero (of reclaimed), frames (all MiB), and parts of memory."""
    digest, told, owner = last_contents(trace)
    rows = []
    for n in range(1, len(trace.vms) + 1):
        counts = by_vm(digest, told & (owner < n), owner, len(trace.vms), trace.zero_digest)
        pages, shared, distinct, zero = (int(counts[name].sum()) for name in ("pages", "shared", "distinct", "reclaimed_zero"))
        rows.append((trace.name, trace.synthetic, n, pages, shared, pages - distinct, zero))
    names = ("memory", "shared", "reclaimed", "zero")
    frame = pl.LazyFrame(rows, schema=["trace", "synthetic", "vms", *names], orient="row")
    parts = [(pl.col(name) / pl.col("memory")).alias(f"{name}_part") for name in ("shared", "reclaimed")]
    of_zero = (pl.col("zero") / pl.col("reclaimed")).alias("zero_part")
    return frame.with_columns(*parts, of_zero).with_columns(pl.col(names) / MIB)


def chart(frame: pl.DataFrame) -> alt.FacetChart:
    """Memory, shared, reclaimed and zero pages over the number of VMs, a panel a trace; synthetic ones say so."""
    named = frame.with_columns(trace=pl.col("trace") + pl.when("synthetic").then(pl.lit(" (synthetic)")).otherwise(pl.lit("")))
    return (
        alt.Chart(alt.Data(values=named.to_dicts()))
        .transform_fold(["memory", "shared", "reclaimed", "zero"], as_=["series", "MiB"])
        .mark_line(point=True)
        .encode(
            alt.X("vms:Q", title="VMs", axis=alt.Axis(tickMinStep=1)),
            alt.Y("MiB:Q", title="memory (MiB)"),
            alt.Color("series:N", title=None, sort=["memory", "shared", "reclaimed", "zero"]),
        )
        .facet("trace:N")
        .resolve_scale(x="independent", y="independent")
    )
