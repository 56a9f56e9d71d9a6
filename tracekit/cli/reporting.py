"""Commands that write pages: report."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def report(
    results: Annotated[Path, typer.Argument(help="Directory that replay -o has kept tables in.", show_default=False)],
    traces: Annotated[
        list[Path] | None,
        typer.Argument(help="Trace files that were replayed: adds heat maps, working sets, miss-ratio curves.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="HTML file to write.")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Replay of virtual-machine memory",
) -> None:
    """Write kept results as one HTML page to hand on: charts, figures, parameters, provenance; it needs no network."""
    from tracekit.report import page
    from tracekit.report.page.seen import look
    from tracekit.report.progress import progress
    from tracekit.results import open_results

    opened = open_results(results)
    with progress() as shown:
        seen = look(traces, opened, shown) if traces else None
    page.write(page.page(opened, seen, title), out)
    print(out)
