"""Rows of several files as one stream in (t, seq) order, with page, VM and device ids filled in, cut into chunks.

A chunk is however many rows fit in memory and means nothing: results do not depend on where chunks are cut.
"""

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.errors import TraceError
from tracekit.kernel import entry
from tracekit.schema import EVENTS, KINDS
from tracekit.tracefile import TraceFile

#: Page id of a transfer whose page is not known.
NO_PAGE = 0xFFFFFFFF
#: Disk block of a page that was not read from one (null in the file).
NO_BLOCK = 0xFFFFFFFF
KIND_ORDER = tuple(KINDS)
#: NumPy type of every column as kernels see it.
DTYPES: dict[str, Any] = {
    "t": np.int64, "seq": np.uint64, "vm": np.int32, "page": np.uint32, "digest": np.uint64, "digest_hi": np.uint64,
    "compressed": np.uint16, "block": np.uint64, "write": np.bool_, "fetch": np.bool_, "count": np.uint32,
    "device": np.int32, "to_device": np.int8, "bytes": np.uint32, "dma_mask": np.uint64, "forced": np.bool_,
    "bounced": np.bool_, "what": np.int32, "a": np.int64, "b": np.int64,
}  # fmt: skip


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows: columns by kind, and ``runs`` of rows of one kind, ``(kind, first, end)``, in replay order."""

    columns: Mapping[str, Mapping[str, np.ndarray]]
    runs: np.ndarray
    rows: int
    last_t: int

    def before(self, t: int) -> int:
        """How many rows of the chunk lie before time ``t``."""
        if t > self.last_t:
            return self.rows
        return sum(int(np.searchsorted(columns["t"], t)) for columns in self.columns.values())

    def runs_between(self, first: int, end: int) -> np.ndarray:
        """The runs of rows ``first`` … ``end − 1``, counted in replay order."""
        if first == 0 and end == self.rows:
            return self.runs
        lengths = self.runs[:, 2] - self.runs[:, 1]
        ends = np.cumsum(lengths)
        a, b = np.searchsorted(ends, first, "right"), np.searchsorted(ends, end, "left") + 1
        cut = self.runs[a:b].copy()
        if len(cut):
            cut[-1, 2] -= ends[b - 1] - end
            cut[0, 1] += first - (ends[a] - lengths[a])
        return cut


@dataclass(frozen=True)
class Ids:
    """What names stand for in a trace: VM and device numbers by name; first page id and size by VM."""

    vms: Mapping[str, int]
    devices: Mapping[str, int]
    base: np.ndarray
    pages: np.ndarray


@entry
def _densify(t, seq, vm, ppn, last, base, pages, page):
    """Check order and bounds and fill in page ids. Returns −1, or the first bad row (negative − 2 if its PPN is bad)."""
    t0, s0 = last[0], last[1]
    for i in range(t.size):
        if t[i] < t0 or (t[i] == t0 and np.int64(seq[i]) <= s0):
            return i
        t0, s0 = t[i], np.int64(seq[i])
        if ppn.size:
            p = ppn[i]
            if p == np.uint32(0xFFFFFFFF):
                page[i] = p
            elif p >= pages[vm[i]]:
                return -2 - i
            else:
                page[i] = np.uint32(base[vm[i]] + p)
    last[0], last[1] = t0, s0
    return -1


@entry
def _merge_order(t, seq, start, end, which, where):
    """Merge sorted sources laid end to end, until one runs dry: its file may hold more. Returns rows merged.

    Source k has rows ``start[k]`` … ``end[k] − 1``; ``start`` is advanced. Ties go to the first source.
    """
    rows = 0
    while rows < which.size:
        best = -1
        for k in range(start.size):
            if start[k] == end[k]:
                return rows
            if best < 0:
                best = k
            else:
                i, j = start[k], start[best]
                if t[i] < t[j] or (t[i] == t[j] and seq[i] < seq[j]):
                    best = k
        which[rows] = best
        where[rows] = start[best]
        start[best] += 1
        rows += 1
    return rows


class Source:
    """Rows of one file, read ahead by a thread, which fills in VM and page ids and checks the order."""

    def __init__(self, file: TraceFile, names: Mapping[str, str], ids: Ids, wanted: Sequence[str]):
        self.file, self.kind = file, file.kind
        self._wanted, self._names, self._index, self._devices = wanted, names, ids.vms, ids.devices
        self._base, self._pages = ids.base, ids.pages
        self._last = np.array([-(1 << 63), -1], np.int64)
        self._row = 0
        self._ahead = ReadAhead(map(self._prepare, file.batches(self._columns())))
        self.columns: dict[str, np.ndarray] = {}
        self.at = 0
        self.done = False
        self.refill()

    def _columns(self) -> list[str]:
        needed = {"t", "vm", *self._wanted} | ({"ppn"} if "ppn" in self.file.columns else set()) | {"seq"}
        return [name for name in self.file.columns if name in needed]

    @property
    def left(self) -> int:
        return len(self.columns["t"]) - self.at if self.columns else 0

    def refill(self) -> None:
        """Fetch the next batch when the current one is used up."""
        if self.left or self.done:
            return
        batch = next(self._ahead, None)
        self.done, self.columns, self.at = batch is None, batch or {}, 0

    def _prepare(self, batch: dict[str, Any]) -> dict[str, np.ndarray]:
        rows = len(batch["t"])
        vm = self._encode(batch["vm"], self._index, "vm")
        ppn = batch.get("ppn", np.empty(0, np.uint32))
        page = np.zeros(rows, np.uint32)
        seq = batch["seq"] if "seq" in batch else np.arange(self._row, self._row + rows, dtype=np.uint64)
        if self.kind != "io" and ppn.size and int(ppn.max()) == NO_PAGE:  # only a transfer's page may be unknown
            self._refuse(-2 - int(ppn.argmax()), batch, vm, ppn)
        bad = _densify(frozen(batch["t"]), frozen(seq), frozen(vm), frozen(ppn), self._last, self._base, self._pages, page)
        if bad != -1:
            self._refuse(bad, batch, vm, ppn)
        self._row += rows
        columns: dict[str, np.ndarray] = {"t": batch["t"], "seq": seq, "vm": vm, "page": page}
        for name in self._wanted:
            if name == "what":
                columns[name] = self._encode(batch[name], {e: i for i, e in enumerate(EVENTS)}, name)
            elif name == "device":
                columns[name] = self._encode(batch[name], self._devices, name)
            elif name not in columns:
                columns[name] = batch.get(name, np.zeros(rows, DTYPES[name]))
        return {name: frozen(columns[name].astype(DTYPES[name], copy=False)) for name in ("t", "seq", *self._wanted)}

    def _encode(self, column: tuple[np.ndarray, tuple[str, ...]], codes: Mapping[str, int], name: str) -> np.ndarray:
        indices, values = column
        known = [codes.get(self._names.get(v, v) if name == "vm" else v, -1) for v in values]
        encoded = np.array(known, np.int32)[indices]
        if name != "what" and len(encoded) and encoded.min() < 0:
            missing = values[indices[int(np.argmax(encoded < 0))]]
            raise TraceError(
                f"{self.file.path}: {name} {missing!r} appears in the rows but not in the file's metadata; write the file again"
            )
        return encoded

    def _refuse(self, bad: int, batch: dict[str, Any], vm: np.ndarray, ppn: np.ndarray) -> None:
        row = bad if bad >= 0 else -2 - bad
        where = f"{self.file.path}, row {self._row + row}"
        if bad < 0:
            name = next(name for name, i in self._index.items() if i == vm[row])
            raise TraceError(
                f"{where}: PPN {ppn[row]} lies beyond VM {name!r}, which has {self._pages[vm[row]]} pages; correct the row or the VM's size"
            )
        t = batch["t"]
        before = t[row - 1] if row else self._last[0]
        raise TraceError(
            f"{where}: out of order (t {t[row]} after t {before}); rows go by t, then by a seq that never repeats: sort the file"
        )

    def take(self, rows: int) -> dict[str, np.ndarray]:
        """The next ``rows`` rows without copying."""
        taken = {name: column[self.at : self.at + rows] for name, column in self.columns.items()}
        self.at += rows
        return taken

    def close(self) -> None:
        self._ahead.close()


class ReadAhead:
    """An iterator run by a thread, two items ahead, so that decoding and merging overlap with replay."""

    _END = object()

    def __init__(self, items: Iterator[Any]):
        self._queue: queue.Queue[Any] = queue.Queue(maxsize=2)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(items,), daemon=True)
        self._thread.start()

    def _run(self, items: Iterator[Any]) -> None:
        try:
            for item in items:
                if not self._put(item):
                    return
            self._put(self._END)
        except BaseException as error:  # handed to the reader, who raises it
            self._put(error)

    def _put(self, item: Any) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def __iter__(self) -> "ReadAhead":
        return self

    def __next__(self) -> Any:
        item = self._queue.get()
        if item is self._END:
            raise StopIteration
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        self._closed.set()
        self._thread.join()


def frozen(array: np.ndarray) -> np.ndarray:
    """Read-only and contiguous: kernels see one array type, whether Arrow or NumPy owns the memory."""
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


def merge(sources: Sequence[Source], rows: int) -> Iterator[Chunk]:
    if len(sources) == 1:
        source = sources[0]
        while not source.done:
            taken = source.take(min(rows, source.left))
            count = len(taken["t"])
            runs = np.array([[KIND_ORDER.index(source.kind), 0, count]], np.int64)
            yield Chunk({source.kind: taken}, runs, count, int(taken["t"][-1]))
            source.refill()
        return
    while not all(source.done for source in sources):
        live = [source for source in sources if not source.done]
        chunk = _merge_once(live, rows)
        for source in live:
            source.refill()
        yield chunk


def _merge_once(live: Sequence[Source], rows: int) -> Chunk:
    rows = min(rows, sum(source.left for source in live))
    heads = [min(source.left, rows) for source in live]
    t = np.concatenate([source.columns["t"][source.at : source.at + n] for source, n in zip(live, heads, strict=True)])
    seq = np.concatenate([source.columns["seq"][source.at : source.at + n] for source, n in zip(live, heads, strict=True)])
    end = np.cumsum(heads)
    first = end - heads
    start = first.copy()
    which, where = np.empty(rows, np.int16), np.empty(rows, np.int64)
    count = _merge_order(frozen(t), frozen(seq), start, end, which, where)
    which, where = which[:count], where[:count]
    kinds = np.array([KIND_ORDER.index(source.kind) for source in live])
    columns: dict[str, dict[str, np.ndarray]] = {}
    for kind in dict.fromkeys(source.kind for source in live):
        members = [k for k, source in enumerate(live) if source.kind == kind and start[k] > first[k]]
        taken = [live[k].take(int(start[k] - first[k])) for k in members]
        if len(members) == 1:
            columns[kind] = taken[0]
        elif members:
            origin = np.cumsum([0] + [len(part["t"]) for part in taken])
            mine = np.isin(which, members)
            shift = np.zeros(len(live), np.int64)
            shift[members] = origin[:-1] - first[members]
            order = where[mine] + shift[which[mine]]
            columns[kind] = {name: frozen(np.concatenate([part[name] for part in taken])[order]) for name in taken[0]}
    return Chunk(columns, _runs(kinds[which]), count, int(t[where[-1]]))


def _runs(kinds: np.ndarray) -> np.ndarray:
    """Runs of equal kind: (kind, first, end), first and end counted within the kind."""
    cuts = np.flatnonzero(np.diff(kinds)) + 1
    edges = np.concatenate([[0], cuts, [len(kinds)]])
    kind = kinds[edges[:-1]]
    length = np.diff(edges)
    end = np.empty(len(kind), np.int64)
    for k in np.unique(kind):
        end[kind == k] = np.cumsum(length[kind == k])
    return np.column_stack([kind, end - length, end]).astype(np.int64)
