"""Commands on traces themselves: check, inspect, synth."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tracekit.cli.options import Format, TableName, Traces, check_format, console

app = typer.Typer()


@app.command()
def check(
    traces: Traces,
    format: Format = "table",
) -> None:
    """Check trace files against the rules of the trace model; exits with 1 if one is broken."""
    import polars as pl

    from tracekit import check as checking
    from tracekit.report import output
    from tracekit.schema import TRUTH_SUFFIX

    check_format(format, "check")
    traces = [path for path in traces if not path.name.endswith(TRUTH_SUFFIX)]
    found = [finding for path in traces for finding in checking.check_file(path)]
    found += checking.check_capture(traces) if not any(f.severity == "error" for f in found) else []
    rows = [finding.as_row() for finding in found]
    if rows or format != "table":
        output.write_frame(pl.DataFrame(rows), format, console())
    errors = sum(finding.severity == "error" for finding in found)
    print(f"{len(traces)} file(s): {errors} error(s), {len(found) - errors} warning(s)", file=sys.stderr)
    if errors:
        raise typer.Exit(1)


@app.command()
def inspect(
    traces: Traces,
    together: Annotated[bool, typer.Option("--together", help="Look at all captures as one host.")] = False,
    format: Format = "table",
    table: TableName = None,
) -> None:
    """Show what traces hold: VMs, kinds, rates, working sets, sharing, devices, capabilities."""
    from tracekit.inspect import inspect_trace
    from tracekit.report import output
    from tracekit.trace import open_traces

    check_format(format, table)
    output.write_frames({trace.name: inspect_trace(trace) for trace in open_traces(traces, together)}, format, table, console())


@app.command()
def synth(
    recipe: Annotated[
        str | None, typer.Argument(help="Recipe, or a TOML file with one; without, all are listed.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Directory to write the capture to.")] = None,
    params: Annotated[list[str] | None, typer.Option("-p", "--param", metavar="KEY=VALUE", help="Parameter of the recipe.")] = None,
    seed: Annotated[int, typer.Option(help="Seed: the same one gives the same rows, bit for bit.")] = 0,
    name: Annotated[str | None, typer.Option(help="Name of the capture. [default: the recipe's]")] = None,
    toml: Annotated[bool, typer.Option("--toml", help="Print the recipe's own text, to copy and change.")] = False,
) -> None:
    """Synthesize a trace from a recipe, with the truth beside it."""
    from tracekit import synth as synthesis
    from tracekit.errors import ScenarioError
    from tracekit.report import recipes

    if recipe is not None and toml:
        print(synthesis.find(recipe).text, end="")
        return
    if recipe is None or out is None:
        recipes.show(recipe, console())
        return
    given = {}
    for item in params or ():
        key, equals, value = item.partition("=")
        if not equals:
            raise ScenarioError(f"-p {item!r} is not of the form KEY=VALUE, such as -p pages=1000")
        given[key] = value
    for path in synthesis.synthesize(recipe, out, seed, name, given):
        print(path)
