"""What commands share: types of options, checks of their values, the console."""

from pathlib import Path
from typing import Annotated, Any

import typer


def _place(text: str) -> Any:
    from tracekit.location import place

    return place(text)


Traces = Annotated[
    list[Any],
    typer.Argument(
        parser=_place, metavar="TRACES...", help="Trace files or URLs; those of one capture are replayed together.", show_default=False
    ),
]
OutDir = Annotated[
    Path | None, typer.Option("-o", "--out", help="Directory to keep the tables in; replays already there are not run again.")
]
Format = Annotated[str, typer.Option("--format", help="table (for people), json, csv or parquet.")]
Method = Annotated[str, typer.Option(help="exact, shards (samples pages), aet (from reuse times) or mini (any policy, on a sample).")]
SampleSize = Annotated[int | None, typer.Option(metavar="N", help="Most pages that shards samples: the rate falls as it must.")]
SampleSeed = Annotated[int, typer.Option(help="Seed of the hash that pages are sampled by.")]
TableName = Annotated[str | None, typer.Option("--table", help="Print this table only, such as savings.")]


def check_method(method: str, known: tuple[str, ...]) -> None:
    """Refuse a method that is none of those known (exit code 2)."""
    if method not in known:
        raise typer.BadParameter(f"{method!r} is none of {', '.join(known)}", param_hint="--method")


def check_format(format: str, table: str | None) -> None:
    """Refuse a format that is not known, or one that holds one table where none is named (exit code 2)."""
    if format not in ("table", "json", "csv", "parquet"):
        raise typer.BadParameter(f"{format!r} is none of table, json, csv, parquet", param_hint="--format")
    if format in ("csv", "parquet") and table is None:
        raise typer.BadParameter(f"{format} holds one table: name it with --table", param_hint="--format")


def console() -> Any:
    """The console that tables are printed on: 100 columns wide where it is no terminal."""
    from rich.console import Console

    # Names in a trace may look like markup.
    console = Console(highlight=False, markup=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, emoji=False, width=100)
