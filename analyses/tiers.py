"""Does a tier before the cliff pay, and from which fill of memory?

Method: the same trace on the same memory with the same replacement policy, and only what differs is where paged-out pages
go (disk, a compressed pool before it, remote memory) and when cold ones go there: when no frame is left, from 96 % full
back to 94 % (the paper's thresholds of 4 % and 6 % free memory), or from 80 % on. Page-ins are counts; the time that the
VMs wait is made of counts and of costs that are parameters of the stage, so it is worth what those are worth. Sizes of
compressed pages are drawn where the capture has none. A page that comes back waits for its tier; a page-out is waited for
only where a fault finds no free frame.
Wants: ``--preset swap`` with several swap.module and swap.start.
Source: Waldspurger 2002, section 6.3, for the thresholds; Lagar-Cavilla et al. 2019 for far memory by compression.
"""

import altair as alt
import polars as pl

import tracekit as tk

FILLS = {"100": "when full", "96": "from 96 % (the paper)", "80": "from 80 %"}
TIERS = {"disk": "disk", "zswap": "compressed pool, disk", "remote": "remote memory"}


def table(results: tk.Results) -> pl.LazyFrame:
    """One row a variant and trace: memory (MiB), tier, start (%), page-ins in all and from disk, waits for page-outs, pool
    (MiB at the end), access (ns a row, mean) and stall (ms that a VM waits a second of trace time, mean).
    """
    host = results.swap.filter(pl.col("vm") == "*").sort("t").group_by("variant", "trace", maintain_order=True).last()
    runs = results.runs.select("variant", "trace", "memory", "span", vms=pl.col("vms").str.count_matches(r"\S=\d+( |$)"))
    ins = [f"from_{tier}" for tier in ("zero", "compressed", "remote", "disk")]
    return (
        host.join(runs, on=["variant", "trace"])
        .join(results.params("swap.module", "swap.start"), on="variant")
        .select(
            "trace",
            tier="swap.module",
            start=pl.col("swap.start").cast(pl.Float64),
            memory=pl.col("memory") / 2**20,
            page_ins=pl.sum_horizontal(ins),
            disk_ins="from_disk",
            waited="waited",
            pool=pl.col("pool") * 4096 / 2**20,
            access="access_ns",
            stall=(pl.col("load_ns") + pl.col("wait_ns")) / pl.col("span") / pl.col("vms") * 1e3,
        )
        .sort("trace", "tier", "memory", "start")
    )


def chart(frame: pl.DataFrame) -> alt.VConcatChart:
    """Stall, and page-ins below it, by memory: a panel a tier, a line a fill from which cold pages are paged out."""
    fill = pl.format("{}", pl.col("start").cast(pl.Int64)).replace(FILLS)
    data = alt.Data(values=frame.with_columns(fill=fill, tier=pl.col("tier").replace(TIERS)).to_dicts())
    order = [name for name in FILLS.values() if name in set(frame.select(fill.alias("f"))["f"])]
    tiers = [name for name in TIERS.values() if name in set(frame["tier"].replace(TIERS))]
    color = alt.Color("fill:N", title="cold pages are paged out", sort=order, scale=alt.Scale(scheme="dark2"))

    def row(value: str, title: str, scale: alt.Scale, axis: alt.Axis) -> alt.FacetChart:
        lines = alt.Chart(data).mark_line(point=True).encode(
            alt.X("memory:Q", title="memory for guest pages (MiB)", scale=alt.Scale(zero=False)),
            alt.Y(f"{value}:Q", title=title, scale=scale, axis=axis),
            color,
        )  # fmt: skip
        return lines.properties(width=210, height=170).facet(alt.Column("tier:N", title=None, sort=tiers))

    # Tiers are orders of magnitude apart, and some let nobody wait.
    ticks = alt.Axis(values=[0, *(digit * 10.0**power for power in range(-1, 3) for digit in (1, 3))], format="~g")
    waits = row("stall", "wait of a VM (ms a second)", alt.Scale(type="symlog", constant=0.1), ticks)
    parts = waits, row("page_ins", "page-ins", alt.Scale(), alt.Axis())
    return alt.vconcat(*parts, title="Does a tier before the cliff pay, and from which fill?")
