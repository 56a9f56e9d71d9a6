"""The command that reproduces the paper's figures: repro."""

from pathlib import Path
from typing import Annotated

import typer

from tracekit.cli.options import Format, check_format, console

app = typer.Typer()


@app.command()
def repro(
    figures: Annotated[list[str], typer.Argument(help="fig2, fig4, fig5, fig6, fig7, fig8, sec7 or all.", show_default=False)],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="HTML file to write, with a chart a figure.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic traces and of every random choice.")] = 0,
    traces: Annotated[
        Path | None, typer.Option(help="Folder of the committed real captures. [default: traces here, or of the checkout]")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=V", help="Set stage.parameter of one figure's replay, to see what it does.")
    ] = None,
    format: Format = "table",
) -> None:
    """Reproduce the paper's figures: measured beside published, with the deviation; each labelled real or synthetic."""
    import sys
    import time

    from tracekit import repro as reproductions
    from tracekit.report import output, page
    from tracekit.report.progress import progress
    from tracekit.repro import shown

    check_format(format, "repro")
    began = time.monotonic()
    if reproductions.captures(traces) is None:
        print(
            "tracekit: no real captures here (they come with a checkout; --traces DIR): synthetic traces take their place", file=sys.stderr
        )
    with progress() as report:
        outcomes = reproductions.reproduce(figures, seed, traces, settings or (), report)
    if out is not None:
        page.write(shown.page(outcomes, seed, time.monotonic() - began), out)
    if format == "table":
        shown.show(outcomes, console())
    else:
        output.write_frame(reproductions.table(outcomes), format, console())
