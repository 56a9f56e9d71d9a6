"""Random or LRU? Which policy should a host page by, if the guests page as well?

Method: the matrix of host policies and guest policies (balloon.guest), each over several seeds; page-ins of both, double
paging (pages that the host read in only for the guest to write them out), page-outs of the host for nothing (the guest
dropped the page), and the slowdown by the cost model of tracekit.report.cost with 95 % intervals over seeds (Student's t).

What it finds on balloon-workload, its guest ballooned to 128, 96 and 112 MiB on a host of 105 MiB, 5 seeds: by page-ins of the
host OPT 16 000, CLOCK 46 000, LRU 64 000, random 68 000; by slowdown, under a two-list guest, 1.063, 1.104, 1.129, 1.132, and 0.028
more each under a random guest. Intervals are below ± 0.001. Random pages 7 to 8 % fewer pages twice than CLOCK and LRU do, as
the paper hopes, but these 1 400 and 1 700 pages cost it 22 300 and 4 300 more page-ins: CLOCK would have been the better choice here.
Wants: ``--preset balloon`` with several policies in paging.module and balloon.guest, over replay.seed, in memory short enough for
both to page.
Source: Waldspurger 2002, section 3.3: the host's choice is random, to avoid interplay with the guest's policy.
"""

import altair as alt
import polars as pl

import tracekit as tk
from tracekit.report.cost import Costs, over_seeds, slowdowns


def table(results: tk.Results, costs: Costs | None = None) -> pl.LazyFrame:
    """One row a trace, host policy and guest policy, means over seeds and VMs' sums: host_ins, guest_ins, double_paged,
    wasted_outs, and slowdown of the slowest VM with low, high and seeds. Where there is no balloon the guest is ``none``."""
    key = ["trace", "host", "guest"]
    guest = pl.col("balloon.guest").fill_null("none")
    variants = results.params("paging.module", "balloon.guest").select("variant", host="paging.module", guest=guest)
    last = results.table("balloon").group_by("variant", "trace", "vm").agg(pl.col("dropped_swapped").sort_by("t").last())
    counts = results.faults.join(last, on=["variant", "trace", "vm"], how="left").group_by("variant", "trace").agg(
        host_ins=pl.col("major").sum(), guest_ins=pl.col("guest_major").sum(), double_paged=pl.col("double_paged").sum(),
        wasted_outs=pl.col("dropped_swapped").sum(),
    )  # fmt: skip
    slowest = slowdowns(results, costs).group_by("variant", "trace").agg(pl.col("slowdown").max())
    means = counts.join(variants, on="variant").group_by(key).agg(pl.col("host_ins", "guest_ins", "double_paged", "wasted_outs").mean())
    return means.join(over_seeds(slowest.join(variants, on="variant"), key, "slowdown"), on=key).sort(key)


def chart(frame: pl.DataFrame) -> alt.HConcatChart:
    """The matrix as two heat maps: double-paged pages and slowdown, the host's policy down, the guest's across."""
    half = ((pl.col("high") - pl.col("low")) / 2).fill_null(0)
    spoken = pl.format("{} ± {}", pl.col("slowdown").round(3), half.round(3))
    data = alt.Data(values=frame.with_columns(spoken=spoken).to_dicts())

    def matrix(column: str, title: str, text: alt.Text) -> alt.LayerChart:
        base = alt.Chart(data, title=title).encode(alt.X("guest:N", title="guest's policy"), alt.Y("host:N", title="host's policy"))
        cells = base.mark_rect(opacity=0.6).encode(
            alt.Color(f"{column}:Q", legend=None, scale=alt.Scale(scheme="oranges", domainMin=0 if column == "double_paged" else 1))
        )
        return (cells + base.mark_text(fontSize=13).encode(text)).properties(width=260, height=200)

    paged = matrix("double_paged", "pages read in by the host only to be written out", alt.Text("double_paged:Q", format=",.0f"))
    slowdown = matrix("slowdown", "time taken over the trace's (95 % over seeds)", alt.Text("spoken:N"))
    return (paged | slowdown).resolve_scale(color="independent")
