"""The command that asks a question of results: analyze."""

from pathlib import Path
from typing import Annotated

import typer

from tracekit.cli.options import Format, check_format, console

app = typer.Typer()
#: Rows that a terminal is shown.
ROWS = 40


@app.command()
def analyze(
    name: Annotated[
        str | None, typer.Argument(help="An analysis, or the path of one of your own. [default: list them]", show_default=False)
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Argument(help="Directories of results, or trace files where it wants those. [default: results]", show_default=False),
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it on a page that needs no network.")] = None,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it as a picture.")] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it as a picture of any size.")] = None,
    format: Format = "table",
) -> None:
    """Ask a question of kept results: a table, or a chart in a file. Without a name it lists the questions."""
    from tracekit.report import analyses, chart, output

    check_format(format, "analyze")
    if name is None:
        import polars as pl

        found = analyses.questions()
        output.write_frame(pl.DataFrame({"analysis": list(found), "question": list(found.values())}), format, console())
        return
    asked = analyses.load(name)
    paths = results or [Path("results")]
    frame = asked.table(paths)
    if html or png or svg:
        drawn = asked.chart(frame)
        if html:
            from tracekit import __version__

            about = {title: text for title, text in asked.about.items() if title != "Wants"}
            footer = f"tracekit {__version__}, analysis {asked.name} of {asked.origin(paths)}"
            chart.html(drawn, html, asked.question, about, frame, footer)
        for path, kind in ((png, "png"), (svg, "svg")):
            if path:
                chart.picture(drawn, path, kind)
    elif format == "table":
        screen = console()
        screen.print(asked.question, style="bold")
        output.write_frame(frame.head(ROWS), format, screen)
        if frame.height > ROWS:
            screen.print(f"… and {frame.height - ROWS} more rows: --format csv", style="dim")
    else:
        output.write_frame(frame, format, console())
