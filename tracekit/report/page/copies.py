"""Bounce-buffer copies before and after remapping, and how few pages make up most of them."""

from collections.abc import Sequence

import polars as pl

from tracekit.report import advice
from tracekit.report.page import axis, bars, lines
from tracekit.report.page.capture import COLOURS, Capture, Section, clipped, colour, figures
from tracekit.report.page.html import Markup, figure, folded, legend, notes
from tracekit.report.page.lines import Series
from tracekit.units import format_bytes, format_count

_NAMES = ("transfers", "bytes", "bounced", "baseline_bytes", "copied_bytes", "forced_bytes", "remapped", "unknown")
_LIMITS = (
    "What it cannot tell: machine addresses are those of the capture, or of the placement that was asked for; another host would put "
    "pages elsewhere. A benchmark with one direct-I/O buffer looks like a hot page, and is a phase of its own."
)


def section(capture: Capture) -> Section | None:
    """Copies by device, with and without remapping; over phases; and their concentration."""
    frame = capture.rows("copies")
    if frame.is_empty():
        return None
    variants = capture.variants(frame)
    totals = frame.group_by("variant", maintain_order=True).agg(pl.col(*_NAMES).sum()).sort("copied_bytes")
    best = totals.row(0, named=True)
    before, after = best["baseline_bytes"], best["copied_bytes"]
    saved = f"{100 * (before - after) / before:.0f} %" if before else "nothing to save"
    title = f"Copies: {format_bytes(before)} bounced without remapping, {format_bytes(after)} with it"
    title += f" ({variants[best['variant']]})" if len(variants) > 1 else ""
    forced = f", {format_bytes(best['forced_bytes'])} of them forced" if best["forced_bytes"] else ""
    says = saved if before else "0 B", f"of {format_bytes(before)} of bounce-buffer copies saved by remapping{forced}"
    drawn = [_by_device(frame, variants), _concentration(capture)] if len(variants) == 1 else [_by_variant(totals, variants)]
    parts = [Markup('<div class="grid2">'), *drawn, Markup("</div>"), notes(advice.copies(frame.filter(variant=best["variant"])))]
    return Section("copies", title, says, [*parts, _table(frame, variants)])


def _parts(row: dict) -> list[tuple[str, float, str]]:
    kept = row["copied_bytes"] - row["forced_bytes"]
    saved = row["baseline_bytes"] - row["copied_bytes"]
    return [("forced", row["forced_bytes"], "forced"), ("kept", kept, "still copied"), ("saved", max(saved, 0), "saved by remapping")]


_LEGEND = [("forced", "forced: nothing saves them"), ("kept", "still copied with remapping"), ("saved", "saved by remapping")]


def _saved(row: dict) -> str:
    before, after = row["baseline_bytes"], row["copied_bytes"]
    return f"{format_bytes(before)} → {format_bytes(after)}"


def _by_device(frame: pl.DataFrame, variants: dict[str, str]) -> Markup:
    several = frame["vm"].n_unique() > 1
    rows = frame.group_by("vm", "device", "phase", maintain_order=True).agg(pl.col(*_NAMES).sum())
    idle = sorted(set(rows["device"]) - set(rows.filter(pl.col("baseline_bytes") > 0)["device"]))
    rows = rows.filter(pl.col("baseline_bytes") > 0).head(40)
    phased = frame["phase"].n_unique() > 1
    drawn = [
        bars.Bar(
            (f"{row['vm']} " if several else "") + row["device"] + (f", phase {row['phase']}" if phased else ""), _parts(row), _saved(row)
        )
        for row in rows.iter_rows(named=True)
    ]
    most = float(rows["baseline_bytes"].max() or 0)  # pyright: ignore[reportArgumentType]
    return figure(
        "Copies before and after, by device" + (" and phase of the workload" if phased else ""),
        "bytes through bounce buffers: a whole bar is bouncing alone" + (f"; nothing of {', '.join(idle)} bounces" if idle else ""),
        bars.chart(drawn, axis.size(most)), legend(_LEGEND),
    )  # fmt: skip


def _by_variant(totals: pl.DataFrame, variants: dict[str, str]) -> Markup:
    drawn = [bars.Bar(variants[row["variant"]], _parts(row), _saved(row)) for row in totals.head(40).iter_rows(named=True)]
    most = float(totals["baseline_bytes"].max() or 0)  # pyright: ignore[reportArgumentType]
    return figure(
        "Copies before and after, by variant", f"bytes through bounce buffers.{clipped(40, totals.height, 'variants')}",
        bars.chart(drawn, axis.size(most), width=760), legend(_LEGEND), wide=True,
    )  # fmt: skip


def _concentration(capture: Capture) -> Markup:
    frame = capture.rows("concentration")
    if frame.is_empty():
        return Markup("")
    frame = frame.filter(pl.col("bytes") > 0).with_columns(part=pl.col("top_bytes") / pl.col("bytes"))
    groups = list(frame.sort("bytes", descending=True).group_by("vm", "device", "phase", "forced", maintain_order=True))
    series, phased = [], frame["phase"].n_unique() > 1
    for i, ((_, device, phase, _), mine) in enumerate(groups[:COLOURS]):
        rows = mine.sort("top")
        name = f"{device}, {phase}" if phased else str(device)
        series.append(Series(name, rows["top"].to_list(), rows["part"].to_list(), colour(i), dots=True))
    top = int(frame["top"].max() or 1)  # pyright: ignore[reportArgumentType]
    largest = groups[0][1].sort("top")
    half = largest.filter(pl.col("part") >= 0.5)["top"].min()
    name = ", ".join(str(part) for part in (groups[0][0][1], f"phase {groups[0][0][2]}" if phased else "") if part)
    return figure(
        f"{half} of {largest['pages'][0]} pages make up half of what {name} copies",
        f"part of the copied bytes by the pages that have most.{clipped(len(series), len(groups), 'lines')}",
        lines.chart(series, axis.Axis("pages with the most copied bytes", 1, max(top, 2), log=True), axis.part(1.0, "part of the bytes")),
    )


def _table(frame: pl.DataFrame, variants: dict[str, str]) -> Markup:
    grouped = frame.group_by("variant", "vm", "device", "phase", maintain_order=True).agg(pl.col(*_NAMES).sum(), pl.col("cost").sum())
    columns = (
        "variant", "VM", "device", "phase", "transfers", "moved", "bounced", "copied without", "with", "forced", "pages remapped",
        "time, moves included",
    )  # fmt: skip

    def cells(row: dict) -> Sequence[object]:
        return (
            variants[row["variant"]], row["vm"], row["device"], row["phase"], format_count(row["transfers"]), format_bytes(row["bytes"]),
            format_count(row["bounced"]), format_bytes(row["baseline_bytes"]), format_bytes(row["copied_bytes"]),
            format_bytes(row["forced_bytes"]), format_count(row["remapped"]), f"{row['cost'] / 1e6:.1f} ms",
        )  # fmt: skip

    shown = figures(variants, columns, map(cells, grouped.iter_rows(named=True)), 3)
    return folded("Copies in figures", shown, Markup(f"<p class=limits>{_LIMITS}</p>"))
