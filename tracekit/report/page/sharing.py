"""What sharing could save, and what the scan found."""

from collections.abc import Sequence

import polars as pl

from tracekit.compare.metrics import last
from tracekit.report import advice
from tracekit.report.page import axis, bars, lines
from tracekit.report.page.capture import COLOURS, Capture, Section, clipped, colour, figures
from tracekit.report.page.html import Markup, figure, folded, legend, notes
from tracekit.report.page.lines import Series
from tracekit.units import format_count, format_duration, format_pages

_KINDS = {"zero": "pages of zeros", "within": "equal pages of one VM", "between": "equal pages of several VMs"}
_LIMITS = (
    "What it cannot tell: pages are equal as far as snapshots saw them; a page that changed and changed back between two snapshots was "
    "never seen to. Possible is what sharing every two equal pages would save at that moment, for nothing."
)


def section(capture: Capture) -> Section | None:
    """Savings over time and by VM; of several variants the host's, side by side."""
    frame = capture.rows("savings")
    if frame.is_empty():
        return None
    final = last(frame)
    host = final.filter(pl.col("vm") == "*").sort("reclaimed")
    best = host.row(-1, named=True)
    possible, found = best["possible_reclaimed"], best["reclaimed"]
    said = f"{format_pages(possible)} of {format_pages(best['pages'])} could be saved ({_part(possible, best['pages'])})"
    parts = _of_variants(capture, frame, final) if len(capture.variants(frame)) > 1 else _of_vms(capture, frame, final)
    parts += [notes(advice.savings(capture.results, capture.name, final)), _table(capture, final), _discovery(capture), Markup("")]
    says = format_pages(found), f"saved by sharing at the end, of {format_pages(possible)} possible"
    return Section("sharing", f"Sharing: {said}; the scan found {format_pages(found)}", says, parts)


def _part(some: float, whole: float) -> str:
    return f"{100 * some / whole:.1f} %" if whole else "–"


def _of_vms(capture: Capture, frame: pl.DataFrame, final: pl.DataFrame) -> list[Markup]:
    host = frame.filter(pl.col("vm") == "*").sort("t")
    t = host["t"].to_list()
    x, y = axis.time(t[0], t[-1]), axis.memory(float(host["possible_reclaimed"].max() or 0))  # pyright: ignore[reportArgumentType]
    series, base = [], [0] * len(t)
    for kind, name in _KINDS.items():
        told = host[f"possible_{kind}"].to_list()
        top = [a + b for a, b in zip(base, told)]
        series.append(Series(name, t, top, kind, base=base, told=told))
        base = top
    found = host["reclaimed"].to_list()
    over_time = figure(
        "What sharing could save, and what the scan had found",
        f"machine memory of all VMs, {y.title}, by what is equal; the line is what was found",
        lines.chart([*series, Series("", t, found, "found")], x, y, labels=False),
        legend([*((kind, f"possible: {name}") for kind, name in _KINDS.items()), ("found", "found")]),
    )
    return [Markup('<div class="grid2">'), over_time, _by_vm(capture, final), _found(capture, frame), Markup("</div>")]


def _by_vm(capture: Capture, final: pl.DataFrame) -> Markup:
    rows = final.filter(pl.col("vm") != "*")
    most = float(rows["possible_reclaimed"].max() or 0)  # pyright: ignore[reportArgumentType]
    drawn = [
        bars.Bar(
            row["vm"], [(kind, row[f"possible_{kind}"], f"possible, {name},") for kind, name in _KINDS.items()],
            f"{format_pages(row['possible_reclaimed'])}, {_part(row['possible_reclaimed'], row['pages'])}", row["reclaimed"],
        )
        for row in rows.head(40).iter_rows(named=True)
    ]  # fmt: skip
    by_zero = float(rows["possible_zero"].sum()) / max(float(rows["possible_reclaimed"].sum()), 1)
    return figure(
        f"By VM at the end: {100 * by_zero:.0f} % of what is possible is pages of zeros",
        f"a frame that several VMs share is charged to the first of them; the mark is what was found.{clipped(40, rows.height, 'VMs')}",
        bars.chart(drawn, axis.memory(most)),
        legend([*((kind, name) for kind, name in _KINDS.items()), ("mark", "found")]),
    )


def _found(capture: Capture, frame: pl.DataFrame) -> Markup:
    """What was found on a scale of its own: beside what is possible it may be next to nothing."""
    rows = frame.filter(pl.col("vm") != "*").sort("t")
    if not rows["reclaimed"].sum():
        return Markup("")
    shown = rows.filter(pl.col("t") == pl.col("t").max()).sort("reclaimed", descending=True)["vm"].to_list()[:COLOURS]
    series, base = [], None
    for vm in shown:
        mine = rows.filter(pl.col("vm") == vm)
        told = mine["reclaimed"].to_list()
        base = base if base is not None and len(base) == len(told) else [0] * len(told)
        top = [a + b for a, b in zip(base, told)]
        series.append(Series(vm, mine["t"].to_list(), top, capture.colour(vm), base=base, told=told))
        base = top
    y = axis.memory(float(max(max(s.y) for s in series)))  # pyright: ignore[reportArgumentType]
    t = rows["t"]
    return figure(
        "What the scan found, by VM",
        f"machine memory saved, {y.title}, the VMs one on the other.{clipped(len(shown), rows['vm'].n_unique(), 'VMs')}",
        lines.chart(series, axis.time(t[0], t[-1]), y),
    )


def _of_variants(capture: Capture, frame: pl.DataFrame, final: pl.DataFrame) -> list[Markup]:
    host = frame.filter(pl.col("vm") == "*").sort("t")
    variants = capture.variants(frame)
    x, y = axis.time(host["t"][0], host["t"].max()), axis.memory(float(host["reclaimed"].max() or 0))  # pyright: ignore[reportArgumentType]
    series = [
        Series(label, mine["t"].to_list(), mine["reclaimed"].to_list(), colour(i))
        for i, (variant, label) in enumerate(list(variants.items())[:COLOURS])
        if (mine := host.filter(pl.col("variant") == variant)).height
    ]
    over_time = figure(
        "What each variant had found", f"machine memory saved, {y.title}.{clipped(len(series), len(variants), 'variants')}",
        lines.chart(series, x, y, width=760), wide=True,
    )  # fmt: skip
    ends = final.filter(pl.col("vm") == "*")
    most = float(ends["possible_reclaimed"].max() or 0)  # pyright: ignore[reportArgumentType]
    drawn = [
        bars.Bar(
            variants[row["variant"]], [("found", row["reclaimed"], "found")], format_pages(row["reclaimed"]), row["possible_reclaimed"]
        )
        for row in ends.head(40).iter_rows(named=True)
    ]
    at_end = figure(
        "Found at the end, and possible", f"the mark is what is possible.{clipped(40, ends.height, 'variants')}",
        bars.chart(drawn, axis.memory(most), width=760), wide=True,
    )  # fmt: skip
    return [over_time, at_end]


def _table(capture: Capture, final: pl.DataFrame) -> Markup:
    variants = capture.variants(final)
    columns = ("variant", "VM", "known", "zeros", "possible", "", "found", "of possible", "pages scanned", "copies on write")

    def cells(row: dict) -> Sequence[object]:
        return (
            variants[row["variant"]], "host" if row["vm"] == "*" else row["vm"], format_pages(row["pages"]), format_pages(row["zero"]),
            format_pages(row["possible_reclaimed"]), _part(row["possible_reclaimed"], row["pages"]), format_pages(row["reclaimed"]),
            _part(row["reclaimed"], row["possible_reclaimed"]), format_count(row["scanned"]), format_count(row["breaks"]),
        )  # fmt: skip

    shown = final if len(variants) == 1 else final.filter(pl.col("vm") == "*")
    return folded(
        "Savings in figures",
        figures(variants, columns, map(cells, shown.iter_rows(named=True)), 2),
        Markup(f"<p class=limits>{_LIMITS}</p>"),
    )


def _discovery(capture: Capture) -> Markup:
    frame = capture.rows("discovery")
    frame = frame.filter(pl.col("vm") == "*") if frame.height else frame
    if frame.is_empty():
        return Markup("")
    variants = capture.variants(frame)

    def after(seconds: float | None) -> str:
        return "–" if seconds is None else format_duration(seconds * 1e9)

    rows = [
        (variants[row["variant"]], format_pages(row["found"]), format_pages(row["missed"]), after(row["p50"]), after(row["p90"]),
         f"{row['cpu']:.2f} s", "–" if row["cpu_per_gib"] is None else f"{row['cpu_per_gib']:.2f} s")
        for row in frame.iter_rows(named=True)
    ]  # fmt: skip
    columns = ("variant", "found", "missed", "half found within", "nine tenths within", "CPU time of scans", "for each GiB saved")
    return folded("How long equal pages went unfound", figures(variants, columns, rows, 1))
