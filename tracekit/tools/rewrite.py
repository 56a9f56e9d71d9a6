"""What all tools share: the rows of a capture streamed in replay order, changed, and written as a capture of their own.

Rows get new ``seq``: their place in the order in which the source is replayed, so that this order is kept exactly.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tracekit.errors import TraceError
from tracekit.metadata import Metadata, VmInfo, infer_capabilities, provenance
from tracekit.schema import CAPABILITIES, EVENTS, KINDS
from tracekit.stream import KIND_ORDER, NO_BLOCK, NO_PAGE, Chunk
from tracekit.trace import Trace
from tracekit.tracefile import TraceFile
from tracekit.tracewriter import TraceWriter

#: Events whose arguments name pages.
PAGE_EVENTS = tuple(EVENTS.index(name) for name in ("hint-free", "madvise"))
#: Rows of one kind by column, as in a ``Chunk``.
Rows = dict[str, np.ndarray]
#: Makes rows of a kind out of rows of that kind; ``page`` are page ids of the target.
Change = Callable[[str, Rows], Rows]


@dataclass(frozen=True)
class Target:
    """What is written: the capture's name and folder, its VMs, devices by code, capabilities that are lost, what was done."""

    folder: Path
    name: str
    vms: Sequence[VmInfo]
    devices: Sequence[str]
    lost: frozenset[str] = frozenset()
    done: dict[str, Any] | None = None
    anonymous: bool = False
    bucket: Callable[[int], int] = lambda ns: ns
    zero_digest: Callable[[int], int] = lambda digest: digest


def target_of(trace: Trace, folder: Path, name: str | None, tool: str, **done: Any) -> Target:
    """A target with the VMs and devices of the source."""
    vms = [VmInfo(vm.name, vm.pages, vm.os, vm.domain) for vm in trace.vms]
    return Target(folder, name or trace.name, vms, trace.devices, done={"tool": tool, **done})


def rewrite(trace: Trace, target: Target, *changes: Change) -> list[Path]:
    """Write what ``changes`` make of a capture's rows. Returns the files written; a kind without rows has none.

    The capture is streamed once a change; what the second makes comes behind what the first has made. Raises TraceError if no
    row is left, and then writes nothing.
    """
    for kind in trace.kinds:
        path = target.folder / f"{target.name}.{kind}.parquet"
        if any(isinstance(file.path, Path) and path.exists() and path.samefile(file.path) for file, _ in trace.files):
            raise TraceError(f"{path}: is read here, so that it cannot be written; give another folder or name")
    columns = {kind: _common(trace, kind) for kind in trace.kinds}
    wanted = {kind: ["vm", *("page" if name == "ppn" else name for name in names)] for kind, names in columns.items()}
    base = np.cumsum([0, *(vm.pages for vm in target.vms)])[:-1]
    rows, unknown = 0, 0
    with ExitStack() as stack:
        writers: dict[str, TraceWriter] = {}
        for change, chunk in ((change, chunk) for change in changes for chunk in trace.chunks(wanted)):
            order = _places(chunk, rows)
            rows += chunk.rows
            for kind, found in chunk.columns.items():
                made = change(kind, {**found, "seq": order[kind]})
                if kind == "event":
                    kept = made["what"] >= 0
                    unknown += int(np.count_nonzero(~kept))
                    made = {name: value[kept] for name, value in made.items()}
                if not len(made["t"]):
                    continue
                names = ["t", "seq", "vm", *columns[kind]]
                if kind not in writers:
                    path = target.folder / f"{target.name}.{kind}.parquet"
                    writers[kind] = stack.enter_context(TraceWriter(path, _metadata(trace, target, kind), names, "import", late=True))
                writers[kind].write(_written(made, names, target, base))
        if not writers:
            raise TraceError(f"{trace.name}: no row is left; keep more of it")
        for writer in writers.values():
            about = writer.metadata
            writer.metadata = replace(
                about, provenance={**about.provenance, "rows_dropped": {"event of another name": unknown} if unknown else {}}
            )
        return [writer.path for writer in writers.values()]


def _common(trace: Trace, kind: str) -> list[str]:
    """Columns, but those of the key, that all files of a kind have."""
    files = [file for file, _ in trace.files if file.kind == kind]
    return [c.name for c in KINDS[kind].columns if c.name not in ("t", "seq", "vm") and all(c.name in file.columns for file in files)]


def _places(chunk: Chunk, first: int) -> dict[str, np.ndarray]:
    """The place of each row in the order of replay, by kind."""
    length = chunk.runs[:, 2] - chunk.runs[:, 1]
    begin = first + np.cumsum(length) - length
    out = {}
    for code, kind in enumerate(KIND_ORDER):
        mine = chunk.runs[:, 0] == code
        if mine.any():
            start, count = begin[mine], length[mine]
            within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
            out[kind] = (np.repeat(start, count) + within).astype(np.uint64)
    return out


def _written(rows: Rows, names: list[str], target: Target, base: np.ndarray) -> dict[str, Any]:
    made: dict[str, Any] = {name: rows[name] for name in names if name in rows}
    made["vm"] = rows["vm"], [vm.name for vm in target.vms]
    if "ppn" in names:
        known = rows["page"] != NO_PAGE
        made["ppn"] = pa.array(np.where(known, rows["page"] - base[rows["vm"]], 0).astype(np.uint32), mask=~known)
    if "device" in made:
        made["device"] = rows["device"], list(target.devices)
    if "what" in made:
        made["what"] = rows["what"], list(EVENTS)
    if "to_device" in made:
        made["to_device"] = pa.array(rows["to_device"] > 0, mask=rows["to_device"] < 0)
    if "block" in made:
        made["block"] = pa.array(rows["block"], mask=rows["block"] == NO_BLOCK)
    return made


def _metadata(trace: Trace, target: Target, kind: str) -> Metadata:
    files = [file for file, _ in trace.files if file.kind == kind]
    known = [file.metadata for file in files if file.metadata]
    same = {(about.keyed, about.zero_digest, about.digest) for about in known}
    if kind == "content" and len(same) > 1:
        raise TraceError(f"{files[0].path}, {files[-1].path}: their digests are made in different ways, so that they cannot be compared")
    first = known[0] if known else Metadata(kind, trace.name, (), ())
    supported = set.intersection(*(_supported(file) for file in files))
    return replace(
        first,
        kind=kind,
        capture=target.name,
        vms=tuple(target.vms),
        capabilities=tuple(sorted(supported - target.lost)),
        synthetic=trace.synthetic,
        bucket_ns=target.bucket(max((about.bucket_ns for about in known), default=0)),
        zero_digest=target.zero_digest(first.zero_digest),
        keyed=first.keyed or target.anonymous,
        devices=tuple(target.devices) if kind == "io" else (),
        provenance=provenance(
            target.done or {},
            source=[]
            if target.anonymous
            else [{"capture": file.capture, "file": file.path.name, "xxh3_64": file.digest} for file in files],
            before=[] if target.anonymous else [about.provenance for about in known],
        ),
    )


def _supported(file: TraceFile) -> set[str]:
    return set(file.metadata.capabilities) & CAPABILITIES.keys() if file.metadata else infer_capabilities(file.kind, file.columns)
