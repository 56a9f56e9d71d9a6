"""A capture: its files grouped, its VMs and their dense page ids, what it can support, and its rows as a stream.

Guest pages get dense ids ``base[vm] + ppn`` here, once, so that no kernel ever hashes a page number.
"""

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import numpy as np
import polars as pl
import xxhash

from tracekit import display
from tracekit.errors import TraceError
from tracekit.location import Place, Url, place
from tracekit.metadata import infer_capabilities
from tracekit.schema import CAPABILITIES, TRUTH_SUFFIX, ZERO_DIGEST
from tracekit.stream import DTYPES, KIND_ORDER, NO_PAGE, Chunk, Ids, ReadAhead, Source, merge
from tracekit.tracefile import BATCH_ROWS, TraceFile
from tracekit.units import format_count, format_duration, format_pages

#: Times stay below this, so that sums of them fit 64 bits.
MAX_T = 1 << 62
#: The VM of a page is kept in 16 bits.
MAX_VMS = 1 << 16


@dataclass(frozen=True)
class Vm:
    """A VM of a trace: its pages are ``base`` … ``base + pages − 1``; ``kinds`` are the row kinds it appears in."""

    name: str
    pages: int
    base: int
    kinds: frozenset[str]
    os: str = ""
    domain: str = ""


class Trace:
    """A capture, or several put together: VMs, capabilities, and ``chunks`` that stream its rows."""

    def __init__(self, name: str, files: Sequence[tuple[TraceFile, Mapping[str, str]]], synthetic: bool, notes: Sequence[str]):
        """``files`` come with the names that their VMs go by here."""
        self.name = name
        self.files = files
        self.synthetic = synthetic
        self.notes = list(notes)
        self.vms = _vm_table(files)
        self.pages = sum(vm.pages for vm in self.vms)
        self.kinds = tuple(kind for kind in KIND_ORDER if any(file.kind == kind for file, _ in files))
        self.capabilities = _capabilities(files)
        self.devices = tuple(dict.fromkeys(device for file, _ in files for device in _devices(file)))
        self.zero_digest = next((f.metadata.zero_digest for f, _ in files if f.metadata and f.kind == "content"), ZERO_DIGEST)
        self.rows = {kind: sum(file.rows for file, _ in files if file.kind == kind) for kind in self.kinds}
        #: ns of the longest bucket that accesses were gathered in; 0: each has a time of its own, as far as the files tell.
        self.bucket = max((file.metadata.bucket_ns for file, _ in files if file.metadata and file.kind == "access"), default=0)
        spans = [file.span() for file, _ in files]
        self.first_t, self.last_t = min(first for first, _ in spans), max(last for _, last in spans)
        if self.first_t < -MAX_T or self.last_t >= MAX_T:
            raise TraceError(
                f"{name}: t goes from {self.first_t} to {self.last_t} ns, which is beyond {MAX_T} ns (146 years) from the beginning of the "
                "capture; correct the times"
            )
        self.digest = xxhash.xxh3_64_hexdigest("".join(sorted(file.digest for file, _ in files)).encode())
        if len(self.vms) > MAX_VMS:
            raise TraceError(f"{name}: {len(self.vms)} VMs are more than the {MAX_VMS} that one replay can hold; replay fewer")
        if self.pages >= NO_PAGE:
            raise TraceError(f"{name}: {self.pages} guest pages are more than the {NO_PAGE - 1} that one replay can hold; replay fewer VMs")

    def _about(self) -> tuple[str, pl.DataFrame]:
        """A line that says what this is, and a table of its VMs."""
        rows = ", ".join(f"{kind} {format_count(self.rows[kind])}" for kind in self.kinds)
        origin = "SYNTHETIC" if self.synthetic else "captured"
        line = f"{origin} trace {self.name}: {format_duration(self.last_t - self.first_t)}, rows of {rows}"
        vms = [(vm.name, vm.pages, format_pages(vm.pages), " ".join(k for k in self.kinds if k in vm.kinds), vm.os) for vm in self.vms]
        return line, pl.DataFrame(vms, schema={"vm": str, "pages": int, "size": str, "kinds": str, "os": str}, orient="row")

    def __repr__(self) -> str:
        line, vms = self._about()
        return display.text(display.table(vms, line))

    def _repr_html_(self) -> str:
        line, vms = self._about()
        return display.html(line, [display.html_table(vms), *(f'<p class="dim">{escape(note)}</p>' for note in self.notes)])

    @property
    def digest_bits(self) -> int:
        """Bits that contents are told by: 128 where all files of contents have a ``digest_hi``."""
        wide = all("digest_hi" in file.columns for file, _ in self.files if file.kind == "content")
        return 32 if "digest64" not in self.capabilities else 128 if wide else 64

    def chunks(self, columns: Mapping[str, Iterable[str]], rows: int = BATCH_ROWS) -> Iterator[Chunk]:
        """Stream the rows of the kinds in ``columns``, in order, at most ``rows`` at a time.

        Besides the columns asked for, each kind has ``t``. A column that a file lacks is false or zero there (and
        ``what``, ``device`` are codes: of ``EVENTS``, of ``self.devices``).
        """
        ids = Ids(
            vms={vm.name: i for i, vm in enumerate(self.vms)},
            devices={device: i for i, device in enumerate(self.devices)},
            base=np.array([vm.base for vm in self.vms], np.uint32),
            pages=np.array([vm.pages for vm in self.vms], np.uint32),
        )
        sources: list[Source] = []
        merged: ReadAhead | None = None
        try:
            for file, names in self.files:
                if file.kind in columns:
                    wanted = [name for name in DTYPES if name == "t" or name in set(columns[file.kind])]
                    sources.append(Source(file, names, ids, wanted))
            chunks = merge(sources, rows)
            if len(sources) > 1:
                chunks = merged = ReadAhead(chunks)
            yield from chunks
        finally:
            if merged:
                merged.close()
            for source in sources:
                source.close()


def open_trace(*paths: str | os.PathLike[str] | Url) -> Trace:
    """Open the files of one capture. Raises TraceError, also if they belong to several captures."""
    traces = open_traces(paths)
    if len(traces) > 1:
        names = ", ".join(trace.name for trace in traces)
        raise TraceError(f"these files are of {len(traces)} captures ({names}); open them one by one or with open_traces(together=True)")
    return traces[0]


def open_traces(paths: Iterable[str | os.PathLike[str] | Url], together: bool = False) -> list[Trace]:
    """Open trace files grouped by capture; ``together`` puts all their VMs on one host, names made unique.

    A path may be a pattern, such as ``traces/three-vms.*.parquet``. Files of the truth beside synthesized captures are passed over.
    """
    files = [TraceFile(path) for path in _places(paths)]
    if not files:
        raise TraceError("no trace files given; name some Parquet files")
    captures: dict[str, list[TraceFile]] = {}
    for file in files:
        captures.setdefault(file.capture, []).append(file)
    if not together:
        return [_open_capture(name, {name: group}) for name, group in sorted(captures.items())]
    return [_open_capture("+".join(sorted(captures)), dict(sorted(captures.items())))]


def _places(paths: Iterable[str | os.PathLike[str] | Url]) -> list[Place]:
    """The files that are named, patterns written out, each once and without those of the truth."""
    named = dict.fromkeys(path for given in paths for path in _matching(place(given)))
    return [path for path in named if not path.name.endswith(TRUTH_SUFFIX)]


def _matching(path: Place) -> list[Place]:
    """The files that a pattern stands for; a URL, or a path that is no pattern or is there, is itself."""
    if isinstance(path, Url) or not glob.has_magic(str(path)) or path.exists():
        return [path]
    if not (found := sorted(glob.glob(str(path)))):
        raise TraceError(f"{path}: no file matches this pattern; is it the right folder?")
    return [Path(each) for each in found]


def captures_of(paths: Iterable[str | os.PathLike[str] | Url]) -> dict[str, list[Place]]:
    """Trace files by capture, opened one after the other: of very many, no two are open at a time."""
    captures: dict[str, list[Place]] = {}
    for path in _places(paths):
        captures.setdefault(TraceFile(path).capture, []).append(path)
    if not captures:
        raise TraceError("no trace files given; name some Parquet files")
    return dict(sorted(captures.items()))


def _open_capture(name: str, captures: Mapping[str, list[TraceFile]]) -> Trace:
    tables = {capture: _names_in(files) for capture, files in captures.items()}
    everywhere = [vm for names in tables.values() for vm in names]
    clashes = {vm for vm in everywhere if everywhere.count(vm) > 1}
    named, notes = [], []
    for capture, files in captures.items():
        renamed = {vm: f"{capture}/{vm}" if vm in clashes else vm for vm in tables[capture]}
        for file in sorted(files, key=lambda file: (KIND_ORDER.index(file.kind), str(file.path))):
            named.append((file, renamed))
            if file.metadata is None:
                notes.append(
                    f"{file.path.name} has no tracekit metadata: taken as {file.kind} of capture {capture!r}, VM sizes from the "
                    f"largest PPN, capabilities from its columns"
                )
            if "seq" not in file.columns:
                notes.append(f"{file.path.name} has no seq: the file's own order is kept where t ties")
    synthetic = any(file.metadata is not None and file.metadata.synthetic for file, _ in named)
    return Trace(name, named, synthetic, notes)


def _names_in(files: Iterable[TraceFile]) -> list[str]:
    return list(dict.fromkeys(vm.name for file in files for vm in file.vms))


def _devices(file: TraceFile) -> tuple[str, ...]:
    if file.kind != "io":
        return ()
    return (file.metadata.devices if file.metadata else ()) or file.names_of("device")


def _vm_table(files: Sequence[tuple[TraceFile, Mapping[str, str]]]) -> tuple[Vm, ...]:
    """All VMs in order of first mention; sizes that files state must agree, measured ones may only be smaller."""
    table: dict[str, Vm] = {}
    stated: set[str] = set()
    for file, names in files:
        for info in file.vms:
            name = names[info.name]
            known = table.get(name)
            if known and file.metadata and name in stated and known.pages != info.pages:
                raise TraceError(f"{file.path}: VM {name!r} has {info.pages} pages here and {known.pages} in another file of its capture")
            pages = info.pages if file.metadata else max(info.pages, known.pages if known else 0)
            if known and not file.metadata and name in stated:
                pages = known.pages
            if file.metadata:
                stated.add(name)
            kinds = (known.kinds if known else frozenset()) | {file.kind}
            table[name] = Vm(name, pages, 0, kinds, info.os or (known.os if known else ""), info.domain or (known.domain if known else ""))
    base, vms = 0, []
    for vm in table.values():
        vms.append(replace(vm, base=base))
        base += vm.pages
    return tuple(vms)


def _capabilities(files: Sequence[tuple[TraceFile, Mapping[str, str]]]) -> frozenset[str]:
    """What every file of a kind supports. A file without metadata supports what its columns can carry."""
    by_kind: dict[str, list[set[str]]] = {}
    for file, _ in files:
        found = set(file.metadata.capabilities) & CAPABILITIES.keys() if file.metadata else infer_capabilities(file.kind, file.columns)
        by_kind.setdefault(file.kind, []).append(found)
    return frozenset().union(*(set.intersection(*found) for found in by_kind.values()))
