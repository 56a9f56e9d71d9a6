"""Miss-ratio curves for a person: a bar a size, from 0 to 1, in 100 columns."""

import polars as pl
from rich.console import Console
from rich.text import Text

from tracekit.units import format_count, format_pages

_EIGHTHS = " ▏▎▍▌▋▊▉"
#: Lines of a curve; a longer one is thinned out, and memories below this part of the largest are left out then.
LINES, LEAST = 25, 1 / 500
_BAR = 48


def show(frame: pl.DataFrame, console: Console) -> None:
    """Print each curve of a table ``mrc``."""
    for (trace, vm, method, policy), curve in frame.group_by("trace", "vm", "method", "policy", maintain_order=True):
        facts = curve.row(0, named=True)
        seen, every = facts["sampled"], facts["accesses"]
        text = Text(f"{trace}", style="bold")
        text.append(f"  {'all VMs' if vm == '*' else vm} · {policy}, {method} · {format_count(every)} accesses", style="not bold")
        text.append("\n" if seen == every else f", {format_count(seen)} of them sampled\n", style="not bold")
        interval = curve["low"].is_not_null().any()
        head = f"{'pages':>11} {'memory':>9} {'misses':>8} "
        text.append(head + f"{'95 % interval':>17} \n" if interval else head + "\n", style="dim not bold")
        for row in _thinned(curve).iter_rows(named=True):
            bounds = f"{_percent(row['low']):>8}–{_percent(row['high']):<8} " if interval else ""
            size = f"{format_count(row['frames']):>11} {format_pages(row['frames']):>9}"
            text.append(f"{size} {_percent(row['miss_ratio']):>8} {bounds}{_bar(row['miss_ratio'])}\n", style="not bold")
        console.print(text, no_wrap=True, overflow="ellipsis", width=min(100, console.width))


def _thinned(curve: pl.DataFrame) -> pl.DataFrame:
    """Evenly taken rows, the last among them; of sizes that somebody might give."""
    if curve.height <= LINES:
        return curve
    curve = curve.filter(pl.col("frames") >= LEAST * pl.col("frames").max())
    if curve.height <= LINES:
        return curve
    return curve[sorted({round(i * (curve.height - 1) / (LINES - 1)) for i in range(LINES)})]


def _percent(ratio: float | None) -> str:
    return "–" if ratio is None else f"{100 * ratio:.2f} %"


def _bar(ratio: float | None) -> str:
    eighths = round((ratio or 0.0) * _BAR * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()
