"""Files of a foreign format brought in as one trace file: the format recognised, the rows written, what was dropped stated."""

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from tracekit.digest import page_digests
from tracekit.errors import TraceError, nearest
from tracekit.formats import known, struct
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.parquet import Imported, import_parquet
from tracekit.formats.sink import Sink, columns_of
from tracekit.formats.source import Source, text_of
from tracekit.metadata import Metadata, VmInfo, infer_capabilities, provenance
from tracekit.schema import KINDS, ZERO_DIGEST
from tracekit.tracewriter import TraceWriter
from tracekit.units import PAGE_BYTES

SNAPSHOT_NS = 1_000_000_000
RECORD_NS = 1


@dataclass(frozen=True)
class Options:
    """What a user may say of an import. ``interval_ns`` is the time between two snapshots of a series, or between two records
    of a format without a clock; ``memory`` is the size of every VM in bytes, else it is the largest page + 1; ``below_4g`` is
    where the RAM of a flat image goes on at 4 GiB (bytes)."""

    format: str | None = None
    kind: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    vm: str | None = None
    capture: str | None = None
    interval_ns: int | None = None
    memory: int | None = None
    below_4g: int | None = None
    key: bytes | None = None
    sort: bool = False


def import_files(files: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], options: Options | None = None) -> Imported:
    """Write foreign files as the trace ``out``, whose name should be ``CAPTURE.KIND.parquet``.

    The format is recognised by content, or by the file's name where it has no mark of its own. Several files are one
    record in parts, or snapshots one after the other, as the format has it. Rows keep the order of the files; what makes
    no row is counted by reason in the file's metadata. Memory is bounded by the pages, not by the files.

    Raises TraceError, and then writes nothing.
    """
    options, out = options or Options(), Path(out)
    sources = [Source(path) for path in files]
    if not sources:
        raise TraceError("no files given; name what is to be imported")
    if out.exists() and any(out.samefile(source.path) for source in sources):
        raise TraceError(f"{out}: is read here, so that it cannot be written; give another name")
    format = recognise(sources[0], options.format)
    if isinstance(format, str):
        return _import_table(format, sources, out, options)
    if options.mapping:
        raise TraceError(f"{sources[0].path}: is {format.name}, whose columns are known; --map is for csv, parquet and struct:…")
    for source in sources[1:]:
        other = recognise(source, options.format)
        if other is not format:
            found = other if isinstance(other, str) else other.name
            raise TraceError(f"{source.path}: is {found}, but {sources[0].path} is {format.name}; import each format by itself")
    return _import(format, sources, out, options)


def recognise(source: Source, name: str | None = None) -> Format | str:
    """The format of a file, or the one named; "csv", "parquet" and "struct:…" are tables with a column map. Raises TraceError."""
    if name is not None:
        if name in known.TABLES or name.startswith(struct.PREFIX):
            return name
        if name not in known.FORMATS:
            names = [*known.FORMATS, *known.TABLES, struct.PREFIX + "…"]
            raise TraceError(f"unknown format {name!r}{nearest(name, names)}; formats are {', '.join(names)}")
        return known.FORMATS[name]
    if source.head[:4] == b"PAR1":
        return "parquet"
    if source.head[:8] == b"PERFILE2":
        raise TraceError(f"{source.path}: is perf's own record; print it by perf script, and import that")
    for format in known.FORMATS.values():
        if format.recognise(source):
            return format
    if source.name.endswith((".csv", ".tsv")):
        return "csv"
    raise TraceError(
        f"{source.path}: is of no format that can be recognised; name it with --format: {', '.join(known.FORMATS)}, csv, parquet"
    )


def _import(format: Format, sources: list[Source], out: Path, options: Options) -> Imported:
    kind = _kind_of(format, out, options)
    pages = options.memory // PAGE_BYTES if options.memory else None
    tally = Tally(kind, below_4g=options.below_4g, memory_pages=pages, key=options.key, virtual=format.virtual)
    batches = ((number, source, batch) for number, source in enumerate(sources) for batch in format.read(source, tally))
    first = next(batches, None)
    while first is not None and not _rows_of(first[2]):
        first = next(batches, None)
    if first is None:
        raise TraceError(f"{sources[0].path}: holds no {kind} record of format {format.name}{_dropped(tally)}")
    names = columns_of(KINDS[kind], first[2])
    vm = options.vm or sources[0].name.partition(".")[0] or "vm"
    capture = options.capture or text_of(out.name).removesuffix(".parquet").removesuffix(f".{kind}")
    interval = options.interval_ns if options.interval_ns is not None else SNAPSHOT_NS if format.series else RECORD_NS
    placeholder = Metadata(kind, capture, (VmInfo(vm, 1),), ())
    with TraceWriter(out, placeholder, names, "import", late=True) as writer:
        with closing(Sink(writer, KINDS[kind], format, tally, vm, interval, options.sort)) as sink:
            for number, source, batch in chain([first], batches):
                if _rows_of(batch):
                    sink.add(source.path, number, batch)
            sink.finish()
        if not writer.rows:
            raise TraceError(f"{sources[0].path}: holds no {kind} record of format {format.name}{_dropped(tally)}")
        writer.metadata = _metadata(format, sources, options, placeholder, sink, tally, names, interval)
    return Imported(out, kind, writer.rows, tally.dropped, list(tally.notes))


def _kind_of(format: Format, out: Path, options: Options) -> str:
    """The kind of rows asked for, by name or by that of the output; else the first that the format has."""
    named = out.name.removesuffix(".parquet").rpartition(".")[2]
    kind = options.kind or (named if named in KINDS else format.kinds[0])
    if kind not in format.kinds:
        has = ", ".join(format.kinds)
        raise TraceError(f"{out}: {format.name} has no {kind} rows; it yields {has}: name the output CAPTURE.{format.kinds[0]}.parquet")
    return kind


def _rows_of(batch: Columns) -> int:
    return max((len(value) for value in batch.values() if not isinstance(value, tuple) and hasattr(value, "__len__")), default=0)


def _dropped(tally: Tally) -> str:
    """What became of the records, for a sentence that there are none."""
    said = ", ".join(f"{count} × {reason}" for reason, count in tally.dropped.items())
    return f" (dropped: {said})" if said else "; is it of that format, and whole?"


def _metadata(
    format: Format, sources: list[Source], options: Options, about: Metadata, sink: Sink, tally: Tally, names: list[str], interval: int
) -> Metadata:
    notes = list(tally.notes)
    if sink.numbered:
        notes.append("pages are no guest pages: they are numbered in the order of first touch in their VM")
    if sink.origin is None:
        notes.append(f"the format has no clock: t counts {'snapshots' if format.series else 'records'}, {interval} ns each")
    pages = tally.memory_pages
    if pages is None:
        notes.append("VM sizes are the largest page + 1")
    elif (most := max(sink.sizes.values())) > pages:
        raise TraceError(f"{sources[0].path}: {most} pages of one VM are used, more than the {pages} of its memory; give a larger --memory")
    read: list[dict[str, Any]] = [{"file": text_of(source.path.name), "bytes": source.bytes} for source in sources]
    if not format.series:  # images are large, and their digests are in the rows
        for source, entry in zip(sources, read):
            entry["xxh3_64"] = source.digest()
    return Metadata(
        kind=about.kind,
        capture=about.capture,
        vms=tuple(VmInfo(name, pages or max(largest, 1)) for name, largest in sink.sizes.items()),
        capabilities=tuple(sorted((infer_capabilities(about.kind, names) - format.lacks - tally.lacking) | tally.adding)),
        zero_digest=ZERO_DIGEST if options.key is None else int(page_digests(bytes(PAGE_BYTES), key=options.key)[0]),
        digest="xxh3-64" if format.name in known.IMAGES else "as in the source",
        keyed=options.key is not None,
        devices=tuple(sink.names["device"]),
        provenance=provenance(
            {"format": format.name, "sort": options.sort},
            source=read,
            first_t=str(sink.origin),
            rows_dropped=tally.dropped,
            notes=notes,
            blind_spots=list(format.blind),
        ),
    )


def _import_table(format: str, sources: list[Source], out: Path, options: Options) -> Imported:
    """Files with columns of any name, by a column map."""
    if len(sources) > 1:
        raise TraceError(f"{sources[1].path}: {format} is imported one file at a time; tracekit merge puts traces together")
    named = out.name.removesuffix(".parquet").rpartition(".")[2]
    kind = options.kind or (named if named in KINDS else None)
    given: dict[str, Any] = {"kind": kind, "vm": options.vm, "capture": options.capture, "sort": options.sort}
    if format == "parquet":
        return import_parquet(sources[0].path, out, options.mapping, **given)
    if format.startswith(struct.PREFIX):
        return struct.import_struct(sources[0], out, options.mapping, format, **given)
    from tracekit.formats.csv import import_csv

    return import_csv(sources[0], out, options.mapping, **given)
