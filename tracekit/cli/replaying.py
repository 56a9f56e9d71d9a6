"""Commands that replay: replay, modules."""

from pathlib import Path
from typing import Annotated

import typer

from tracekit.cli.options import Format, OutDir, TableName, Traces, check_format, console

app = typer.Typer()


@app.command()
def replay(
    traces: Traces,
    scenario: Annotated[Path | None, typer.Option("-s", "--scenario", help="Scenario file (TOML).")] = None,
    preset: Annotated[
        str, typer.Option(help="Scenario to take without a file: esx, sharing, paging, balloon, swap, tax, remap, tier or working-set.")
    ] = "esx",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=V[,V…]", help="Set stage.parameter; several values are a sweep: --set tax.rate=0,0.75"),
    ] = None,
    memory: Annotated[str | None, typer.Option(help="Machine memory, such as 512MiB. [default: sized from the trace]")] = None,
    until: Annotated[str | None, typer.Option(help="Trace time to replay, such as 10min; may go beyond the last event.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random choice. [default: 0]")] = None,
    together: Annotated[bool, typer.Option("--together", help="Put the VMs of all captures on one host.")] = False,
    chunk: Annotated[int, typer.Option(metavar="ROWS", help="Rows decoded at a time; has no influence on results.")] = 1 << 18,
    jobs: Annotated[int | None, typer.Option(min=1, help="Threads that variants are spread over. [default: all cores]")] = None,
    out: OutDir = None,
    format: Format = "table",
    table: TableName = None,
    audit: Annotated[bool, typer.Option("--audit", help="Prove the host's books after every chunk (slow).")] = False,
) -> None:
    """Replay traces and report savings, sampling accuracy, faults and bounce-buffer copies.

    Without a scenario it replays the paper's: content-based sharing, balloon before random paging, sampled idle tax,
    hot I/O page remapping. `tracekit modules` lists what else can fill each stage.
    """
    from tracekit import engine
    from tracekit.report.progress import progress

    check_format(format, table)
    with progress() as report:
        results = engine.replay(
            traces, scenario, preset=preset, settings=settings or (), memory=memory, until=until, seed=seed, together=together,
            chunk=chunk, jobs=jobs, out=out, auditing=audit, progress=report,
        )  # fmt: skip
    if format == "table" and table is None:
        from tracekit.report import screen

        screen.show(results, console(), str(out) if out else None)
    else:
        from tracekit.report import output

        output.write(results, format, table, console())


@app.command()
def modules(
    name: Annotated[str | None, typer.Argument(help="Module such as paging.lru, or a stage.", show_default=False)] = None,
) -> None:
    """List the modules that can fill each stage, or explain one and its parameters."""
    from tracekit.report import modules as listing

    listing.show(name, console())
