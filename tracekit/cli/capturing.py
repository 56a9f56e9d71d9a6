"""The commands `tracekit capture …`: traces of what runs here."""

from pathlib import Path
from typing import Annotated

import typer

from tracekit.cli.options import Format, check_format, console

app = typer.Typer(name="capture", help="Capture traces: contents, accesses and DMA of VMs, processes and images.", no_args_is_help=True)
Out = Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER/CAPTURE", help="Where to write: CAPTURE.KIND.parquet in FOLDER.")]


@app.command()
def content(
    out: Out,
    qmp: Annotated[list[str] | None, typer.Option(metavar="[NAME=]SOCKET", help="QMP socket of a running QEMU; may be repeated.")] = None,
    every: Annotated[str, typer.Option(help="Time from one snapshot of a guest to its next.")] = "5s",
    during: Annotated[str | None, typer.Option("--for", help="How long. [default: until Ctrl-C]")] = None,
    key_file: Annotated[Path | None, typer.Option(help="File of at least 16 random bytes that digests are keyed by.")] = None,
    compressed: Annotated[str | None, typer.Option(metavar="CODEC", help="Measure changed pages under lz4, zstd or snappy.")] = None,
    format: Format = "table",
) -> None:
    """Capture page contents as digests: stop a guest, digest its pages, continue it, over and over.

    A snapshot after the first holds changed pages only. Ctrl-C ends a capture properly.
    """
    from tracekit.capture.content import ContentCapture, read_key
    from tracekit.capture.guests import open_guests
    from tracekit.report import capturing

    check_format(format, "capture")
    every_ns, for_ns = _duration(every, "--every"), _duration(during, "--for") if during else None
    key = read_key(key_file)
    parameters = {"every": every, "for": during, "key_file": key_file is not None}
    with open_guests(qmp or ()) as guests:
        done = ContentCapture(guests, out, key, compressed, parameters).run(every_ns, for_ns)
    capturing.show_content(done, format, console())
    if done.signal and during:
        raise KeyboardInterrupt


@app.command()
def finish(
    captures: Annotated[list[Path], typer.Argument(metavar="FOLDER/CAPTURE…", help="Captures that were killed.", show_default=False)],
) -> None:
    """Join the snapshots that a killed capture has left in CAPTURE.parts into one trace file."""
    from tracekit.capture.recording import finish_left

    for capture in captures:
        print(finish_left(capture))


def _duration(text: str, option: str) -> int:
    from tracekit.units import parse_duration

    try:
        ns = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
    if not ns:
        raise typer.BadParameter(f"{text!r} is no time at all", param_hint=option)
    return ns
