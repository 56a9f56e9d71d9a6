"""The command `tracekit import`: files of other formats brought in as a trace."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("import")
def import_(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Files of one format: parts of one record, or snapshots in order.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Trace file to write: CAPTURE.KIND.parquet.", show_default=False)] = None,
    format: Annotated[
        str | None, typer.Option("--format", help="Format of the files; without files, all are listed. [default: recognised]")
    ] = None,
    mapping: Annotated[
        str | None,
        typer.Option(
            "--map", help="For csv, parquet, struct: t=time*1000,ppn=addr/4096,vm='guest': trace column = source column, scaled or literal."
        ),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="access, content, io or event. [default: as the output is named, or the first]")] = None,
    vm: Annotated[str | None, typer.Option(help="Name of the VM, where the format names none. [default: the file's]")] = None,
    interval: Annotated[
        str | None, typer.Option(help="Time between two snapshots, or two records of a format without a clock. [default: 1s, 1ns]")
    ] = None,
    memory: Annotated[str | None, typer.Option(help="Memory of a VM, such as 192MiB. [default: up to the largest page]")] = None,
    below_4g: Annotated[str | None, typer.Option("--below-4g", help="For flat images: RAM from here on lies at 4 GiB and up.")] = None,
    key_file: Annotated[Path | None, typer.Option(help="For images: a file with the key that digests are made with.")] = None,
    sort: Annotated[bool, typer.Option("--sort", help="Sort by time in memory first.")] = False,
) -> None:
    """Import traces of other formats: memory images, access traces, I/O traces (gzip, xz and zstd are read through)."""
    from tracekit.formats import known

    if not files:
        for name in [*known.FORMATS, *known.TABLES]:
            yields = known.FORMATS[name].yields if name in known.FORMATS else "any columns, by a column map (--map)"
            kinds = ", ".join(known.FORMATS[name].kinds) if name in known.FORMATS else "any"
            print(f"{name:18} {kinds:10} {yields}")
        print(f"{'struct:<IQIq':18} {'any':10} binary records described as Python's struct does, columns f1, f2, … by a column map (--map)")
        return
    if out is None:
        raise typer.BadParameter("name the trace file to write", param_hint="-o")
    from tracekit.formats.importer import Options, import_files
    from tracekit.formats.mapping import parse_mapping
    from tracekit.units import parse_duration, parse_size

    try:
        memory_bytes, below = (None if text is None else parse_size(text) for text in (memory, below_4g))
        interval_ns = None if interval is None else parse_duration(interval)
        key = None if key_file is None else key_file.read_bytes()
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from None
    mapped = parse_mapping(mapping) if mapping is not None else {}
    options = Options(format, kind, mapped, vm, None, interval_ns, memory_bytes, below, key, sort)
    done = import_files(files, out, options)
    print(f"{done.path}: {done.rows} {done.kind} rows")
    for reason, count in done.dropped.items():
        print(f"dropped: {count} × {reason}")
    for note in done.notes:
        print(f"note: {note}")
