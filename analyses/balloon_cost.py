"""What does it cost a guest to be ballooned down, rather than to have been configured with less memory?

Method: Figure 2. A guest of the trace's size whose balloon takes all but ``size`` from the first row on (balloon.esx with
``targets``), against the same guest configured with ``size`` (balloon.native with ``memory``), by the guest's page-ins and
page-outs priced by tracekit.report.cost. The difference is what the bigger guest's kernel keeps for memory that it does not
have (balloon.per_page, 64 bytes a page in Linux). The paper: 4.4 % at half the size to 1.4 % at seven eighths, dbench with
40 clients in a Linux VM of 256 MB.

What it finds for the real traces/balloon-workload, a guest of 192 MiB under LRU: 0.3 % at half the size, 0.06 % at 112 MiB
and next to nothing above. Its memory holds no more than this when 1.5 MiB are lost; the paper's dbench lives on its file
cache, and its kernel kept more for each page than struct page alone (what else is a matter of ``balloon.per_page``).
For the synthetic file server `dbench` (seed 7, 120 s, balloon.guest=lru) it finds 0.54, 0.47, 0.37 and 0.25 % at 128, 160,
192 and 224 MiB: the paper's slope, an eighth of its height.
Wants: balloon.module=esx,native with balloon.targets=0s=128MiB,… and the same sizes in balloon.memory, paging.module=unbounded.
Source: Waldspurger 2002, section 3.2 and Figure 2.
"""

import altair as alt
import polars as pl

import tracekit as tk
from tracekit.report.cost import Costs, slowdowns

#: Overhead that the paper reports, by part of the configured size.
PAPER = {0.5: 4.4, 0.875: 1.4}


def table(results: tk.Results, costs: Costs | None = None) -> pl.LazyFrame:
    """One row a trace and size: ``part`` of the configured size, time taken over the trace's when ``ballooned`` and when
    ``configured`` so, ``overhead`` (%) of the one over the other, page-ins of both, ``synthetic``. One VM a trace."""
    sizes = pl.col("vms").str.extract(r"=(\d+)$").cast(pl.Int64)
    runs = results.runs.select("variant", "trace", "synthetic", pages=sizes)
    params = results.params("balloon.module").select("variant", module="balloon.module")
    kept = results.table("balloon").group_by("variant", "trace").agg(kept=pl.col("target").sort_by("t").last())
    ins = results.faults.select("variant", "trace", ins="guest_major")
    frame = slowdowns(results, costs).join(params, on="variant")
    for more in (ins, kept, runs):
        frame = frame.join(more, on=["variant", "trace"])

    def side(module: str, name: str) -> pl.LazyFrame:
        mine = frame.filter(pl.col("module") == module)
        return mine.select("trace", "kept", "pages", "synthetic", pl.col("slowdown").alias(name), pl.col("ins").alias(f"{name}_ins"))

    both = side("esx", "ballooned").join(side("native", "configured").drop("pages", "synthetic"), on=["trace", "kept"])
    overhead = (pl.col("ballooned") / pl.col("configured") - 1) * 100
    of_pages = {"size": pl.col("kept") / 256, "part": pl.col("kept") / pl.col("pages"), "overhead": overhead}
    return both.with_columns(**of_pages).drop("kept", "pages").sort("trace", "part")


def chart(frame: pl.DataFrame) -> alt.LayerChart:
    """Overhead by part of the configured size, the paper's two ends beside it."""
    kind = pl.when(pl.col("synthetic")).then(pl.lit(" (synthetic)")).otherwise(pl.lit(" (real)"))
    shown = frame.select("part", "overhead", series=pl.col("trace") + kind)
    paper = pl.DataFrame({"part": list(PAPER), "overhead": list(PAPER.values()), "series": ["the paper: dbench (real)"] * len(PAPER)})
    part = alt.X(
        "part:Q", title="memory left, of what the guest was configured with", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)
    )
    return (
        alt.Chart(alt.Data(values=pl.concat([shown, paper]).to_dicts()), title="Ballooned down against configured so (Figure 2)")
        .mark_line(point=True)
        .encode(part, alt.Y("overhead:Q", title="overhead of ballooning (%)"), alt.Color("series:N", title=None))
        .properties(width=420, height=260)
    )
