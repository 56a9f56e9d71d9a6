"""Reading one trace file: what it says and has, and its rows as checked NumPy columns."""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from tracekit.errors import TraceError, first_line
from tracekit.location import Place, Url, place, source
from tracekit.metadata import Metadata, VmInfo
from tracekit.schema import KINDS, METADATA_KEY, Column

#: Rows that a reader holds at a time.
BATCH_ROWS = 1 << 18

ARROW: dict[str, pa.DataType] = {
    "int64": pa.int64(),
    "uint64": pa.uint64(),
    "uint32": pa.uint32(),
    "uint16": pa.uint16(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
}


class TraceFile:
    """A readable trace file. Opening reads the footer only; ``batches`` streams checked rows."""

    def __init__(self, path: str | os.PathLike[str] | Url):
        self.path = place(path)
        self._parquet = _open_parquet(self.path)
        raw = (self._parquet.schema_arrow.metadata or {}).get(METADATA_KEY)
        raw = raw or (self._parquet.metadata.metadata or {}).get(METADATA_KEY)
        self.metadata = Metadata.from_json(raw, self.path) if raw else None
        self.kind = self.metadata.kind if self.metadata else self._infer_kind()
        self.columns = self._check_columns()
        self.rows: int = self._parquet.metadata.num_rows
        if self.rows == 0:
            raise TraceError(f"{self.path}: holds no rows; leave the file out")

    @property
    def capture(self) -> str:
        """The capture's name: from the metadata, else ``<capture>.<kind>.parquet``, else the file's stem."""
        if self.metadata:
            return self.metadata.capture
        stem = self.path.name.removesuffix(".parquet")
        return stem.removesuffix(f".{self.kind}") or stem

    @property
    def digest(self) -> str:
        """Digest of the file's size and footer, which holds counts and statistics of every column chunk."""
        with _open(self.path) as handle:
            size = handle.seek(0, os.SEEK_END)
            handle.seek(size - 8)
            footer = int.from_bytes(handle.read(4), "little")
            handle.seek(size - 8 - footer)
            return xxhash.xxh3_64_hexdigest(size.to_bytes(8, "little") + handle.read(footer))

    def _infer_kind(self) -> str:
        by_name = self.path.name.removesuffix(".parquet").rpartition(".")[2]
        if by_name in KINDS:
            return by_name
        present = set(self._parquet.schema_arrow.names)
        for kind, mark in (("content", "digest"), ("io", "device"), ("event", "what"), ("access", "ppn")):
            if {"t", "vm", mark} <= present:
                return kind
        raise TraceError(
            f"{self.path}: has no tracekit metadata and columns {', '.join(sorted(present)[:8])}, which are of no trace kind; "
            "expected t, vm and digest, device, what or ppn (other columns: tracekit import FILE --map ppn=COLUMN)"
        )

    def _check_columns(self) -> tuple[str, ...]:
        """Names of the schema's columns that the file has; refuses missing ones and wrong types."""
        schema, present = self._parquet.schema_arrow, []
        for column in KINDS[self.kind].columns:
            index = schema.get_field_index(column.name)
            if index < 0:
                if not column.optional:
                    raise TraceError(f"{self.path}: column {column.name!r} is missing; a {self.kind} trace needs it ({column.prose})")
                continue
            if not _castable(schema.field(index).type, column):
                found, wanted = schema.field(index).type, column.type
                raise TraceError(f"{self.path}: column {column.name!r} is {found}, expected {wanted} ({column.prose})")
            present.append(column.name)
        return tuple(present)

    def span(self) -> tuple[int, int]:
        """(first, last) t in ns: from row group statistics, else by reading the column."""
        index = self._parquet.schema_arrow.get_field_index("t")
        groups = [self._parquet.metadata.row_group(i).column(index) for i in range(self._parquet.num_row_groups)]
        stats = [group.statistics for group in groups]
        if stats and all(s is not None and s.has_min_max and isinstance(s.min, int) for s in stats):
            return min(s.min for s in stats), max(s.max for s in stats)
        first, last = None, None
        for batch in self.batches(["t"]):
            first, last = (int(batch["t"][0]) if first is None else first), int(batch["t"][-1])
        if first is None or last is None:
            raise TraceError(f"{self.path}: damaged (it says {self.rows} rows and holds none); copy or write the file again")
        return first, last

    def names_of(self, column: str) -> tuple[str, ...]:
        """Distinct values of a dictionary column, in order of appearance."""
        seen: dict[str, None] = {}
        for batch in self.arrow_batches([column]):
            for value in _dictionary(batch.column(0), self.path, column).unique().to_pylist():
                if value is None:
                    raise TraceError(f"{self.path}: column {column!r} has nulls; every row needs a {column}")
                seen.setdefault(value)
        return tuple(seen)

    @cached_property
    def vms(self) -> tuple[VmInfo, ...]:
        """The VMs: as the metadata says, else each that appears, its size the largest PPN + 1."""
        if self.metadata:
            return self.metadata.vms
        sizes: dict[str, int] = {}
        wanted = ["vm", "ppn"] if "ppn" in self.columns else ["vm"]
        for batch in self.arrow_batches(wanted):
            vm = _dictionary(batch.column("vm"), self.path, "vm")
            index, names = _indices(vm, self.path, "vm"), vm.dictionary.to_pylist()
            ppn = batch.column("ppn") if "ppn" in self.columns else None
            pages = np.zeros(batch.num_rows, np.int64)
            if ppn is not None:
                known = _cast(ppn, pa.int64(), self.path, "ppn").fill_null(-1)
                pages = known.to_numpy(zero_copy_only=False) + 1
            largest = np.zeros(len(names), np.int64)
            np.maximum.at(largest, index, pages)
            for i in np.unique(index):
                sizes[names[i]] = max(sizes.get(names[i], 0), int(largest[i]))
        for name in sizes:
            if not name or name == "*":
                raise TraceError(f"{self.path}: {name!r} cannot be the name of a VM; give it a name other than *")
        return tuple(VmInfo(name, max(pages, 1)) for name, pages in sizes.items())

    def batches(self, columns: Sequence[str], rows: int = BATCH_ROWS) -> Iterator[dict[str, Any]]:
        """Stream batches of NumPy columns; dictionary columns come as ``(indices, names)``.

        ``ppn`` nulls come as 2³² − 1, ``to_device`` as int8 with −1 for both ways. Types are checked here, order and
        bounds by the caller, which knows the other files.
        """
        wanted = {column.name: column for column in KINDS[self.kind].columns}
        for batch in self.arrow_batches(columns, rows):
            yield {name: _to_numpy(batch.column(name), wanted[name], self.path) for name in columns}

    def arrow_batches(self, columns: Sequence[str], rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Stream batches of Arrow columns as they stand in the file. Raises TraceError if it is damaged."""
        try:
            for batch in self._parquet.iter_batches(batch_size=rows, columns=list(columns)):
                if batch.num_rows:
                    yield batch
        except (pa.ArrowException, OSError, ValueError) as error:
            raise TraceError(f"{self.path}: damaged ({first_line(error)}); copy or write the file again") from None


_TEXTS = {column.name for table in KINDS.values() for column in table.columns if column.type == "dictionary"}


def _open(path: Place) -> BinaryIO:
    return open(path, "rb") if isinstance(path, Path) else source(path)


def _open_parquet(path: Place) -> pq.ParquetFile:
    if isinstance(path, Path):
        if not path.exists():
            raise TraceError(f"{path}: no such file")
        if path.is_dir():
            raise TraceError(f"{path}: is a directory; name the trace files in it, such as {path}/*.parquet")
        if path.stat().st_size == 0:
            raise TraceError(f"{path}: is empty; expected a Parquet file")
    opened = source(path)
    try:
        footer = pq.read_metadata(opened)
        columns = footer.schema.to_arrow_schema()
        texts = [f.name for f in columns if f.name in _TEXTS and (pa.types.is_string(f.type) or pa.types.is_large_string(f.type))]
        return pq.ParquetFile(opened, metadata=footer, read_dictionary=texts, pre_buffer=isinstance(path, Url))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise TraceError(f"{path}: not a readable Parquet file ({first_line(error)}); is it truncated or of another format?") from None


def _castable(found: pa.DataType, column: Column) -> bool:
    if column.type == "dictionary":
        if pa.types.is_dictionary(found):
            found = found.value_type
        return pa.types.is_string(found) or pa.types.is_large_string(found)
    if column.type == "bool":
        return pa.types.is_boolean(found)
    return pa.types.is_integer(found)


def _cast(array: pa.Array, wanted: pa.DataType, path: Place, name: str) -> pa.Array:
    try:
        return array if array.type == wanted else array.cast(wanted)
    except pa.ArrowException as error:
        raise TraceError(f"{path}: column {name!r} holds values that do not fit {wanted} ({first_line(error)})") from None


def _dictionary(array: pa.Array, path: Place, name: str) -> pa.DictionaryArray:
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    return array  # pyright: ignore[reportReturnType]


def _indices(array: pa.DictionaryArray, path: Place, name: str) -> np.ndarray:
    if array.null_count:
        raise TraceError(f"{path}: column {name!r} has nulls; every row needs a {name}")
    return _cast(array.indices, pa.int32(), path, name).to_numpy(zero_copy_only=False)


def _to_numpy(array: pa.Array, column: Column, path: Place) -> Any:
    if column.type == "dictionary":
        encoded = _dictionary(array, path, column.name)
        return _indices(encoded, path, column.name), tuple(encoded.dictionary.to_pylist())
    if array.null_count and not column.nullable:
        raise TraceError(f"{path}: column {column.name!r} has nulls; only known values can be replayed")
    if column.name == "to_device":
        return array.cast(pa.int8()).fill_null(-1).to_numpy(zero_copy_only=False)
    if column.nullable and array.null_count:
        array = _cast(array, ARROW[column.type], path, column.name)
        return array.fill_null(pa.scalar(0xFFFFFFFF, ARROW[column.type])).to_numpy(zero_copy_only=False)
    return _cast(array, ARROW[column.type], path, column.name).to_numpy(zero_copy_only=False)
