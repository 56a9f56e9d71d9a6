"""Commands on a whole fleet: dedup."""

from pathlib import Path
from typing import Annotated

import typer

from tracekit.cli.options import Format, TableName, Traces, check_format, console
from tracekit.cli.sweeping import Jobs, MemoryLimit, Scheduler, pool_of

app = typer.Typer()


@app.command()
def dedup(
    traces: Traces,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Directory to keep the tables in, and what has been counted, so that it goes on.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV file with columns vm (name or pattern), tenant, image, host, … [default: domain, OS, capture]"),
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Moment to look at, from a capture's first row. [default: its end]")
    ] = None,
    host_memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Place the VMs on hosts of this memory: who should share?")
    ] = None,
    hosts: Annotated[int, typer.Option(min=0, help="How many such hosts there are. [default: as many as it takes]")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the random placements.")] = 0,
    scheduler: Scheduler = None,
    jobs: Jobs = None,
    memory_limit: MemoryLimit = None,
    format: Format = "table",
    table: TableName = None,
) -> None:
    """Count equal pages over all VMs of many captures: what sharing would save within hosts, tenants, images, or everywhere.

    With --host-memory: which VMs should share a host, against random placement and against what no placement exceeds.
    """
    from contextlib import ExitStack
    from tempfile import TemporaryDirectory

    import polars as pl

    from tracekit.errors import ScenarioError
    from tracekit.fleet.dedup import dedup as counted
    from tracekit.report import output
    from tracekit.report.progress import progress
    from tracekit.results import check_folder
    from tracekit.units import PAGE_BYTES, parse_duration, parse_size

    check_format(format, table)
    if scheduler and not out:
        raise typer.BadParameter("give -o DIR, a directory that all workers reach", param_hint="--scheduler")
    try:
        until = parse_duration(at) if at else None
        capacity = parse_size(host_memory) // PAGE_BYTES if host_memory else 0
    except ValueError as error:
        raise ScenarioError(f"{error}") from None
    if hosts and not capacity:
        raise typer.BadParameter("give --host-memory too", param_hint="--hosts")
    with ExitStack() as stack:
        if out:
            check_folder(out)
        folder = out / "counted" if out else Path(stack.enter_context(TemporaryDirectory()))
        pool = pool_of(scheduler, jobs, memory_limit)
        stack.callback(pool.close)
        show = stack.enter_context(progress())
        tables = counted(
            traces, pool=pool, folder=folder, labels=labels, until=until, capacity=capacity, hosts=hosts, seed=seed, progress=show
        )
    for name, frame in tables.items() if out else ():
        frame.write_parquet(out / f"{name}.parquet")  # pyright: ignore[reportOptionalOperand]
    if format == "table" and table is None:
        tables["sharing"] = tables["sharing"].filter(pl.col("by") != "vm")
    output.write_frames({"fleet": tables}, format, table, console())
