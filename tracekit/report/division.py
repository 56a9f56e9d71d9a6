"""Partition advice for a person: a line a VM, two columns a rule."""

import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tracekit.units import format_count, format_pages

_RULES = ("utility", "shares", "equal", "footprint")


def show(frame: pl.DataFrame, memory: int, console: Console) -> None:
    """Print each trace of a table ``partition``."""
    for (trace, method), mine in frame.group_by("trace", "method", maintain_order=True):
        title = (
            f"{trace}: {format_pages(memory)} divided between {mine['vm'].n_unique() - 1} VMs by four rules; misses under LRU ({method})"
        )
        table = Table(
            title=title,
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        table.add_column("vm", overflow="ellipsis", no_wrap=True, min_width=9)
        for rule in _RULES:
            table.add_column(f"by {rule}", justify="right", no_wrap=True)
            table.add_column("misses", justify="right", no_wrap=True)
        rows = {(row["rule"], row["vm"]): row for row in mine.iter_rows(named=True)}
        for vm in mine["vm"].unique(maintain_order=True):
            cells = [rows[rule, vm] for rule in _RULES]
            shown = [text for row in cells for text in (format_pages(row["frames"]), f"{100 * row['miss_ratio']:.2f} %")]
            table.add_row("all" if vm == "*" else vm, *shown, style="bold" if vm == "*" else None)
        console.print(table, width=min(100, console.width))
        misses = {rule: rows[rule, "*"]["misses"] for rule in (*_RULES, "undivided")}
        counted = ", ".join(f"{rule} {format_count(count)}" for rule, count in misses.items())
        console.print(Text(f"misses in all: {counted} (one LRU over all VMs)\n", style="dim"), width=min(100, console.width))
