"""The command line. Heavy imports stand inside the commands, so that --help is quick.

Exit codes: 0 done, 1 a check found a problem, 2 usage, 3 bad trace or scenario, 130 interrupted.
"""

import io
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tracekit import __version__
from tracekit.errors import TracekitError

app = typer.Typer(
    name="tracekit",
    help="Replay virtual-machine memory traces: sharing, ballooning and paging, idle tax, I/O remapping, on one clock.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog="Start with: tracekit replay traces/\\*.parquet",
)
importer = typer.Typer(help="Bring in traces of other formats.", no_args_is_help=True)
app.add_typer(importer, name="import")

Traces = Annotated[list[Path], typer.Argument(help="Trace files; those of one capture are replayed together.", show_default=False)]
OutDir = Annotated[
    Path | None, typer.Option("-o", "--out", help="Directory to keep the tables in; replays already there are not run again.")
]
Format = Annotated[str, typer.Option("--format", help="table (for people), json, csv or parquet.")]
Method = Annotated[str, typer.Option(help="exact, shards (samples pages), aet (from reuse times) or mini (any policy, on a sample).")]
SampleSize = Annotated[int | None, typer.Option(metavar="N", help="Most pages that shards samples: the rate falls as it must.")]
SampleSeed = Annotated[int, typer.Option(help="Seed of the hash that pages are sampled by.")]
TableName = Annotated[str | None, typer.Option("--table", help="Print this table only, such as savings.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tracekit {__version__}")
        raise typer.Exit()


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    pass


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

    _check_format(format, table)
    with progress() as report:
        results = engine.replay(
            traces, scenario, preset=preset, settings=settings or (), memory=memory, until=until, seed=seed, together=together,
            chunk=chunk, jobs=jobs, out=out, auditing=audit, progress=report,
        )  # fmt: skip
    if format == "table" and table is None:
        from tracekit.report import screen

        screen.show(results, _console(), str(out) if out else None)
    else:
        from tracekit.report import output

        output.write(results, format, table, _console())


@app.command()
def compare(
    results: Annotated[Path, typer.Argument(help="Directory that replay -o has kept tables in.", show_default=False)],
    by: Annotated[str | None, typer.Option(help="Average over all parameters but this one, such as paging.module.")] = None,
    metric: Annotated[str | None, typer.Option(help="Show this figure only, such as misses.")] = None,
    format: Format = "table",
) -> None:
    """Compare the variants of kept results, one line each, on the same traces."""
    from tracekit.report import output
    from tracekit.report.summary import compare as compared
    from tracekit.results import open_results

    _check_format(format, "compare")
    output.write_frame(compared(open_results(results), by, metric), format, _console())


@app.command()
def check(
    traces: Traces,
    format: Format = "table",
) -> None:
    """Check trace files against the rules of the trace model; exits with 1 if one is broken."""
    import polars as pl

    from tracekit import check as checking
    from tracekit.report import output

    _check_format(format, "check")
    found = [finding for path in traces for finding in checking.check_file(path)]
    found += checking.check_capture(traces) if not any(f.severity == "error" for f in found) else []
    rows = [finding.as_row() for finding in found]
    if rows or format != "table":
        output.write_frame(pl.DataFrame(rows), format, _console())
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

    _check_format(format, table)
    output.write_frames({trace.name: inspect_trace(trace) for trace in open_traces(traces, together)}, format, table, _console())


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
    _check_method(method, ("exact", "shards", "aet", "mini"))
    _check_format(format, "mrc")
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
        plot.show(frame, _console())
    else:
        output.write_frame(frame, format, _console())


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

    _check_method(method, ("exact", "shards", "aet"))
    _check_format(format, "partition")
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
        division.show(frame, pages, _console())
    else:
        output.write_frame(frame, format, _console())


@app.command()
def modules(
    name: Annotated[str | None, typer.Argument(help="Module such as paging.lru, or a stage.", show_default=False)] = None,
) -> None:
    """List the modules that can fill each stage, or explain one and its parameters."""
    from tracekit.report import modules as listing

    listing.show(name, _console())


@app.command()
def synth(
    recipe: Annotated[str | None, typer.Argument(help="Recipe; without one, all are listed.", show_default=False)] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Directory to write the capture to.")] = None,
    params: Annotated[list[str] | None, typer.Option("-p", "--param", metavar="KEY=VALUE", help="Parameter of the recipe.")] = None,
    seed: Annotated[int, typer.Option(help="Seed: the same one gives the same rows, bit for bit.")] = 0,
    name: Annotated[str | None, typer.Option(help="Name of the capture. [default: the recipe's]")] = None,
) -> None:
    """Synthesize a trace from a recipe, with the truth beside it."""
    from tracekit import synth as synthesis
    from tracekit.errors import ScenarioError
    from tracekit.report import recipes

    if recipe is None or out is None:
        recipes.show(recipe, _console())
        return
    given = {}
    for item in params or ():
        key, equals, value = item.partition("=")
        if not equals:
            raise ScenarioError(f"-p {item!r} is not of the form KEY=VALUE, such as -p pages=1000")
        given[key] = value
    for path in synthesis.synthesize(recipe, out, seed, name, given):
        print(path)


@importer.command("parquet")
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


def _check_method(method: str, known: tuple[str, ...]) -> None:
    if method not in known:
        raise typer.BadParameter(f"{method!r} is none of {', '.join(known)}", param_hint="--method")


def _check_format(format: str, table: str | None) -> None:
    if format not in ("table", "json", "csv", "parquet"):
        raise typer.BadParameter(f"{format!r} is none of table, json, csv, parquet", param_hint="--format")
    if format in ("csv", "parquet") and table is None:
        raise typer.BadParameter(f"{format} holds one table: name it with --table", param_hint="--format")


def _console() -> Any:
    from rich.console import Console

    # Names in a trace may look like markup.
    console = Console(highlight=False, markup=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, emoji=False, width=100)


def main() -> None:
    """Run the command line; what the user did wrong is one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except TracekitError as error:
        print(f"tracekit: {' '.join(str(error).splitlines())}", file=sys.stderr)
        sys.exit(3)
    except KeyboardInterrupt:
        print("tracekit: interrupted; what was finished is kept", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
