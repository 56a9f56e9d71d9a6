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
        table.add_column(name, justify="right" if kind.is_numeric() else "left", overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*(_cell(value) for value in row))
    console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
