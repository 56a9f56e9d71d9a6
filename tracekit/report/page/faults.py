"""Who paid: what the VMs would have waited for, by cause; and misses by policy and memory, of a sweep."""

from collections.abc import Mapping, Sequence

import polars as pl

from tracekit.compare.metrics import last
from tracekit.compare.swept import swept
from tracekit.report import advice
from tracekit.report.cost import Costs, stall
from tracekit.report.page import axis, bars, lines
from tracekit.report.page.capture import COLOURS, Capture, Section, clipped, colour, figures
from tracekit.report.page.html import Markup, figure, folded, legend, notes
from tracekit.report.page.lines import Series
from tracekit.units import format_count, format_duration

#: Counts that have a price, by who made the VM wait; (class, what it is, columns).
CAUSES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("k1", "page-ins and page-outs of the host", ("major", "double_paged", "page_outs", "shared_out")),
    ("k2", "page-ins and page-outs of the guest behind its balloon", ("guest_major", "guest_page_outs")),
    ("k3", "copies on write of shared pages", ("breaks",)),
    ("k4", "first touches and other faults", ("cold", "minor")),
)
_LIMITS = (
    "What it cannot tell: waits are counts at prices, one after the other; nothing waits for a queue at the disk, and a VM that sleeps "
    "anyway may lose less. Prices are those of a server with a flash drive ({prices}); measure your own before believing a slowdown."
)


def section(capture: Capture) -> Section | None:
    """Waits by VM and cause; of several variants their sums, and misses by memory where it was swept."""
    frame = _with_breaks(capture)
    if frame.is_empty() or not frame["accesses"].sum():
        return None
    costs, variants = Costs(), capture.variants(frame)
    waits = _waits(frame, costs)
    final = last(capture.rows("faults"))
    if len(variants) == 1:
        worst = waits.row(0, named=True)
        span = capture.run["span"] / 1e9
        longest = "longest, " if waits.height > 1 else ""
        title = f"Who paid: {worst['vm']} would have waited {longest}{_time(worst['stall'])} in {_time(span)}"
        parts = [_by_vm(waits)]
        says = _time(worst["stall"]), f"waited by {worst['vm']}{', which paid most,' if longest else ''} in {_time(span)}"
    else:
        by_variant = waits.group_by("variant", maintain_order=True).agg(pl.exclude("vm").sum()).sort("stall")
        best = by_variant.row(0, named=True)
        title = f"Who paid: least is waited for with {variants[best['variant']]}, {_time(best['stall'])} over all VMs"
        parts = [_misses(capture, frame), _by_variant(by_variant, variants)]
        says = _time(best["stall"]), f"waited by all VMs with {variants[best['variant']]}, the variant that makes them wait least"
    prices = f"host page-in {format_duration(costs.page_in)}, guest page-in {format_duration(costs.guest_page_in)}"
    limits = Markup(f"<p class=limits>{_LIMITS.format(prices=prices)}</p>")
    parts += [notes(advice.faults(capture.results, capture.name, final)), folded("Faults in figures", _table(frame, variants), limits)]
    return Section("faults", title, says, parts)


def _time(seconds: float) -> str:
    return format_duration(seconds * 1e9)


def _with_breaks(capture: Capture) -> pl.DataFrame:
    """The table faults with copy-on-write breaks beside it."""
    faults, vm = last(capture.rows("faults")), last(capture.rows("vm"))
    if faults.is_empty() or vm.is_empty():
        return pl.DataFrame()
    return faults.join(vm.select("variant", "vm", "breaks"), on=["variant", "vm"], how="left", maintain_order="left").with_columns(
        pl.col("breaks").fill_null(0)
    )


def _waits(frame: pl.DataFrame, costs: Costs) -> pl.DataFrame:
    """One row a variant and VM: seconds waited for each cause, and ``stall`` for all, the longest first."""
    priced = [name for _, _, names in CAUSES for name in names]
    found = frame.select("variant", "vm", stall=stall(costs))
    for css, _, names in CAUSES:
        only = frame.with_columns(pl.lit(0).alias(name) for name in priced if name not in names)
        found = found.with_columns(only.select(stall(costs).alias(css)))
    return found.sort("stall", descending=True, maintain_order=True)


def _causes(row: Mapping) -> list[tuple[str, float, str]]:
    return [(css, row[css], f"{about}:") for css, about, _ in CAUSES]


def _seconds(most: float) -> axis.Axis:
    return axis.Axis("s of waiting", 0.0, max(most, 1e-9) * 1.04)


def _by_vm(waits: pl.DataFrame) -> Markup:
    drawn = [bars.Bar(row["vm"], _causes(row), _time(row["stall"])) for row in waits.head(40).iter_rows(named=True)]
    return figure(
        "What each VM would have waited for, by cause",
        f"seconds, at the prices of a server with a flash drive.{clipped(40, waits.height, 'VMs')}",
        bars.chart(drawn, _seconds(float(waits["stall"][0])), width=760),
        _legend(waits),
        wide=True,
    )


def _legend(waits: pl.DataFrame) -> Markup:
    return legend((css, about) for css, about, _ in CAUSES if waits[css].sum())


def _by_variant(waits: pl.DataFrame, variants: dict[str, str]) -> Markup:
    rows = waits.head(40)
    drawn = [bars.Bar(variants[row["variant"]], _causes(row), _time(row["stall"])) for row in rows.iter_rows(named=True)]
    return figure(
        "What all VMs would have waited for, by variant",
        f"seconds, at the prices of a server with a flash drive, the shortest first.{clipped(40, waits.height, 'variants')}",
        bars.chart(drawn, _seconds(float(rows["stall"][-1])), width=760),
        _legend(rows),
        wide=True,
    )


def _misses(capture: Capture, frame: pl.DataFrame) -> Markup:
    """Miss-ratio curves by policy, where the size of memory was swept."""
    params = swept(capture.results)
    by = next((name for name in ("paging.frames", "host.memory", "balloon.memory") if name in params.columns), None)
    totals = frame.group_by("variant", maintain_order=True).agg(
        pl.col("accesses").sum(), misses=pl.col("cold").sum() + pl.col("major").sum()
    )
    joined = totals.join(params, on="variant", maintain_order="left").filter(pl.col("accesses") > 0)
    if by is None or joined.is_empty():
        return Markup("")
    pages = pl.col(by).cast(pl.Int64, strict=False)
    joined = joined.with_columns(ratio=pl.col("misses") / pl.col("accesses"), size=pages if by == "paging.frames" else pages // 4096)
    names = [name for name in params.columns if name not in ("variant", by)]
    joined = joined.with_columns(series=pl.concat_str(*names, separator=" ", ignore_nulls=True) if names else pl.lit("misses"))
    curves = (
        joined.drop_nulls("size")
        .group_by("series", "size", maintain_order=True)
        .agg(pl.col("ratio").mean())
        .sort("size", maintain_order=True)
    )
    series = [
        Series(str(name), mine["size"].to_list(), mine["ratio"].to_list(), colour(i), dots=True)
        for i, ((name,), mine) in enumerate(list(curves.group_by("series", maintain_order=True))[:COLOURS])
    ]
    most, sizes = float(curves["ratio"].max() or 0), curves["size"]  # pyright: ignore[reportArgumentType]
    x = axis.memory(float(sizes.max() or 0), "memory, ", float(sizes.min() or 0) * 0.98)  # pyright: ignore[reportArgumentType]
    named = ", ".join(names) or "variants"
    return figure(
        "Misses by memory and policy", f"misses an access, first touches among them, over the memory for guest pages; lines are {named}",
        lines.chart(series, x, axis.part(most, "miss ratio"), width=760, height=300), wide=True,
    )  # fmt: skip


def _table(frame: pl.DataFrame, variants: dict[str, str]) -> Markup:
    heads = {
        "accesses": "accesses", "cold": "first touches", "major": "host page-ins", "page_outs": "host page-outs", "minor": "minor",
        "shared_out": "shared instead", "double_paged": "double paged", "guest_major": "guest page-ins",
        "guest_page_outs": "guest page-outs", "breaks": "copies on write",
    }  # fmt: skip
    there = [name for name in heads if frame[name].sum()]

    def cells(row: dict) -> Sequence[object]:
        return (variants[row["variant"]], row["vm"], *(format_count(row[name]) for name in there))

    return figures(variants, ("variant", "VM", *(heads[name] for name in there)), map(cells, frame.iter_rows(named=True)), 2)
