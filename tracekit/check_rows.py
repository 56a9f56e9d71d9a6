"""The rules of ``tracekit.check`` that look at rows: one pass over a file, whatever is in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tracekit.location import source
from tracekit.schema import KINDS, ZERO_DIGEST, Column
from tracekit.tracefile import ARROW, BATCH_ROWS, TraceFile
from tracekit.units import PAGE_BYTES

#: Pages of one VM whose last digest is kept; rows of larger PPNs are not compared.
REMEMBERED_PAGES = 1 << 26


@dataclass
class Tally:
    """The rows that break a rule, and what is said of the first."""

    rows: int
    first_row: int
    said: str


class RowRules:
    """Feeds a file's rows to the rules of its kind; ``tallies`` has what breaks them, by rule."""

    def __init__(self, file: TraceFile):
        self.tallies: dict[str, Tally] = {}
        self._file = file
        self._table = {column.name: column for column in KINDS[file.kind].columns if column.name in file.columns}
        self._sizes = {vm.name: vm.pages for vm in file.metadata.vms} if file.metadata else {}
        self._codes: dict[str, dict[str, int]] = {name: {} for name, column in self._table.items() if column.type == "dictionary"}
        self._last_key: tuple[int, int] | None = None
        self._digests: dict[int, _LastValues] = {}
        self._clock = _LastValues()
        self._zero = file.metadata.zero_digest if file.metadata else ZERO_DIGEST
        self._zero_seen = False

    def read(self) -> None:
        """Read the whole file. Raises what Arrow raises if it is damaged."""
        parquet = pq.ParquetFile(source(self._file.path), read_dictionary=list(self._codes))
        first = 0
        for batch in parquet.iter_batches(BATCH_ROWS, columns=list(self._table)):
            self._feed(first, batch)
            first += batch.num_rows

    def absences(self) -> Iterator[tuple[str, str]]:
        """(rule, sentence) for what should have appeared by the end of the file and did not."""
        for name in sorted(self._sizes.keys() - self._codes["vm"].keys()):
            yield "vm-unused", f"VM {name!r} of the metadata has no rows here"
        if self._file.kind == "content" and not self._zero_seen:
            yield "zero-digest", f"the zero page's declared digest {self._zero:#x} never appears; is it the right one?"

    def _feed(self, first: int, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        rows, columns = self._usable(np.arange(first, first + batch.num_rows), batch)
        if not len(rows):
            return
        self._check_order(rows, columns)
        vm = columns["vm"]
        self._check_vms(rows, vm)
        if "ppn" in columns:
            self._check_pages(rows, vm, columns["ppn"])
        if self._file.kind == "content":
            self._check_content(rows, vm, columns)
        elif self._file.kind == "io":
            self._check_io(rows, columns)
        elif self._file.kind == "event":
            self._check_clock(rows, vm, columns)

    def _usable(self, rows: np.ndarray, batch: pa.RecordBatch) -> tuple[np.ndarray, dict[str, Any]]:
        """Rows whose values are there and fit their types; integers as int64 or uint64, unknown PPNs as −1."""
        good = np.ones(len(rows), np.bool_)
        columns: dict[str, Any] = {}
        for name, column in self._table.items():
            array = batch.column(name)
            absent = array.is_null().to_numpy(zero_copy_only=False)
            if not column.nullable and absent.any():
                self._tally("no-nulls", rows, absent, lambda i, name=name: f"{name} is null; only known values can be replayed")
                good &= ~absent
            if pa.types.is_integer(array.type):
                columns[name] = array.fill_null(0).to_numpy(zero_copy_only=False)
                misfit = ~_fits(columns[name], column) & ~absent
                said = _say_misfit(columns[name], column)
                self._tally("values-fit", rows, misfit, said)
                good &= ~misfit
                if name == "ppn":
                    columns[name] = np.where(absent, -1, columns[name].astype(np.int64, copy=False))
            elif pa.types.is_boolean(array.type):
                columns[name] = array.fill_null(False).to_numpy(zero_copy_only=False)
            else:
                columns[name] = self._encode(name, array)
        return rows[good], {name: values[good] for name, values in columns.items()}

    def _encode(self, name: str, array: pa.Array) -> np.ndarray:
        """Codes of a text column, the same in all batches; those of nulls mean nothing."""
        encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        known, values = self._codes[name], encoded.dictionary.to_pylist()  # pyright: ignore[reportAttributeAccessIssue]
        index = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)  # pyright: ignore[reportAttributeAccessIssue]
        used = np.bincount(index, minlength=len(values)) > 0
        code = [known.setdefault(value, len(known)) if used[i] else 0 for i, value in enumerate(values)]
        return np.array(code or [0], np.int64)[index]

    def _check_order(self, rows: np.ndarray, columns: dict[str, Any]) -> None:
        t = columns["t"].astype(np.int64, copy=False)
        self._tally("t-non-negative", rows, t < 0, lambda i: f"t is {t[i]}; times are ns since the capture began")
        seq = columns["seq"].astype(np.uint64, copy=False) if "seq" in columns else np.zeros(len(t), np.uint64)
        known = self._last_key is not None
        last_t, last_seq = self._last_key or (0, 0)
        t_before = np.concatenate([np.array([last_t], np.int64), t[:-1]])
        seq_before = np.concatenate([np.array([last_seq], np.uint64), seq[:-1]])
        follows = np.ones(len(t), np.bool_)
        follows[0] = known
        self._tally("sorted-t", rows, follows & (t < t_before), lambda i: f"t {t[i]} after t {t_before[i]}; sort the file by t, seq")
        if "seq" in columns:
            stuck = follows & (t == t_before) & (seq <= seq_before)
            self._tally("seq-increasing", rows, stuck, lambda i: f"seq {seq[i]} after seq {seq_before[i]} at one t; number the rows anew")
        self._last_key = int(t[-1]), int(seq[-1])

    def _check_vms(self, rows: np.ndarray, vm: np.ndarray) -> None:
        if self._sizes:
            names = list(self._codes["vm"])
            strange = np.array([name not in self._sizes for name in names])[vm]
            self._tally("vm-declared", rows, strange, lambda i: f"VM {names[vm[i]]!r} is not in the metadata's VM table; add it there")

    def _check_pages(self, rows: np.ndarray, vm: np.ndarray, ppn: np.ndarray) -> None:
        if not self._sizes:
            return
        names = list(self._codes["vm"])
        size = np.array([self._sizes.get(name, 1 << 62) for name in names])[vm]

        def said(i: int) -> str:
            return f"PPN {ppn[i]} lies beyond VM {names[vm[i]]!r}, which has {size[i]} pages; correct the row or the VM's size"

        self._tally("ppn-in-vm", rows, ppn >= size, said)

    def _check_content(self, rows: np.ndarray, vm: np.ndarray, columns: dict[str, Any]) -> None:
        digest, ppn = columns["digest"].astype(np.uint64, copy=False), columns["ppn"]
        self._zero_seen = self._zero_seen or bool((digest == np.uint64(self._zero & 0xFFFFFFFFFFFFFFFF)).any())
        same = np.zeros(len(rows), np.bool_)
        for code in np.unique(vm):
            mine = np.flatnonzero((vm == code) & (ppn < REMEMBERED_PAGES))
            known, before = self._digests.setdefault(int(code), _LastValues()).exchange(ppn[mine], digest[mine])
            same[mine] = known & (before == digest[mine])
        self._tally("duplicates", rows, same, lambda i: f"PPN {ppn[i]} has the digest it had before; only changes need rows")

    def _check_io(self, rows: np.ndarray, columns: dict[str, Any]) -> None:
        size, mask = columns["bytes"], columns["dma_mask"].astype(np.uint64, copy=False)
        wrong = (size < 1) | (size > PAGE_BYTES)
        self._tally("bytes-in-page", rows, wrong, lambda i: f"{size[i]} bytes of one page; expected 1 to {PAGE_BYTES}, a row a page")
        one = np.uint64(1)
        odd = (mask == 0) | ((mask & (mask + one)) != 0)
        self._tally("mask-shape", rows, odd, lambda i: f"DMA mask {mask[i]:#x} is not of the form 2^k − 1")
        if "bounced" not in columns:
            return
        ppn, bounced = columns["ppn"], columns["bounced"]
        forced = columns.get("forced", np.zeros(len(rows), np.bool_))
        beyond = ppn.clip(0).astype(np.uint64) * np.uint64(PAGE_BYTES) + np.uint64(PAGE_BYTES - 1) > mask
        strange = (bounced != (forced | beyond)) & ((ppn >= 0) | forced)

        def said(i: int) -> str:
            return f"bounced is {bounced[i]} for PPN {ppn[i]} under DMA mask {mask[i]:#x}, forced {forced[i]}"

        self._tally("bounced-matches-mask", rows, strange, said)

    def _check_clock(self, rows: np.ndarray, vm: np.ndarray, columns: dict[str, Any]) -> None:
        clock = np.flatnonzero(columns["what"] == self._codes["what"].get("clock"))
        a = columns["a"][clock].astype(np.int64, copy=False)
        known, before = self._clock.exchange(vm[clock], a)
        self._tally("clock-monotonic", rows[clock], known & (a < before), lambda i: f"the VM's clock falls from {before[i]} to {a[i]}")

    def _tally(self, rule: str, rows: np.ndarray, broken: np.ndarray, said: Callable[[int], str]) -> None:
        count = int(np.count_nonzero(broken))
        if not count:
            return
        if rule in self.tallies:
            self.tallies[rule].rows += count
        else:
            i = int(np.argmax(broken))
            self.tallies[rule] = Tally(count, int(rows[i]), said(i))


class _LastValues:
    """The last value seen for each small integer key."""

    def __init__(self) -> None:
        self._values = np.zeros(0, np.uint64)
        self._known = np.zeros(0, np.bool_)

    def exchange(self, keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each row, whether its key was seen before and its value then; the rows' own values are kept."""
        if not len(keys):
            return np.zeros(0, np.bool_), values
        self._grow(int(keys.max()) + 1)
        order = np.argsort(keys, kind="stable")
        key, value = keys[order], values[order]
        new = np.concatenate([[True], key[1:] != key[:-1]])
        before = np.concatenate([value[:1], value[:-1]])
        before[new] = self._values[key[new]].view(values.dtype)
        known = ~new | self._known[key]
        last = np.concatenate([new[1:], [True]])
        self._values[key[last]], self._known[key[last]] = value[last].view(np.uint64), True
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return known[back], before[back]

    def _grow(self, size: int) -> None:
        if size > len(self._values):
            values, known = np.zeros(2 * size, np.uint64), np.zeros(2 * size, np.bool_)
            values[: len(self._values)], known[: len(self._known)] = self._values, self._known
            self._values, self._known = values, known


def _fits(values: np.ndarray, column: Column) -> np.ndarray:
    wanted = np.iinfo(ARROW[column.type].to_pandas_dtype())
    own = np.iinfo(values.dtype)
    fits = np.ones(len(values), np.bool_)
    if own.min < wanted.min:
        fits &= values >= 0
    if own.max > wanted.max:
        fits &= values <= values.dtype.type(wanted.max)
    return fits


def _say_misfit(values: np.ndarray, column: Column) -> Callable[[int], str]:
    return lambda i: f"{column.name} {values[i]} does not fit {column.type} ({column.prose})"
