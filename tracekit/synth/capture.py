"""Where recipes put their rows: one trace file a kind, one order over all kinds, bounded memory, the truth beside them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tracekit.errors import ScenarioError
from tracekit.metadata import Metadata, VmInfo
from tracekit.schema import EVENTS, KINDS
from tracekit.tracewriter import TraceWriter

#: Rows gathered before they are written as a row group.
BLOCK_ROWS = 1 << 20
COLUMNS: dict[str, tuple[str, ...]] = {
    "content": ("t", "seq", "vm", "ppn", "digest"),
    "access": ("t", "seq", "vm", "ppn", "write"),
    "io": ("t", "seq", "vm", "ppn", "device", "to_device", "bytes", "dma_mask", "forced"),
    "event": ("t", "seq", "vm", "what", "a", "b"),
}
CAPABILITIES: dict[str, tuple[str, ...]] = {
    "content": ("content", "digest64"),
    "access": ("access", "exact", "writes"),
    "io": ("dma_masks", "io"),
    "event": ("event",),
}


_ORDER = tuple(KINDS)


@dataclass(frozen=True)
class Plan:
    """What a recipe will write: its VMs, the kinds of rows, the bucket in ns of accesses, its devices, whether there are clocks."""

    vms: tuple[VmInfo, ...]
    kinds: tuple[str, ...]
    bucket_ns: int = 0
    devices: tuple[str, ...] = ()
    clocks: bool = False

    def capabilities(self, kind: str) -> tuple[str, ...]:
        """What the rows of a kind can honestly support."""
        return (*CAPABILITIES[kind], *(("execution_clock",) if kind == "event" and self.clocks else ()))


@dataclass(frozen=True)
class Piece:
    """Rows of one kind in time order; a column is an array or one value for all of them.

    Dictionary columns are codes; ``to_device`` is 1, 0 or −1 for both ways.
    """

    kind: str
    rows: int
    columns: dict[str, Any]


@dataclass
class Capture:
    """Takes rows in time order, numbers them, and writes them in blocks. Made by ``open_capture``."""

    writers: Mapping[str, TraceWriter]
    names: Mapping[str, Sequence[str]]  # of dictionary columns
    thread: ThreadPoolExecutor  # encodes and writes one block while the recipe makes the next
    _writing: Future[None] | None = None
    _seq: int = 0
    _held: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _waiting: dict[str, int] = field(default_factory=dict)

    def merge(self, pieces: Iterable[Piece]) -> None:
        """Append rows that come after all before: by time, at equal times by kind, then in the pieces' order."""
        pieces = sorted((piece for piece in pieces if piece.rows), key=lambda piece: _ORDER.index(piece.kind))
        for kind, rows, seq in _numbered(pieces, self._seq):
            rows["seq"] = seq
            self._held.setdefault(kind, []).append(rows)
            self._waiting[kind] = self._waiting.get(kind, 0) + len(seq)
            if self._waiting[kind] >= BLOCK_ROWS:
                self._flush(kind)
        self._seq += sum(piece.rows for piece in pieces)

    def finish(self) -> None:
        """Write what is held. Raises ScenarioError if a kind got no rows, which no reader would accept."""
        for kind, writer in self.writers.items():
            self._flush(kind)
            self._wait()
            if not writer.rows:
                raise ScenarioError(f"these parameters make no {kind} rows; make the pages, shares or durations larger")

    def _flush(self, kind: str) -> None:
        self._waiting[kind] = 0
        held = self._held.pop(kind, [])
        if held:
            self._wait()
            self._writing = self.thread.submit(self._write, kind, held)

    def _wait(self) -> None:
        if self._writing:
            self._writing.result()
            self._writing = None

    def _write(self, kind: str, held: list[dict[str, Any]]) -> None:
        columns: dict[str, Any] = {name: _joined([piece[name] for piece in held]) for name in held[0]}
        for name in self.names.keys() & columns.keys():
            columns[name] = (columns[name], self.names[name])
        if "to_device" in columns:
            columns["to_device"] = pa.array(columns["to_device"] > 0, mask=columns["to_device"] < 0)
        self.writers[kind].write(columns)


@contextmanager
def open_capture(out_dir: Path, name: str, plan: Plan, provenance: dict[str, Any]) -> Iterator[Capture]:
    """A ``Capture`` whose files ``<name>.<kind>.parquet`` appear when the block ends, and not at all if it fails."""
    with ExitStack() as stack:
        writers = {}
        for kind in plan.kinds:
            about = Metadata(
                kind, name, plan.vms, plan.capabilities(kind), synthetic=True, provenance=provenance,
                bucket_ns=plan.bucket_ns if kind == "access" else 0, devices=plan.devices if kind == "io" else (),
            )  # fmt: skip
            writers[kind] = stack.enter_context(TraceWriter(out_dir / f"{name}.{kind}.parquet", about, COLUMNS[kind]))
        names = {"vm": [vm.name for vm in plan.vms], "device": plan.devices, "what": EVENTS}
        thread = stack.enter_context(ThreadPoolExecutor(1))  # left first, so that no write outlives its file
        capture = Capture(writers, names, thread)
        yield capture
        capture.finish()


def _numbered(pieces: Sequence[Piece], first: int) -> Iterator[tuple[str, dict[str, Any], np.ndarray]]:
    """(kind, columns, seq) of each kind's rows in time order, numbered from ``first`` over all kinds."""
    t = [_spelled(piece, "t") for piece in pieces]
    together = _joined(t) if t else np.empty(0, np.int64)
    seq = np.arange(first, first + len(together), dtype=np.uint64)
    order = None if bool((together[1:] >= together[:-1]).all()) else np.argsort(together, kind="stable")
    if order is not None:
        seq[order] = seq.copy()
    done = 0
    for kind, group in groupby(zip(pieces, t), key=lambda pair: pair[0].kind):
        mine = list(group)
        rows = sum(piece.rows for piece, _ in mine)
        columns = {name: _joined([_spelled(piece, name) for piece, _ in mine]) for name in mine[0][0].columns if name != "t"}
        columns["t"], own = _joined([t for _, t in mine]), seq[done : done + rows]
        done += rows
        if order is not None and not bool((own[1:] > own[:-1]).all()):
            by = np.argsort(own)
            columns, own = {name: column[by] for name, column in columns.items()}, own[by]
        yield kind, columns, own


def _spelled(piece: Piece, name: str) -> np.ndarray:
    """A column as an array: one value for all rows is spelled out, because pieces with different ones are joined."""
    value = piece.columns[name]
    return value if isinstance(value, np.ndarray) and value.ndim else np.full(piece.rows, value)


def _joined(pieces: list[np.ndarray]) -> np.ndarray:
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
