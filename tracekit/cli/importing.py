"""The commands `tracekit import FORMAT`: traces of other formats brought in."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="import", help="Bring in traces of other formats.", no_args_is_help=True)


@app.command("parquet")
def import_parquet(
    file: Annotated[Path, typer.Argument(help="Parquet file with columns of its own.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", help="Trace file to write: CAPTURE.KIND.parquet.")],
    mapping: Annotated[
        str, typer.Option("--map", help="t=time*1000,ppn=addr/4096,vm='guest': trace column = source column, scaled or literal.")
    ],
    kind: Annotated[str | None, typer.Option(help="access, content, io or event. [default: from the columns mapped]")] = None,
    sort: Annotated[bool, typer.Option("--sort", help="Sort by time in memory first.")] = False,
) -> None:
    """Import a plain Parquet file of any columns as a trace."""
    from tracekit.formats.mapping import parse_mapping
    from tracekit.formats.parquet import import_parquet as run

    print(run(file, out, parse_mapping(mapping), kind=kind, sort=sort))
