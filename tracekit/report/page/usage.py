"""Where and when memory is used: heat maps, working sets, miss-ratio curves."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import polars as pl

from tracekit.report.page import axis, heat, lines
from tracekit.report.page.capture import COLOURS, PANELS, Capture, Section, clipped, side_by_side
from tracekit.report.page.html import Markup, figure, folded, table
from tracekit.report.page.lines import Series
from tracekit.report.page.seen import Seen
from tracekit.units import format_duration, format_pages

_LIMITS = (
    "What it cannot tell: devices' transfers and the hardware's own accesses go unseen, and a page that is touched twice within one "
    "bucket of the capture counts once. A miss-ratio curve is LRU's, in one pool; first touches are misses at any size."
)


def section(capture: Capture, seen: Seen | None) -> Section | None:
    """What the stage ``watch`` saw of a capture, in the results or else in its trace, and its miss-ratio curves."""
    mine = pl.DataFrame()
    if seen is not None:
        mine = seen.curves.filter(pl.col("trace") == capture.name) if seen.curves.height else mine
        if capture.rows("heat").is_empty() and seen.watched is not None and capture.name in seen.names:
            capture = Capture(seen.watched, capture.name)
    sets, hot = capture.rows("working_set"), capture.rows("heat")
    if sets.is_empty() and hot.is_empty() and mine.is_empty():
        return None
    parts: list[Markup] = [Markup('<div class="grid2">')]
    title, says = "Use of memory", None
    if sets.height:
        summary = capture.rows("working_set_summary")
        whole = summary.filter(pl.col("vm") == "*").row(0, named=True)
        window = format_duration(whole["window"])
        title = f"Use of memory: {format_pages(whole['mean'])} within {window} on average, {format_pages(whole['peak'])} at the peak"
        says = format_pages(whole["mean"]), f"in use within {window} on average, of {format_pages(capture.pages)}"
        parts.append(_sets(capture, sets))
    if mine.height:
        parts.append(_curves(capture, mine))
    parts += [Markup("</div>"), _heat(capture, hot)]
    return Section("usage", title, says, [*parts, _table(capture)])


def _sets(capture: Capture, frame: pl.DataFrame) -> Markup:
    rows = frame.filter((pl.col("variant") == pl.col("variant").first()) & (pl.col("window") == pl.col("window").first())).sort("t")
    vms = [vm for vm in capture.vms if vm in set(rows["vm"])]
    series = []
    for vm in vms[:COLOURS]:
        mine = rows.filter(pl.col("vm") == vm)
        every = max(1, mine.height // 300)
        mine = mine.gather_every(every)
        series.append(Series(vm, mine["t"].to_list(), mine["pages"].to_list(), capture.colour(vm)))
    most = max((max(s.y) for s in series), default=1)  # pyright: ignore[reportArgumentType]
    y = axis.memory(float(most or 1))
    window = format_duration(rows["window"][0])
    return figure(
        f"Pages used within the last {window}", f"working set of each VM, {y.title}.{clipped(len(series), len(vms), 'VMs')}",
        lines.chart(series, axis.time(rows["t"][0], rows["t"][-1]), y),
    )  # fmt: skip


def _curves(capture: Capture, frame: pl.DataFrame) -> Markup:
    vms = frame["vm"].unique(maintain_order=True).to_list()
    series = []
    for vm in vms[:COLOURS]:
        mine = frame.filter(pl.col("vm") == vm).sort("frames")
        name = "all VMs in one memory" if vm == "*" else vm
        series.append(Series(name, mine["frames"].to_list(), mine["miss_ratio"].to_list(), capture.colour(vm)))
    most, least = float(frame["miss_ratio"].max() or 1), float(frame["miss_ratio"].min() or 1e-6)  # pyright: ignore[reportArgumentType]
    y = axis.Axis("miss ratio", least * 0.9, min(1.0, most * 1.1), 0.01, log=True, suffix="\u2009%")
    method = frame["method"][0]
    return figure(
        "Misses at every size of memory", f"misses an access under LRU, first touches among them ({method} curve)",
        lines.chart(series, axis.memory(float(frame["frames"].max() or 1), "memory, "), y),  # pyright: ignore[reportArgumentType]
    )  # fmt: skip


def _heat(capture: Capture, frame: pl.DataFrame) -> Markup:
    if frame.is_empty():
        return Markup("")
    rows = frame.filter(pl.col("variant") == pl.col("variant").first())
    first, length = int(rows["t"].min()), int(rows["length"].max())  # pyright: ignore[reportArgumentType]
    columns = (int(rows["t"].max()) - first) // length + 1  # pyright: ignore[reportArgumentType]
    drawn, there = [], [vm for vm in capture.vms if vm in set(rows["vm"])]
    for vm in there[:PANELS]:
        mine = rows.filter(pl.col("vm") == vm)
        band = int(mine["pages"].max())  # pyright: ignore[reportArgumentType]
        cells = np.zeros((-(-capture.vms[vm] // band), columns))
        cells[(mine["ppn"] // band).to_numpy(), ((mine["t"] - first) // length).to_numpy()] = (
            mine["used"].to_numpy() / mine["pages"].to_numpy()
        )
        x, y = axis.time(first, first + columns * length), axis.memory(float(len(cells) * band), "address, ")
        y = axis.Axis(y.title, 0.0, float(len(cells) * band), y.unit)
        drawn.append((vm, partial(_picture, 1000 * cells, x, y)))
    return figure(
        "Where the heat is", f"part of each band of guest addresses used within {format_duration(length)}: clear none, dark red all."
        + clipped(len(drawn), len(there), "VMs"), side_by_side(drawn), wide=True,
    )  # fmt: skip


def _picture(cells: np.ndarray, x: axis.Axis, y: axis.Axis, width: int) -> Markup:
    return heat.chart(cells, x, y, width=width)


def _table(capture: Capture) -> Markup:
    frame = capture.rows("working_set_summary")
    if frame.is_empty():
        return Markup("")

    def cells(row: dict) -> Sequence[object]:
        sizes = [format_pages(row[name]) for name in ("mean", "p5", "p50", "p95", "peak")]
        return ("all" if row["vm"] == "*" else row["vm"], format_duration(row["window"]), *sizes, format_pages(row["sum_of_peaks"]))

    columns = ("VM", "window", "mean", "5 %", "50 %", "95 %", "peak", "sum of peaks")
    return folded(
        "Working sets in figures", table(columns, map(cells, frame.iter_rows(named=True))), Markup(f"<p class=limits>{_LIMITS}</p>")
    )
