"""Where accesses and paged-out pages are served from: near and far memory, compressed, remote, disk."""

from collections.abc import Sequence

import polars as pl

from tracekit.compare.metrics import last
from tracekit.report.page import axis, bars
from tracekit.report.page.capture import Capture, Section, clipped, figures
from tracekit.report.page.html import figure, folded, legend, table
from tracekit.units import format_bytes, format_count, format_pages

_PLACES = {"zero": "pages of zeros", "compressed": "compressed", "remote": "remote memory", "disk": "disk"}


def near_and_far(capture: Capture) -> Section | None:
    """Accesses by tier and their latency, by variant and VM."""
    frame = last(capture.rows("tiers"))
    frame = frame.filter(pl.col("near") + pl.col("far") > 0) if frame.height else frame
    if frame.is_empty():
        return None
    variants = capture.variants(frame)
    rows = frame.with_columns(part=pl.col("far") / (pl.col("near") + pl.col("far"))).sort("amat_moved")
    best = rows.row(0, named=True)
    drawn = [
        bars.Bar(_label(row, variants), [("found", row["amat"], "accesses"), ("k2", row["amat_moved"] - row["amat"], "moves")],
                 f"{row['amat_moved']:.0f} ns, {100 * row['part']:.1f} % far")
        for row in rows.head(40).iter_rows(named=True)
    ]  # fmt: skip
    most = float(rows["amat_moved"].max() or 1)  # pyright: ignore[reportArgumentType]
    drawing = figure(
        "Average latency of an access, and what moving pages adds", f"the shortest first.{clipped(40, rows.height, 'lines')}",
        bars.chart(drawn, axis.Axis("ns an access", 0.0, most * 1.04), width=760),
        legend([("found", "near and far memory"), ("k2", "moves and hint faults")]), wide=True,
    )  # fmt: skip
    says = f"{best['amat_moved']:.0f} ns", f"an access with {_label(best, variants)}, moves charged"
    title = f"Tiers: {best['amat_moved']:.0f} ns an access at best, {100 * best['part']:.1f} % from far memory"

    def cells(row: dict) -> Sequence[object]:
        counts = [format_count(row[name]) for name in ("near", "far", "promoted", "demoted")]
        return (_label(row, variants), *counts, format_bytes(row["migrated_bytes"]), f"{row['amat']:.0f} ns", f"{row['amat_moved']:.0f} ns")

    columns = ("", "near", "far", "promoted", "demoted", "moved", "latency", "with moves")
    return Section("tiers", title, says, [drawing, folded("Tiers in figures", table(columns, map(cells, rows.iter_rows(named=True))))])


def swap(capture: Capture) -> Section | None:
    """Where paged-out pages are at the end, by variant."""
    frame = last(capture.rows("swap"))
    frame = frame.filter(pl.col("vm") == "*") if frame.height else frame
    if frame.is_empty() or not frame.select(pl.sum_horizontal(*_PLACES, *(f"from_{name}" for name in _PLACES)).sum()).item():
        return None
    variants = capture.variants(frame)
    rows = frame.sort("access_ns")
    most = float(rows.select(pl.sum_horizontal(*_PLACES).max()).item() or 1)
    drawn = [
        bars.Bar(variants[row["variant"]], [(f"k{i}", row[name], f"{about}:") for i, (name, about) in enumerate(_PLACES.items(), 1)],
                 f"{row['access_ns']:.0f} ns an access" if row["access_ns"] is not None else "")
        for row in rows.head(40).iter_rows(named=True)
    ]  # fmt: skip
    drawing = figure(
        "Where paged-out pages are at the end", "pages, by the tier that holds them", bars.chart(drawn, axis.memory(most), width=760),
        legend((f"k{i}", about) for i, about in enumerate(_PLACES.values(), 1)), wide=True,
    )  # fmt: skip

    def cells(row: dict) -> Sequence[object]:
        ins = [format_count(row[f"from_{name}"]) for name in _PLACES]
        ratio = "–" if row["ratio"] is None else f"{row['ratio']:.2f}"
        return (variants[row["variant"]], *(format_pages(row[name]) for name in _PLACES), *ins, ratio)

    columns = ("variant", *_PLACES.values(), *(f"in from {name}" for name in _PLACES), "compressed by")
    best = rows.row(0, named=True)
    title = f"Swap: {format_pages(sum(best[name] for name in _PLACES))} paged out at the end"
    return Section(
        "swap", title, None, [drawing, folded("Swap in figures", figures(variants, columns, map(cells, rows.iter_rows(named=True)), 1))]
    )


def _label(row: dict, variants: dict[str, str]) -> str:
    return row["vm"] if len(variants) == 1 else f"{variants[row['variant']]} · {row['vm']}"


def sections(capture: Capture) -> list[Section]:
    """Those of the two that there is something to say of."""
    return [found for found in (swap(capture), near_and_far(capture)) if found is not None]
