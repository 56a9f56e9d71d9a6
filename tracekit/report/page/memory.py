"""Who holds how much, and the state that the host is in."""

from collections.abc import Iterator, Sequence
from functools import partial

import polars as pl

from tracekit.compare.metrics import last
from tracekit.report.page import axis, lines
from tracekit.report.page.capture import PANELS, Capture, Section, clipped, figures, side_by_side
from tracekit.report.page.html import Markup, figure, folded, legend
from tracekit.report.page.lines import Series
from tracekit.units import format_pages

_WHERE = {"overhead": "overhead of the VMs", "used": "guest pages", "held": "compressed pages", "free": "free"}
_HELD = {"resident": "in machine memory", "ballooned": "held by its balloon", "swapped": "paged out by the host"}
_LIMITS = (
    "What it cannot tell: a trace keeps its own timing. A guest that is short of memory would get on more slowly, and would touch "
    "other pages, than the one that was captured."
)


def section(capture: Capture) -> Section | None:
    """The host's memory and states over time, each VM's pages, and the allocation at the end."""
    allocation, host = capture.rows("allocation"), capture.rows("host")
    vms = allocation if allocation.height else capture.rows("vm")
    if vms.is_empty() or not (allocation.height or vms.select(pl.sum_horizontal("ballooned", "swapped").sum()).item()):
        return None
    final = last(vms)
    variant = final["variant"][0]
    ends = final.filter(pl.col("variant") == variant)
    ballooned, swapped = int(ends["ballooned"].sum()), int(ends["swapped"].sum())
    says = format_pages(ballooned), f"taken by balloons at the end, {format_pages(swapped)} paged out by the host"
    title = f"Memory: balloons hold {format_pages(ballooned)} and {format_pages(swapped)} is paged out at the end"
    if len(capture.variants(vms)) > 1:
        title, says = f"Memory: allocations of {len(capture.variants(vms))} variants", None
    charts = [Markup('<div class="grid2">'), *_hosts(capture, host, allocation), Markup("</div>"), *_vms(capture, vms)]
    return Section("memory", title, says, [*charts, _table(capture, final)])


def states(frame: pl.DataFrame, end: int) -> list[tuple[float, float, str, str]]:
    """Stretches of one state: from, to, class, name; of rows with the state as of t, in order."""
    found: list[tuple[float, float, str, str]] = []
    times, names = frame["t"].to_list(), frame["state"].to_list()
    for t, until, name in zip(times, [*times[1:], end], names):
        if found and found[-1][2] == name:
            found[-1] = (found[-1][0], until, name, name)
        else:
            found.append((t, until, name, name))
    return found


def _hosts(capture: Capture, host: pl.DataFrame, allocation: pl.DataFrame) -> Iterator[Markup]:
    if host.is_empty():
        return
    variants = capture.variants(host)
    for variant, label in list(variants.items())[:2]:
        rows = host.filter((pl.col("variant") == variant) & pl.col("why").is_in(["report", "state"])).sort("t")
        t = rows["t"].to_list()
        x, y = axis.time(t[0], t[-1]), axis.memory(float(rows["memory"].max() or 0))  # pyright: ignore[reportArgumentType]
        strip = states(rows, t[-1])
        spent = {name: sum(end - begin for begin, end, state, _ in strip if state == name) for name in {state for *_, state in strip}}
        most = max(spent, key=lambda name: spent[name])
        several = f" ({label})" if len(variants) > 1 else ""
        part = 100 * spent[most] / max(t[-1] - t[0], 1)
        shown = {name: about for name, about in _WHERE.items() if rows[name].sum()}
        yield figure(
            f"The host is in state {most} for {part:.0f} % of the time{several}",
            f"where machine memory is, {y.title}; the strip is the host's state: soft balloons, hard pages out, low blocks",
            lines.chart(_stacked(rows, shown, ""), x, y, strip=strip, labels=False),
            legend(shown.items()),
        )
        yield _reclaimed(rows, x, several)


def _reclaimed(rows: pl.DataFrame, x: axis.Axis, several: str) -> Markup:
    names = {"ballooned": "held by balloons", "swapped": "paged out", "saved": "saved by sharing"}
    y = axis.memory(float(rows.select(pl.max_horizontal(*names).max()).item() or 0))
    t = rows["t"].to_list()
    css = {"ballooned": "ballooned", "swapped": "swapped", "saved": "found"}
    series = [Series(name, t, rows[column].to_list(), css[column]) for column, name in names.items()]
    return figure(f"How memory was found{several}", f"guest pages taken back, machine pages saved; {y.title}", lines.chart(series, x, y))


def _stacked(rows: pl.DataFrame, names: dict[str, str], prefix: str) -> list[Series]:
    t, base, series = rows["t"].to_list(), [0] * rows.height, []
    for column, about in names.items():
        told = rows[column].to_list()
        top = [a + b for a, b in zip(base, told)]
        series.append(Series(f"{prefix}{about}", t, top, column, base=base, told=told))
        base = top
    return series


def _vms(capture: Capture, frame: pl.DataFrame) -> list[Markup]:
    last_t = int(frame["t"].max())  # pyright: ignore[reportArgumentType]
    x, y = axis.time(int(frame["t"].min()), last_t), axis.memory(float(max(capture.vms.values())))  # pyright: ignore[reportArgumentType]
    told = {"target": "target", **({"active": "pages in use, as estimated"} if "active" in frame.columns else {})}
    drawn = []
    for name, rows in capture.panels(frame.sort("t")):
        t = rows["t"].to_list()
        series = _stacked(rows, _HELD, "")
        series += [Series(about, t, rows[column].to_list(), column, dashed=column == "target") for column, about in told.items()]
        drawn.append((name, partial(_panel, series, x, y)))
    there = frame.select("variant", "vm").n_unique()
    figured = figure(
        "What each VM holds, and should hold",
        f"guest pages, {y.title}, up to the size of the largest VM.{clipped(min(there, PANELS), there, 'VMs')}",
        side_by_side(drawn),
        legend([*_HELD.items(), *told.items()]),
        wide=True,
    )
    return [figured]


def _panel(series: Sequence[Series], x: axis.Axis, y: axis.Axis, width: int) -> Markup:
    return lines.chart(series, x, y, width=width, height=190, labels=False)


def _table(capture: Capture, final: pl.DataFrame) -> Markup:
    variants = capture.variants(final)
    names = ("max", "min", "shares", "entitled", "active", "target", "resident", "ballooned", "swapped")
    there = [name for name in names if name in final.columns]
    heads = {"max": "size", "active": "in use (estimate)", "entitled": "by shares alone"}

    def cells(row: dict) -> Sequence[object]:
        sizes = [row[name] if name == "shares" else format_pages(row[name]) for name in there]
        return (variants[row["variant"]], row["vm"], *sizes)

    shown = figures(variants, ("variant", "VM", *(heads.get(name, name) for name in there)), map(cells, final.iter_rows(named=True)), 2)
    return folded("Allocation at the end in figures", shown, Markup(f"<p class=limits>{_LIMITS}</p>"))
