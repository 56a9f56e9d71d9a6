"""Results and frames for programs (JSON, CSV, Parquet) and, plainly, for people."""

import json
import sys
from collections.abc import Mapping

import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

from tracekit.errors import TracekitError
from tracekit.results import Results
from tracekit.units import format_bytes, format_count, format_duration

#: Columns of ns and of bytes in any table.
_TIMES = frozenset({"t", "first_t", "last_t", "span", "window", "length", "lag", "blocked"})
_SIZES = frozenset({"bytes", "file_bytes", "table_bytes", "memory", "migrated_bytes", "peak_rss"})


def write(results: Results, format: str, table: str | None, console: Console) -> None:
    """One table, or as JSON one document ``{"variants": […], "tables": {NAME: [rows…]}}``."""
    if table is not None:
        write_frame(results.table(table).collect(), format, console)
        return
    tables = {name: results.table(name).collect().to_dicts() for name in results.names}
    _print_json({"variants": tables.pop("variants"), "tables": tables})


def write_frames(frames: Mapping[str, Mapping[str, pl.DataFrame]], format: str, table: str | None, console: Console) -> None:
    """Named frames of several things: all, or the one called ``table`` with a first column that says whose it is."""
    if table is not None:
        picked = [
            frame.select(pl.lit(name).alias("trace"), pl.all())
            for name, group in frames.items()
            for key, frame in group.items()
            if key == table
        ]
        if not picked:
            known = sorted({key for group in frames.values() for key in group})
            raise TracekitError(f"no table {table!r} here; there are {', '.join(known)}")
        write_frame(pl.concat(picked, how="diagonal_relaxed"), format, console)
    elif format == "json":
        _print_json({name: {key: frame.to_dicts() for key, frame in group.items()} for name, group in frames.items()})
    else:
        for name, group in frames.items():
            for key, frame in group.items():
                write_frame(frame, format, console, title=f"{name}: {key}")


def write_frame(frame: pl.DataFrame, format: str, console: Console, title: str | None = None) -> None:
    """One frame in any format."""
    if format == "json":
        _print_json(frame.to_dicts())
    elif format == "csv":
        sys.stdout.write(frame.write_csv())
    elif format == "parquet":
        frame.write_parquet(sys.stdout.buffer)
    else:
        _print_table(frame, console, title)


def _print_json(value: object) -> None:
    json.dump(value, sys.stdout, ensure_ascii=False)
    sys.stdout.write("\n")


def _print_table(frame: pl.DataFrame, console: Console, title: str | None) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name, kind in frame.schema.items():
        table.add_column(name.replace("_", " "), justify="right" if kind.is_numeric() else "left", overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*(_cell(name, value) for name, value in zip(frame.columns, row)))
    console.print(table)


def _cell(name: str, value: object) -> str:
    """A value as a person reads it: times and sizes by the column's name, counts in groups of three."""
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    if isinstance(value, float):
        return f"{value:.6g}"
    if not isinstance(value, int):
        return str(value)
    if name in _TIMES:
        return format_duration(value) if value >= 0 else f"−{format_duration(-value)}"
    return format_bytes(value) if name in _SIZES else format_count(value)
