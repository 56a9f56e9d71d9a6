"""Commands on miss-ratio curves: mrc, partition."""

from typing import Annotated, Any

import typer

from tracekit.cli.options import Format, Method, SampleSeed, SampleSize, Traces, check_format, check_method, console

app = typer.Typer()


@app.command()
def mrc(
    traces: Traces,
    method: Method = "exact",
    policy: Annotated[str, typer.Option(help="Replacement policy that mini simulates, such as clock; the others know lru.")] = "lru",
    rate: Annotated[
        float | None, typer.Option(help="Share of the pages that shards, mini sample. [default: 0.1, or 1 with --size]")
    ] = None,
    size: SampleSize = None,
    per_vm: Annotated[bool, typer.Option("--per-vm/--joint", help="A curve for each VM, or one for all in one memory.")] = False,
    sizes: Annotated[str | None, typer.Option(metavar="N[,N…]", help="Memory sizes, in pages. [default: some 50 up to all in use]")] = None,
    together: Annotated[bool, typer.Option("--together", help="Put the VMs of all captures on one host.")] = False,
    seed: SampleSeed = 0,
    format: Format = "table",
) -> None:
    """Draw miss-ratio curves: what share of the accesses misses in memories of all sizes, under LRU or any other policy."""
    check_method(method, ("exact", "shards", "aet", "mini"))
    check_format(format, "mrc")
    try:
        wanted = sorted({int(item) for item in sizes.split(",")}) if sizes is not None else None
    except ValueError:
        raise typer.BadParameter(f"{sizes!r} is not a list of pages such as 1000,2000", param_hint="--sizes") from None
    import polars as pl

    from tracekit.mrc import curves
    from tracekit.report import curves as plot
    from tracekit.report import output
    from tracekit.report.progress import progress
    from tracekit.trace import open_traces

    given: dict[str, Any] = {"policy": policy, "per_vm": per_vm, "sizes": wanted, "rate": rate, "size": size, "seed": seed}
    with progress() as report:
        frame = pl.concat(curves(trace, method, **given, progress=report) for trace in open_traces(traces, together))
    if format == "table":
        plot.show(frame, console())
    else:
        output.write_frame(frame, format, console())


@app.command()
def partition(
    traces: Traces,
    memory: Annotated[str, typer.Option(help="Memory to divide, such as 300MiB.")],
    shares: Annotated[
        str | None, typer.Option(metavar="VM=N[,VM=N…]", help="Shares of VMs; names may be patterns. [default: by their sizes]")
    ] = None,
    method: Annotated[str, typer.Option(help="exact, shards (samples pages) or aet (from reuse times).")] = "exact",
    rate: Annotated[float | None, typer.Option(help="Share of the pages that shards samples. [default: 0.1, or 1 with --size]")] = None,
    size: SampleSize = None,
    together: Annotated[bool, typer.Option("--together", help="Put the VMs of all captures on one host.")] = False,
    seed: SampleSeed = 0,
    format: Format = "table",
) -> None:
    """Divide a memory between VMs by utility, shares, equally or by footprint, and say what each would miss under LRU."""
    from tracekit.units import PAGE_BYTES, parse_size

    check_method(method, ("exact", "shards", "aet"))
    check_format(format, "partition")
    try:
        pages = parse_size(memory) // PAGE_BYTES
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--memory") from None
    try:
        given = {name: int(count) for name, _, count in (item.rpartition("=") for item in shares.split(","))} if shares else None
    except ValueError:
        raise typer.BadParameter(f"{shares!r} is not of the form VM=N[,VM=N…], such as web=2000,db=1000", param_hint="--shares") from None
    import polars as pl

    from tracekit.mrc.partition import partition as divide
    from tracekit.report import division, output
    from tracekit.trace import open_traces

    opened = open_traces(traces, together)
    frame = pl.concat(divide(trace, pages, method, shares=given, rate=rate, size=size, seed=seed) for trace in opened)
    if format == "table":
        division.show(frame, pages, console())
    else:
        output.write_frame(frame, format, console())
