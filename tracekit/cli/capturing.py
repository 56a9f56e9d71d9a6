"""The commands `tracekit capture …`: traces of what runs here."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tracekit.cli.options import Format, check_format, console

app = typer.Typer(name="capture", help="Capture traces: contents, accesses and DMA of VMs, processes and images.", no_args_is_help=True)
access = typer.Typer(name="access", help="Capture accesses: by QEMU's TCG plugin, by DAMON, by dirty pages.", no_args_is_help=True)
app.add_typer(access)
Out = Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER/CAPTURE", help="Where to write: CAPTURE.KIND.parquet in FOLDER.")]


@app.command()
def probe(format: Format = "table") -> None:
    """Find out, by trying, what this host can capture and how."""
    import polars as pl

    from tracekit.capture import probe as probing
    from tracekit.report import output

    check_format(format, "probe")
    output.write_frame(pl.DataFrame([vars(ability) for ability in probing.probe()]), format, console())


@app.command()
def content(
    out: Out,
    qmp: Annotated[list[str] | None, typer.Option(metavar="[NAME=]SOCKET", help="QMP socket of a running QEMU; may be repeated.")] = None,
    domain: Annotated[list[str] | None, typer.Option(metavar="[NAME=]DOMAIN", help="Domain of libvirt's; may be repeated.")] = None,
    pid: Annotated[list[str] | None, typer.Option(metavar="[NAME=]PID", help="A process, as a guest; may be repeated.")] = None,
    image: Annotated[
        list[str] | None, typer.Option(metavar="[NAME=]FILE[@TIME]", help="Image of memory, flat or ELF; may be repeated.")
    ] = None,
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
    from tracekit.capture.guests import open_guests, open_images
    from tracekit.report import capturing

    check_format(format, "capture")
    every_ns, for_ns = _duration(every, "--every"), _duration(during, "--for") if during else None
    key = read_key(key_file)
    parameters = {"every": every, "for": during, "key_file": key_file is not None}
    if image and (qmp or domain or pid):
        raise typer.BadParameter("images are captured apart from guests that live", param_hint="--image")
    if image:
        guests = open_images(image, every_ns)
        done = ContentCapture(guests, out, key, compressed, parameters, origin=0, clock="as given with the images").run_images()
    else:
        with open_guests(qmp or (), domain or (), pid or ()) as guests:
            done = ContentCapture(guests, out, key, compressed, parameters).run(every_ns, for_ns)
    capturing.show_content(done, format, console())
    if done.signal and during:
        raise KeyboardInterrupt


@app.command()
def io(
    records: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=FILE…", help="What guest_io.sh wrote, by VM.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FOLDER/CAPTURE", help="Where to write.")] = None,
    beside: Annotated[Path | None, typer.Option(help="Content trace of the same VMs, whose clock is taken.")] = None,
    marks: Annotated[Path | None, typer.Option(help="What tracekit capture marks heard meanwhile: it joins the clocks.")] = None,
    script: Annotated[bool, typer.Option("--script", help="Print guest_io.sh, which records a guest's DMA in the guest.")] = False,
) -> None:
    """Turn guests' own records of DMA into an I/O trace, on the clock of a content capture."""
    from importlib import resources

    from tracekit.capture.guests import split_name
    from tracekit.capture.io import write_io

    if script:
        print(resources.files("tracekit.capture").joinpath("guest_io.sh").read_text(), end="")
        return
    if not records or out is None:
        raise typer.BadParameter("give NAME=FILE… and --out, or --script")
    named = [split_name(record) for record in records]
    path, dropped = write_io({name or Path(file).stem: file for name, file in named}, out, beside, marks)
    print(path)
    for reason, count in dropped.items():
        print(f"{count} × {reason}", file=sys.stderr)


@app.command()
def finish(
    captures: Annotated[list[Path], typer.Argument(metavar="FOLDER/CAPTURE…", help="Captures that were killed.", show_default=False)],
) -> None:
    """Join the snapshots that a killed capture has left in CAPTURE.parts into one trace file."""
    from tracekit.capture.recording import finish_left

    for capture in captures:
        print(finish_left(capture))


@app.command()
def marks(
    sockets: Annotated[list[str], typer.Argument(metavar="NAME=SOCKET…", help="Serial ports of VMs.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write: time, VM and words, a line each.")],
    during: Annotated[str | None, typer.Option("--for", help="How long. [default: until Ctrl-C, or all guests end]")] = None,
) -> None:
    """Write down what guests say at a serial port, and when: phases of workloads, and marks of their clocks."""
    import time

    from tracekit.capture.ending import signals
    from tracekit.capture.guests import split_name
    from tracekit.capture.marks import Marks

    for_ns = _duration(during, "--for") if during else None
    named = [split_name(each) for each in sockets]
    listener = Marks({name or Path(path).stem: path for name, path in named}, out)
    try:
        with signals() as ending:
            listener.listen(ending, None if for_ns is None else time.monotonic_ns() + for_ns)
    finally:
        listener.close()
    print(out)


@access.command()
def build(
    out: Annotated[Path, typer.Option("-o", "--out", help="Shared object to write.")] = Path("tracekit.so"),
    qemu: Annotated[str, typer.Option(help="The QEMU that will load it.")] = "qemu-system-x86_64",
) -> None:
    """Build QEMU's access plugin with this host's compiler, for the plugin API of this host's QEMU."""
    from tracekit.capture import plugin

    path = plugin.build(out, plugin.find_api(qemu))
    print(f"start QEMU with: -accel tcg -plugin {path.resolve()},out=LOG,mib=RAM,bucket_ms=100", file=sys.stderr)
    print(path)


@access.command("plugin")
def read_plugin(
    logs: Annotated[list[str], typer.Argument(metavar="NAME=LOG…", help="What the plugin wrote, by VM.", show_default=False)],
    out: Out,
    beside: Annotated[Path | None, typer.Option(help="Content trace of the same VMs, whose clock is taken.")] = None,
) -> None:
    """Turn the plugin's logs into an access and an event trace, on the clock of a content capture."""
    from tracekit.capture.access import write_accesses
    from tracekit.capture.guests import split_name

    named = [split_name(log) for log in logs]
    written = write_accesses({name or Path(path).stem: path for name, path in named}, out, beside)
    for path in written.files:
        print(path)
    for name, rows in written.early.items():
        if rows:
            print(f"{name}: {rows} touches came before the capture began and are left out", file=sys.stderr)


@access.command()
def dirty(
    content: Annotated[Path, typer.Argument(help="Content trace of at least two snapshots.", show_default=False)],
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FOLDER/CAPTURE", help="Where to write. [default: beside it]")] = None,
) -> None:
    """Take pages whose content changed between two snapshots as stored to: an access trace of any content trace."""
    from tracekit.capture.dirty import write_dirty

    print(write_dirty(content, out))


@access.command()
def damon(
    out: Out,
    qmp: Annotated[str | None, typer.Option(metavar="[NAME=]SOCKET", help="QMP socket of the VM.")] = None,
    pid: Annotated[str | None, typer.Option(metavar="[NAME=]PID", help="The process.")] = None,
    physical: Annotated[str | None, typer.Option(metavar="START-END", help="This machine's own memory: 0x100000000-0x140000000.")] = None,
    during: Annotated[str | None, typer.Option("--for", help="How long. [default: until Ctrl-C]")] = None,
) -> None:
    """Sample accesses to a VM's RAM, a process or this machine's memory by the kernel's DAMON (root)."""
    from tracekit.capture import damon_trace
    from tracekit.capture.guests import process_id, split_name
    from tracekit.capture.qmp import Qmp
    from tracekit.errors import CaptureError

    if (qmp is None) + (pid is None) + (physical is None) != 2:
        raise typer.BadParameter("give one of --qmp, --pid and --physical")
    for_ns = _duration(during, "--for") if during else None
    if qmp is not None:
        name, socket = split_name(qmp)
        monitor = Qmp(socket)
        target = damon_trace.of_vm(monitor, name)
        monitor.close()
    elif pid is not None:
        name, number = split_name(pid)
        target = damon_trace.of_process(process_id(number), name)
    else:
        start, _, end = (physical or "").partition("-")
        try:
            target = damon_trace.of_machine(int(start, 0), int(end, 0))
        except ValueError:
            raise CaptureError(f"{physical!r} are no addresses; write for example 0x100000000-0x140000000") from None
    print(damon_trace.record(target, out, for_ns))


def _duration(text: str, option: str) -> int:
    from tracekit.units import parse_duration

    try:
        ns = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
    if not ns:
        raise typer.BadParameter(f"{text!r} is no time at all", param_hint=option)
    return ns
