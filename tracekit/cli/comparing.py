"""Commands that ask kept results: compare, sql."""

from pathlib import Path
from typing import Annotated

import typer

from tracekit.cli.options import Format, check_format, console

app = typer.Typer()

Kept = Annotated[list[Path], typer.Argument(help="Directories that replay -o has kept tables in; several as one.", show_default=False)]
_TABLES = ("summary", "differences", "front", "reasons")


@app.command()
def compare(
    results: Kept,
    by: Annotated[
        str | None, typer.Option(help="Parameter to compare, averaged over all others, such as paging.module. [default: a module]")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="One figure, with differences and their intervals, such as misses.")] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Value to compare with, such as lru or paging.module=lru. [default: what the paper chose]")
    ] = None,
    pivot: Annotated[str | None, typer.Option(metavar="PARAM", help="A matrix of the metric: a column a value of PARAM.")] = None,
    table: Annotated[str | None, typer.Option(help=f"Print this table only: {', '.join(_TABLES)}.")] = None,
    format: Format = "table",
) -> None:
    """Compare the variants of kept results on the same trace: differences from a baseline, the Pareto front, best and worst.

    Without --metric one line a variant with all figures; with it paired differences, all else equal, and their 95 % intervals:
    over seeds where the sweep has several (Student's t), else over time (block bootstrap).
    """
    from tracekit.display import table as drawn
    from tracekit.report import output
    from tracekit.results import open_results

    check_format(format, table or "compare")
    if table is not None and table not in _TABLES:
        raise typer.BadParameter(f"{table!r} is none of {', '.join(_TABLES)}", param_hint="--table")
    compared = open_results(*results).compare(by, metric, baseline)
    if pivot is not None:
        output.write_frame(compared.pivot(pivot), format, console())
    elif table is not None or format != "table":
        output.write_frame(getattr(compared, table or ("differences" if metric else "summary")), format, console())
    else:
        from tracekit.compare import shown

        screen = console()
        screen.print(drawn(shown.readable(shown.table(compared)), shown.heading(compared)))
        for line in shown.sentences(compared):
            screen.print(f"→ {line}", style="dim")


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="Query over the result tables by their names, such as faults.", show_default=False)],
    results: Annotated[list[Path] | None, typer.Argument(help="Directories of results. [default: results]", show_default=False)] = None,
    format: Format = "table",
) -> None:
    """Ask kept results in SQL; each result table is a view. Reads no file but theirs and changes none.

    tracekit sql "select trace, vm, sum(major) from faults group by all"
    """
    from tracekit.report import output
    from tracekit.results import open_results

    check_format(format, "sql")
    output.write_frame(open_results(*(results or [Path("results")])).sql(query), format, console())
