"""Estimators of the working set beside the truth."""

from collections.abc import Sequence
from functools import partial

import polars as pl

from tracekit.report.page import axis, lines
from tracekit.report.page.capture import COLOURS, PANELS, Capture, Section, clipped, colour, side_by_side
from tracekit.report.page.html import Markup, figure, folded, legend, table
from tracekit.report.page.lines import Series
from tracekit.units import format_count, format_duration, format_pages


def section(capture: Capture) -> Section | None:
    """Truth and estimates over time, by VM; how far off and how late."""
    frame, summary = capture.rows("estimators"), capture.rows("estimator_summary")
    if frame.is_empty() or summary.is_empty():
        return None
    best = summary.sort("rms").row(0, named=True)
    names = frame["estimator"].unique(maintain_order=True).to_list()[:COLOURS]
    x = axis.time(int(frame["t"].min()), int(frame["t"].max()))  # pyright: ignore[reportArgumentType]
    y = axis.memory(float(frame.select(pl.max_horizontal("truth", "estimate").max()).item() or 1))
    drawn = []
    for name, rows in capture.panels(frame.sort("t")):
        truth = rows.filter(pl.col("estimator") == pl.col("estimator").first())
        series = [Series("truth", truth["t"].to_list(), truth["truth"].to_list(), "truth")]
        for i, estimator in enumerate(names):
            mine = rows.filter(pl.col("estimator") == estimator)
            series.append(Series(estimator, mine["t"].to_list(), mine["estimate"].to_list(), colour(i)))
        drawn.append((name, partial(_panel, series, x, y)))
    there = frame.select("variant", "vm").n_unique()
    figured = figure(
        "Estimates beside the truth", f"pages in use, {y.title}.{clipped(min(there, PANELS), there, 'VMs')}",
        side_by_side(drawn),
        legend([("truth", "truth"), *((colour(i), name) for i, name in enumerate(names))]), wide=True,
    )  # fmt: skip
    title = f"Estimators: {best['estimator']} is nearest, off by {format_pages(best['rms'])} (root of the mean square)"
    says = format_pages(best["rms"]), f"error of {best['estimator']}, the nearest estimator of pages in use"

    def cells(row: dict) -> Sequence[object]:
        late = "–" if row["lag"] is None else format_duration(row["lag"])
        sizes = [format_pages(row[name]) for name in ("truth", "estimate", "error", "rms")]
        return (row["vm"], row["estimator"], *sizes, late, format_count(row["faults"]), format_count(row["scans"]))

    columns = ("VM", "estimator", "truth", "estimate", "error", "rms", "late by", "faults taken", "pages looked at")
    return Section(
        "estimators", title, says, [figured, folded("Estimators in figures", table(columns, map(cells, summary.iter_rows(named=True)), 2))]
    )


def _panel(series: Sequence[Series], x: axis.Axis, y: axis.Axis, width: int) -> Markup:
    return lines.chart(series, x, y, width=width, height=210, labels=False)
