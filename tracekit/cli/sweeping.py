"""Commands on many traces: sweep."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from tracekit.cli.options import Format, Traces, check_format, console

app = typer.Typer()

Jobs = Annotated[int | None, typer.Option(min=1, help="Processes. [default: one a core, as far as memory allows]")]
MemoryLimit = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Memory that all processes may take together. [default: 80 % of what is available]")
]
Scheduler = Annotated[
    str | None, typer.Option(metavar="tcp://HOST:PORT", help="Dask scheduler whose workers do it, instead of processes started here.")
]


@app.command()
def sweep(
    traces: Traces,
    out: Annotated[Path, typer.Option("-o", "--out", help="Directory to keep the cells in; those already there are not made again.")],
    scenario: Annotated[Path | None, typer.Option("-s", "--scenario", help="Scenario file (TOML).")] = None,
    preset: Annotated[str, typer.Option(help="Scenario to take without a file.")] = "esx",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=V[,V…]", help="Set stage.parameter; several values make variants.")
    ] = None,
    memory: Annotated[str | None, typer.Option(help="Machine memory, such as 512MiB. [default: sized from each trace]")] = None,
    until: Annotated[str | None, typer.Option(help="Trace time to replay, such as 10min.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random choice. [default: 0]")] = None,
    scheduler: Scheduler = None,
    jobs: Jobs = None,
    memory_limit: MemoryLimit = None,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Make all other cells if one fails; exits with 1.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what there is to do and what it will take, and do nothing.")] = False,
    format: Format = "table",
    audit: Annotated[bool, typer.Option("--audit", help="Prove the hosts' books after every chunk (slow).")] = False,
) -> None:
    """Replay many traces through every variant, in processes that may die: run it again, and it goes on where it was.

    A cell is one trace and variant, kept in a folder of its own. `tracekit compare DIR` compares them.
    """
    from contextlib import closing

    from tracekit import sweep as sweeping
    from tracekit.pool.task import IDLE_BYTES
    from tracekit.report import output
    from tracekit.report import sweeping as report
    from tracekit.report.progress import progress

    check_format(format, "sweep")
    began = time.monotonic()
    with closing(pool_of(scheduler, jobs, memory_limit)) as pool:
        prepared = sweeping.prepare(
            traces, scenario, out=out, pool=pool, preset=preset, settings=settings or (), memory=memory, until=until, seed=seed,
            auditing=audit, keep_going=keep_going,
        )  # fmt: skip
        plan = prepared.plan
        for reason in dict.fromkeys(plan.refused):
            print(f"left out: {reason}", file=sys.stderr)
        if dry_run:
            output.write_frame(report.frame(prepared), format, console())
            print(f"{plan.todo} cells to make, {plan.kept} kept: {report.estimate(prepared, pool.workers, IDLE_BYTES)}", file=sys.stderr)
            return
        with progress() as show:
            failures = sweeping.run(prepared, pool, keep_going, show)
    lost = sum(1 for failure in failures if failure.variant)
    took = time.monotonic() - began
    print(f"{plan.todo - lost} cells made, {plan.kept} kept, {len(failures)} failed, in {took:.1f} s; tables: {out}", file=sys.stderr)
    if failures:
        report.show_failures(failures, console())
        raise typer.Exit(1)


def pool_of(scheduler: str | None, jobs: int | None, memory_limit: str | None) -> Any:
    """The workers that these options ask for. Raises TracekitError."""
    from tracekit.errors import ScenarioError
    from tracekit.units import parse_size

    if scheduler:
        if jobs or memory_limit:
            raise typer.BadParameter("how many workers a scheduler has, and with how much memory, is said where they are started")
        from tracekit.pool.scheduler import DaskPool

        return DaskPool(scheduler)
    from tracekit.pool.local import LocalPool

    try:
        return LocalPool(jobs, parse_size(memory_limit) if memory_limit else None)
    except ValueError as error:
        raise ScenarioError(f"--memory-limit: {error}") from None
