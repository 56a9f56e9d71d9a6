"""One trace file: what its metadata says, its rows as checked NumPy columns, and how to write one."""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from tracekit import __version__
from tracekit.errors import TraceError
from tracekit.schema import KINDS, METADATA_KEY, SCHEMA_VERSION, ZERO_DIGEST, Column, Table
from tracekit.units import PAGE_BYTES

#: Rows that a reader holds at a time.
BATCH_ROWS = 1 << 18
MAX_PPN = 1 << 31

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


@dataclass(frozen=True)
class VmInfo:
    """A VM as a trace file describes it: ``pages`` is its size in 4 KiB pages."""

    name: str
    pages: int
    os: str = ""
    domain: str = ""


@dataclass(frozen=True)
class Metadata:
    """What a trace file says about itself, kept as JSON under the Parquet key ``tracekit``."""

    kind: str
    capture: str
    vms: tuple[VmInfo, ...]
    capabilities: tuple[str, ...]
    synthetic: bool = False
    bucket_ns: int = 0
    zero_digest: int = ZERO_DIGEST
    digest: str = "xxh3-64"
    keyed: bool = False
    devices: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        known = asdict(self) | {"schema_version": SCHEMA_VERSION, "page_bytes": PAGE_BYTES}
        return json.dumps(known, sort_keys=True).encode()

    @classmethod
    def from_json(cls, raw: bytes, path: Path) -> "Metadata":
        try:
            known = json.loads(raw)
            version, page_bytes = known.pop("schema_version"), known.pop("page_bytes")
            known["vms"] = tuple(VmInfo(**vm) for vm in known["vms"])
            known["capabilities"] = tuple(known["capabilities"])
            known["devices"] = tuple(known.get("devices", ()))
            metadata = cls(**known)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise TraceError(f"{path}: its tracekit metadata cannot be read ({error}); write the file again") from None
        if version != SCHEMA_VERSION:
            raise TraceError(f"{path}: written for schema version {version}, this tracekit reads {SCHEMA_VERSION}; upgrade one of them")
        if page_bytes != PAGE_BYTES:
            raise TraceError(f"{path}: pages of {page_bytes} bytes, only {PAGE_BYTES} are supported")
        metadata.validate(path)
        return metadata

    def validate(self, path: Path) -> None:
        """Raise TraceError unless the types and the VM table make sense."""
        for name, wanted in _METADATA_TYPES.items():
            value = getattr(self, name)
            fits = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
            if wanted is tuple and name != "vms":
                fits = fits and all(isinstance(item, str) for item in tuple(value))
            if not fits:
                raise TraceError(f"{path}: its metadata has {name} {value!r:.60}, expected {_TYPE_NAMES[wanted]}; write the file again")
        if self.kind not in KINDS:
            raise TraceError(f"{path}: unknown kind {self.kind!r}; expected one of {', '.join(KINDS)}")
        if not 0 <= self.zero_digest < 1 << 64:
            raise TraceError(f"{path}: the zero page's digest {self.zero_digest} is not of 64 bits; write the file again")
        for vm in self.vms:
            if not isinstance(vm.name, str) or not vm.name or vm.name == "*":
                raise TraceError(f"{path}: {vm.name!r} cannot be the name of a VM; give it a name other than *")
            if not isinstance(vm.os, str) or not isinstance(vm.domain, str):
                raise TraceError(f"{path}: VM {vm.name!r} has an os or domain that is no text; write the file again")
            if not isinstance(vm.pages, int) or isinstance(vm.pages, bool) or not 0 < vm.pages <= MAX_PPN:
                raise TraceError(f"{path}: VM {vm.name!r} has an impossible size of {vm.pages!r} pages; expected 1 to {MAX_PPN}")
        names = [vm.name for vm in self.vms]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise TraceError(f"{path}: two VMs are named {twice[0]!r}; names must be unique within a capture")


_METADATA_TYPES: dict[str, type] = {
    "kind": str, "capture": str, "vms": tuple, "capabilities": tuple, "synthetic": bool, "bucket_ns": int, "zero_digest": int,
    "digest": str, "keyed": bool, "devices": tuple, "provenance": dict,
}  # fmt: skip
_TYPE_NAMES = {str: "a text", int: "a whole number", bool: "true or false", tuple: "a list of texts", dict: "an object"}


class TraceFile:
    """A readable trace file. Opening reads the footer only; ``batches`` streams checked rows."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
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
        size = self.path.stat().st_size
        with open(self.path, "rb") as handle:
            handle.seek(-8, os.SEEK_END)
            footer = int.from_bytes(handle.read(4), "little")
            handle.seek(-8 - footer, os.SEEK_END)
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
            "expected t, vm and digest, device, what or ppn (other columns: tracekit import parquet FILE --map ppn=COLUMN)"
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
        assert first is not None and last is not None
        return first, last

    def names_of(self, column: str) -> tuple[str, ...]:
        """Distinct values of a dictionary column, in order of appearance."""
        seen: dict[str, None] = {}
        for batch in self._arrow_batches([column]):
            for value in _dictionary(batch.column(0), self.path, column).unique().to_pylist():
                if value is None:
                    raise TraceError(f"{self.path}: column {column!r} has nulls; every row needs a {column}")
                seen.setdefault(value)
        return tuple(seen)

    def measure_vms(self) -> tuple[VmInfo, ...]:
        """VM table of a file without metadata: each VM's size is its largest PPN + 1."""
        sizes: dict[str, int] = {}
        wanted = ["vm", "ppn"] if "ppn" in self.columns else ["vm"]
        for batch in self._arrow_batches(wanted):
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
        return tuple(VmInfo(name, max(pages, 1)) for name, pages in sizes.items())

    def batches(self, columns: Sequence[str], rows: int = BATCH_ROWS) -> Iterator[dict[str, Any]]:
        """Stream batches of NumPy columns; dictionary columns come as ``(indices, names)``.

        ``ppn`` nulls come as 2³² − 1, ``to_device`` as int8 with −1 for both ways. Types are checked here, order and
        bounds by the caller, which knows the other files.
        """
        wanted = {column.name: column for column in KINDS[self.kind].columns}
        for batch in self._arrow_batches(columns, rows):
            yield {name: _to_numpy(batch.column(name), wanted[name], self.path) for name in columns}

    def _arrow_batches(self, columns: Sequence[str], rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._parquet.iter_batches(batch_size=rows, columns=list(columns)):
                if batch.num_rows:
                    yield batch
        except (pa.ArrowException, OSError, ValueError) as error:
            raise TraceError(f"{self.path}: damaged ({_first_line(error)}); copy or write the file again") from None


_TEXTS = {column.name for table in KINDS.values() for column in table.columns if column.type == "dictionary"}


def _open_parquet(path: Path) -> pq.ParquetFile:
    if not path.exists():
        raise TraceError(f"{path}: no such file")
    if path.is_dir():
        raise TraceError(f"{path}: is a directory; name the trace files in it, such as {path}/*.parquet")
    if path.stat().st_size == 0:
        raise TraceError(f"{path}: is empty; expected a Parquet file")
    try:
        names = pq.read_schema(path)
        texts = [f.name for f in names if f.name in _TEXTS and (pa.types.is_string(f.type) or pa.types.is_large_string(f.type))]
        return pq.ParquetFile(path, read_dictionary=texts)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise TraceError(f"{path}: not a readable Parquet file ({_first_line(error)}); is it truncated or of another format?") from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _castable(found: pa.DataType, column: Column) -> bool:
    if column.type == "dictionary":
        if pa.types.is_dictionary(found):
            found = found.value_type
        return pa.types.is_string(found) or pa.types.is_large_string(found)
    if column.type == "bool":
        return pa.types.is_boolean(found)
    return pa.types.is_integer(found)


def _cast(array: pa.Array, wanted: pa.DataType, path: Path, name: str) -> pa.Array:
    try:
        return array if array.type == wanted else array.cast(wanted)
    except pa.ArrowException as error:
        raise TraceError(f"{path}: column {name!r} holds values that do not fit {wanted} ({_first_line(error)})") from None


def _dictionary(array: pa.Array, path: Path, name: str) -> pa.DictionaryArray:
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    return array  # pyright: ignore[reportReturnType]


def _indices(array: pa.DictionaryArray, path: Path, name: str) -> np.ndarray:
    if array.null_count:
        raise TraceError(f"{path}: column {name!r} has nulls; every row needs a {name}")
    return _cast(array.indices, pa.int32(), path, name).to_numpy(zero_copy_only=False)


def _to_numpy(array: pa.Array, column: Column, path: Path) -> Any:
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


# ---------------------------------------------------------------------------------------------------- writing


def arrow_schema(table: Table, names: Sequence[str], metadata: dict[bytes, bytes] | None = None) -> pa.Schema:
    """Arrow schema of the named columns, each field carrying its unit and prose."""
    fields = []
    for column in table.columns:
        if column.name in names:
            about = {"unit": column.unit, "doc": column.prose}
            fields.append(pa.field(column.name, ARROW[column.type], nullable=column.nullable, metadata=about))
    return pa.schema(fields, metadata=metadata)


class TraceWriter:
    """Write one trace file, in order, batch by batch; it appears under its name only once complete.

    ``profile`` is ``archive`` (small: zstd, deltas) or ``replay`` (fast to decode: plain, lz4). Use as a context
    manager: leaving it by an exception leaves no file.
    """

    def __init__(self, path: str | os.PathLike[str], metadata: Metadata, columns: Sequence[str], profile: str = "archive"):
        self.path = Path(path)
        metadata.validate(self.path)
        self._table = KINDS[metadata.kind]
        self.schema = arrow_schema(self._table, columns, {METADATA_KEY: metadata.to_json()})
        self.rows = 0
        self._last = (-(1 << 63), -1)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        os.close(handle)
        self._temporary = Path(temporary)
        texts = [column.name for column in self._table.columns if column.type == "dictionary" and column.name in columns]
        # Split bytes suit page numbers in any order (deltas only those that ascend) and decode three times as fast.
        small_by = {"t": "DELTA_BINARY_PACKED", "seq": "DELTA_BINARY_PACKED", "ppn": "BYTE_STREAM_SPLIT"}
        encodings = {name: encoding for name, encoding in small_by.items() if name in columns}
        small = profile == "archive"
        self._writer = pq.ParquetWriter(
            self._temporary,
            self.schema,
            compression="zstd" if small else "lz4",
            compression_level=12 if small else None,
            use_dictionary=texts,  # pyright: ignore[reportArgumentType]
            column_encoding=encodings if small else None,
        )

    def write(self, columns: dict[str, Any]) -> None:
        """Append rows given as arrays by column name; a dictionary column may be ``(indices, names)``."""
        arrays = [self._array(columns[name], name) for name in self.schema.names]
        batch = pa.table(arrays, schema=self.schema)
        if batch.num_rows:
            self._check_order(np.asarray(batch["t"]), np.asarray(batch["seq"]))
            self._writer.write_table(batch, row_group_size=1 << 20)
            self.rows += batch.num_rows

    def _array(self, values: Any, name: str) -> pa.Array:
        wanted = self.schema.field(name).type
        if isinstance(values, tuple):
            indices, names = values
            return pa.DictionaryArray.from_arrays(pa.array(np.asarray(indices, np.int32)), pa.array(list(names), pa.string()))
        array = values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.array(values)
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        return array if array.type == wanted else array.cast(wanted)

    def _check_order(self, t: np.ndarray, seq: np.ndarray) -> None:
        first = (int(t[0]), int(seq[0]))
        ordered = (t[1:] > t[:-1]) | ((t[1:] == t[:-1]) & (seq[1:] > seq[:-1]))
        if first <= self._last or not bool(ordered.all()):
            raise TraceError(f"{self.path}: rows must be written in increasing (t, seq)")
        self._last = (int(t[-1]), int(seq[-1]))

    def __enter__(self) -> "TraceWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.close()
        if kind is None:
            os.chmod(self._temporary, 0o666 & ~_umask())
            os.replace(self._temporary, self.path)
        else:
            self._temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def provenance(parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The provenance record of a written file: which software made it, from what, with which parameters."""
    return {"software": f"tracekit {__version__}", "parameters": parameters, **more}
