"""Where readers' records go: times, pages and names brought to the trace model, rows written in order and bounded memory."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tracekit.errors import TraceError
from tracekit.formats.contents import Contents
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.numbering import Numbering
from tracekit.formats.pages import ROWS, split
from tracekit.metadata import MAX_PPN
from tracekit.schema import Table
from tracekit.tracewriter import TraceWriter

_TEXTS = ("vm", "device", "what")


class Sink:
    """Takes batches of records of one format and writes rows of one kind."""

    def __init__(self, writer: TraceWriter, table: Table, format: Format, tally: Tally, vm: str, interval_ns: int, sort: bool):
        self.rows = 0
        self.sizes: dict[str, int] = {}
        self.names: dict[str, dict[str, int]] = {name: {} for name in _TEXTS}
        self.origin: int | None = None
        self._writer, self._format, self._tally, self._vm = writer, format, tally, vm
        self._columns = [column for column in table.columns if column.name in writer.schema.names and column.name not in ("t", "seq")]
        self._interval, self._sort = interval_ns, sort
        self._records, self._last_t = 0, 0
        self.numbered = tally.virtual
        self._numbers = Numbering(1) if self.numbered else None
        self._contents: dict[int, Contents] = {}
        self._held: list[Columns] = []
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def add(self, path: Path, snapshot: int, columns: Columns) -> None:
        """Take in a batch of records of the file ``path``, which is number ``snapshot`` of a series."""
        count = next(len(value) for name, value in columns.items() if name not in _TEXTS and np.ndim(value))
        if not count:
            return
        full: Columns = {"t": self._times(path, columns.pop("t", None), count, snapshot)}
        codes, names = columns.pop("vm", None) or (np.zeros(count, np.int32), [self._vm])
        full["vm"] = self._codes("vm", codes, names)
        for name in ("device", "what"):
            if name in columns:
                full[name] = self._codes(name, *columns.pop(name))
        for name, value in columns.items():
            full[name] = value if np.ndim(value) else np.full(count, value)
        self._records += count
        for rows in self._paged(full):
            self._keep(rows)

    def finish(self) -> None:
        """Write what is held."""
        if self._sort:
            self._write_sorted()
        else:
            self._flush()
        self._wait()

    def close(self) -> None:
        """End the thread; nothing is written after that."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _times(self, path: Path, t: Any, count: int, snapshot: int) -> np.ndarray:
        """ns since the first record. Without a clock of its own a format counts its records, or the files of a series."""
        if t is None and self._format.series:
            return np.full(count, snapshot * self._interval, np.int64)
        if t is None:
            return (self._records + np.arange(count)) * self._interval
        t = np.asarray(t)
        if self.origin is None:
            self.origin = int(t[0])
        # Modulo 2⁶⁴, so that times before the first become negative.
        since = (t.astype(np.uint64) - np.uint64(self.origin & 0xFFFFFFFFFFFFFFFF)).view(np.int64)
        if int(since.max()) > (1 << 61) // self._format.tick_ns:
            i = int(since.argmax())
            raise TraceError(f"{path}, record {self._records + i}: time {t[i]} lies more than 70 years after the first; is it damaged?")
        since = since * self._format.tick_ns
        before = np.concatenate([[self._last_t], since[:-1]])
        if not self._sort and (since < before).any():
            i = int(np.argmax(since < before))
            raise TraceError(
                f"{path}, record {self._records + i}: out of order ({since[i]} ns after {before[i]} ns since the first record); "
                "--sort (sort=True) sorts records in memory"
            )
        self._last_t = int(since[-1])
        return since

    def _codes(self, column: str, codes: Any, names: Any) -> np.ndarray:
        known = self.names[column]
        if column == "vm":
            for name in names:
                self.sizes.setdefault(name, 0)
        own = np.array([known.setdefault(name, len(known)) for name in names], np.int32)
        if self._numbers is not None and column == "vm" and len(known) > len(self._numbers.counts):
            self._numbers.counts = np.concatenate([self._numbers.counts, np.zeros(len(known) - len(self._numbers.counts), np.int64)])
        return own[codes] if len(own) else np.zeros(len(codes), np.int32)

    def _paged(self, columns: Columns) -> Iterator[Columns]:
        """Rows of one page each."""
        if "address" not in columns:
            yield columns
            return
        address = np.asarray(columns.pop("address"), np.uint64)
        size = np.asarray(columns.pop("size"), np.uint64)
        wraps = address + size < address
        for reason, bad in (
            ("record of no bytes", size == 0),
            ("record of an impossible length", (size > self._format.most_bytes) | wraps),
        ):
            self._tally.drop(reason, np.count_nonzero(bad))
            size = np.where(bad, np.uint64(0), size)
        for record, page, moved in split(address, size):
            rows = {name: value[record] for name, value in columns.items()} | {"page": page}
            if "bytes" in self._writer.schema.names:
                rows["bytes"] = moved.astype(np.uint32)
            yield rows

    def _keep(self, rows: Columns) -> None:
        page = rows.pop("page", None)
        if page is not None:
            rows = self._with_pages(rows, np.asarray(page, np.uint64))
        count = len(rows["t"])
        if not count:
            return
        self._held.append(rows)
        self._waiting += count
        if self._waiting >= ROWS and not self._sort:
            self._flush(ROWS)

    def _with_pages(self, rows: Columns, page: np.ndarray) -> Columns:
        """Rows with page numbers; those that can be none are dropped. ``unknown`` pages of transfers are null."""
        unknown = rows.pop("unknown", None)
        if self._numbers is not None:
            rows["ppn"] = self._numbers.number(np.ascontiguousarray(page), rows["vm"].astype(np.int32))
            for name, code in self.names["vm"].items():
                self.sizes[name] = int(self._numbers.counts[code])
            if any(size > MAX_PPN for size in self.sizes.values()):
                raise TraceError(f"more than {MAX_PPN} distinct pages of one VM; import a part of it")
            return rows
        most = self._tally.memory_pages
        good = page < (MAX_PPN if most is None or self.numbered else most)
        if unknown is not None:
            good |= unknown
        if not good.all():
            self._tally.drop("page number of 2³¹ or beyond" if most is None else "page beyond the VM's memory", np.count_nonzero(~good))
            rows, page = {name: value[good] for name, value in rows.items()}, page[good]
            unknown = unknown[good] if unknown is not None else None
        if "digest" in rows and len(page):
            rows, page = self._changed(rows, page)
        known = page if unknown is None else np.where(unknown, np.uint64(0), page)
        for name, code in self.names["vm"].items():
            mine = known if len(self.names["vm"]) == 1 else known[rows["vm"] == code]
            self.sizes[name] = max(self.sizes[name], int(mine.max(initial=0)) + 1)
        rows["ppn"] = known.astype(np.uint32) if unknown is None else pa.array(known.astype(np.uint32), mask=unknown)
        return rows

    def _changed(self, rows: Columns, page: np.ndarray) -> tuple[Columns, np.ndarray]:
        """Without the pages whose content is already known; a batch of contents is of one VM."""
        contents = self._contents.setdefault(int(rows["vm"][0]), Contents())
        new = contents.changed(page, rows["digest"])
        if new.all():
            return rows, page
        return {name: value[new] for name, value in rows.items()}, page[new]

    def _flush(self, least: int = 1) -> None:
        """Write what is held: all, or in whole row groups of ``least`` rows."""
        held, self._held, self._waiting = self._held, [], 0
        if not held:
            return
        columns = {name: _joined([piece[name] for piece in held]) for name in held[0]}
        count = len(columns["t"]) // least * least
        if count < len(columns["t"]):
            self._held, self._waiting = [{name: value[count:] for name, value in columns.items()}], len(columns["t"]) - count
            columns = {name: value[:count] for name, value in columns.items()}
        columns["seq"] = np.arange(self.rows, self.rows + count, dtype=np.uint64)
        self.rows += count
        self._wait()
        self._writing = self._thread.submit(self._write, columns)

    def _write_sorted(self) -> None:
        held, self._held = self._held, []
        if not held:
            return
        columns = {name: _joined([piece[name] for piece in held]) for name in held[0]}
        order = np.argsort(columns["t"], kind="stable")
        columns["t"] = columns["t"] - columns["t"].min()
        for begin in range(0, len(order), ROWS):
            part = order[begin : begin + ROWS]
            self._held = [
                {name: value.take(pa.array(part)) if isinstance(value, pa.Array) else value[part] for name, value in columns.items()}
            ]
            self._flush()

    def _wait(self) -> None:
        if self._writing:
            self._writing.result()
            self._writing = None

    def _write(self, columns: Columns) -> None:
        made: Columns = {"t": columns["t"], "seq": columns["seq"]}
        for column in self._columns:
            value = columns[column.name]
            if column.type == "dictionary":
                made[column.name] = value, list(self.names[column.name])
            elif column.name == "to_device":
                made[column.name] = pa.array(value > 0, mask=value < 0)
            else:
                made[column.name] = value
        self._writer.write(made)


def columns_of(table: Table, batch: Columns) -> list[str]:
    """Which columns of a kind the rows made of a batch will have."""
    made = {"t", "seq", "vm", *batch} | ({"ppn"} if {"page", "address"} & batch.keys() else set())
    made |= {"bytes"} if "address" in batch and table.name == "io" else set()
    return [column.name for column in table.columns if column.name in made]


def _joined(pieces: list[Any]) -> Any:
    if len(pieces) == 1:
        return pieces[0]
    if any(isinstance(piece, pa.Array) for piece in pieces):
        return pa.concat_arrays([piece if isinstance(piece, pa.Array) else pa.array(piece) for piece in pieces])
    return np.concatenate(pieces)
