"""Commands that make traces of traces: filter, sample, merge, shift, scale, anonymize, convert."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tracekit.cli.options import SampleSeed, Traces

app = typer.Typer()

Folder = Annotated[Path, typer.Option("-o", "--out", help="Directory to write the files to.", show_default=False)]
Name = Annotated[str | None, typer.Option(help="Name of the capture that is written. [default: as it was]")]


@app.command()
def filter(
    traces: Traces,
    out: Folder,
    begin: Annotated[str | None, typer.Option("--from", help="Keep what happens from here on, such as 30s.")] = None,
    end: Annotated[str | None, typer.Option("--until", help="Keep what happens before, such as 1min.")] = None,
    vm: Annotated[list[str] | None, typer.Option(help="Keep this VM; patterns and several are allowed.")] = None,
    pages: Annotated[str | None, typer.Option(metavar="FIRST-LAST", help="Keep these guest pages.")] = None,
    misses: Annotated[
        int | None, typer.Option(metavar="PAGES", min=1, help="Keep accesses that miss in an LRU memory of so many a VM.")
    ] = None,
    name: Name = None,
) -> None:
    """Keep a part of a capture: some time, VMs, pages, or what misses in a memory above."""
    from tracekit.tools.filter import Kept, filter_trace

    ppns = None
    if pages is not None:
        first, dash, last = pages.partition("-")
        if not (dash and first.isdigit() and last.isdigit()):
            raise typer.BadParameter(f"{pages!r} is not of the form FIRST-LAST, such as 0-4095", param_hint="--pages")
        ppns = int(first), int(last)
    kept = Kept(_time(begin, "--from"), _time(end, "--until"), vm or (), ppns, misses)
    _say(filter_trace(_one(traces), kept, out, name))


@app.command()
def sample(
    traces: Traces,
    out: Folder,
    rate: Annotated[float | None, typer.Option(help="Share of the pages, such as 0.1; all rows of a page or none.")] = None,
    every: Annotated[str | None, typer.Option(help="Instead: of every such span of time, …")] = None,
    keep: Annotated[str | None, typer.Option(help="… keep the beginning, such as 1s.")] = None,
    seed: SampleSeed = 0,
    name: Name = None,
) -> None:
    """Take a sample of a capture: of its pages, or of its time."""
    from tracekit.tools.sample import sample_pages, sample_time

    if (rate is None) == (every is None) or (every is None) != (keep is None):
        raise typer.BadParameter("give --rate, or --every and --keep")
    if rate is not None:
        _say(sample_pages(_one(traces), rate, out, name, seed))
    else:
        _say(sample_time(_one(traces), _time(every, "--every") or 0, _time(keep, "--keep") or 0, out, name))


@app.command()
def merge(
    traces: Traces,
    out: Folder,
    name: Annotated[str, typer.Option(help="Name of the capture that is written.", show_default=False)],
) -> None:
    """Put captures, or files of one kind, together as one capture on one clock."""
    from tracekit.tools.merge import merge as run
    from tracekit.trace import open_traces

    _say(run(open_traces(traces, together=True)[0], out, name))


@app.command()
def shift(
    traces: Traces,
    out: Folder,
    by: Annotated[str, typer.Option(help="How far, such as 10s, or -10s: back.", show_default=False)],
    name: Name = None,
) -> None:
    """Move a capture in time."""
    from tracekit.tools.times import shift as run

    span = _time(by.removeprefix("-"), "--by") or 0
    _say(run(_one(traces), -span if by.startswith("-") else span, out, name))


@app.command()
def scale(
    traces: Traces,
    out: Folder,
    by: Annotated[str, typer.Option(help="Factor of all times, such as 2, 0.5 or 1/3.", show_default=False)],
    name: Name = None,
) -> None:
    """Stretch or shorten the time of a capture."""
    from fractions import Fraction

    from tracekit.tools.times import scale as run

    try:
        factor = Fraction(by)
    except (ValueError, ZeroDivisionError):
        raise typer.BadParameter(f"{by!r} is no number, such as 2, 0.5 or 1/3", param_hint="--by") from None
    _say(run(_one(traces), factor, out, name))


@app.command()
def anonymize(
    traces: Traces,
    out: Folder,
    key_file: Annotated[
        Path, typer.Option(help="File with the key; keep it, or throw it away, but do not pass it on.", show_default=False)
    ],
    name: Annotated[str, typer.Option(help="Name of the capture that is written.")] = "anonymous",
) -> None:
    """Make a capture that may be passed on: digests keyed anew, pages permuted, names left out."""
    from tracekit.tools.anonymize import anonymize as run

    try:
        key = key_file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(str(error), param_hint="--key-file") from None
    _say(run(_one(traces), key, out, name))


@app.command()
def convert(
    traces: Traces,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="File to write: one that ends in .csv, or an oracleGeneral.", show_default=False)
    ],
) -> None:
    """Write accesses as oracleGeneral (libCacheSim), or the rows of one trace file as CSV."""
    from tracekit.tools.convert import to_csv, to_oracle_general
    from tracekit.tracefile import TraceFile

    if out.suffix == ".csv":
        if len(traces) > 1:
            raise typer.BadParameter("CSV holds one trace file; name one", param_hint="TRACES")
        rows = to_csv(TraceFile(traces[0]), out)
    else:
        rows = to_oracle_general(_one(traces), out)
    print(f"{out}: {rows} rows")


def _one(traces: Sequence[Any]) -> Any:
    from tracekit.trace import open_trace

    return open_trace(*traces)


def _say(paths: Sequence[Path]) -> None:
    for path in paths:
        print(path)


def _time(text: str | None, option: str) -> int | None:
    from tracekit.units import parse_duration

    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
