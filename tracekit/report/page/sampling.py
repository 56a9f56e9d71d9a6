"""How well the sampled estimate of pages in use follows what the trace knows."""

from collections.abc import Sequence
from functools import partial

import polars as pl

from tracekit.report import advice
from tracekit.report.page import axis, lines
from tracekit.report.page.capture import PANELS, Capture, Section, clipped, figures, side_by_side
from tracekit.report.page.html import Markup, figure, folded, legend, notes
from tracekit.report.page.lines import Series
from tracekit.units import format_pages

_LIMITS = (
    "What it cannot tell: the interval is that of one period's sample. What the host acts on is the largest of three averages, which "
    "rises fast and falls slowly: it lies above the truth after a VM has fallen idle, by design."
)


def section(capture: Capture) -> Section | None:
    """Truth, sample with its band, and what was acted on, by VM over time."""
    frame = capture.rows("sampling")
    if frame.is_empty():
        allocated = capture.rows("allocation")
        if allocated.is_empty():
            return None
        lines_ = list(advice.sampling(capture.results, capture.name, allocated["variant"][0]))
        return Section("sampling", "Sampling: no period has ended", None, [notes(lines_)])
    size = pl.col("vm").replace_strict(capture.vms, return_dtype=pl.Int64)
    frame = frame.with_columns(
        sampled=pl.col("touched") / pl.col("n") * size, covered=(pl.col("low") <= pl.col("active")) & (pl.col("active") <= pl.col("high"))
    )
    covered, periods = int(frame["covered"].sum()), frame.height
    error = float((frame["sampled"] - frame["active"]).abs().mean() or 0)  # pyright: ignore[reportArgumentType]
    x = axis.time(int((frame["t"] - frame["length"]).min() or 0), int(frame["t"].max() or 0))  # pyright: ignore[reportArgumentType]
    y = axis.memory(float(frame.select(pl.max_horizontal("active", "estimate", "high").max()).item()))
    drawn = []
    for name, rows in capture.panels(frame.sort("t")):
        drawn.append((name, partial(_panel, rows, x, y)))
    there = frame.select("variant", "vm", "stage").n_unique()
    figured = figure(
        f"The 95 % interval of the sample holds the truth in {covered} of {periods} periods",
        f"memory in use, {y.title}, each period by itself; 95 % of intervals should hold it.{clipped(min(there, PANELS), there, 'VMs')}",
        side_by_side(drawn),
        legend([("truth", "truth, from the trace"), ("band", "95 % interval of the sample"), ("estimate", "what the host acts on")]),
        wide=True,
    )
    title = f"Accuracy: samples are off by {format_pages(error)} on average"
    says = (
        f"{covered} of {periods}",
        f"sampling periods whose 95 % interval holds the truth; samples off by {format_pages(error)} on average",
    )
    return Section("accuracy", title, says, [figured, _table(capture, frame)])


def _panel(rows: pl.DataFrame, x: axis.Axis, y: axis.Axis, width: int) -> Markup:
    return lines.chart(_series(rows), x, y, width=width, height=190, labels=False)


def _series(rows: pl.DataFrame) -> list[Series]:
    begins = (rows["t"] - rows["length"]).to_list()
    t = [*begins, rows["t"][-1]]

    def held(name: str) -> list[float]:
        values = rows[name].to_list()
        return [*values, values[-1]]

    return [
        Series("interval, up to", t, held("high"), "band", base=held("low"), step=True),
        Series("interval, from", t, held("low"), "none", step=True),
        Series("truth", t, held("active"), "truth", step=True),
        Series("acted on", t, held("estimate"), "estimate", step=True),
    ]


def _table(capture: Capture, frame: pl.DataFrame) -> Markup:
    variants = capture.variants(frame)
    grouped = frame.group_by("variant", "vm", maintain_order=True).agg(
        periods=pl.len(), covered=pl.col("covered").sum(), truth=pl.col("active").mean(), sampled=pl.col("sampled").mean(),
        error=(pl.col("sampled") - pl.col("active")).abs().mean(), half=((pl.col("high") - pl.col("low")) / 2).mean(),
        used=pl.col("estimate").mean(), device=pl.col("device").mean(),
    )  # fmt: skip
    columns = ("variant", "VM", "periods", "truth", "sampled", "error", "95 % interval", "holds the truth", "acted on", "unseen (devices)")

    def cells(row: dict) -> Sequence[object]:
        return (
            variants[row["variant"]], row["vm"], row["periods"], format_pages(row["truth"]), format_pages(row["sampled"]),
            format_pages(row["error"]), f"± {format_pages(row['half'])}", f"{row['covered']} of {row['periods']}",
            format_pages(row["used"]), format_pages(row["device"]),
        )  # fmt: skip

    shown = figures(variants, columns, map(cells, grouped.iter_rows(named=True)), 2)
    return folded("Sampling in figures: means over periods", shown, Markup(f"<p class=limits>{_LIMITS}</p>"))
