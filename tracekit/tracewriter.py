"""Writing a trace file: in order, batch by batch, whole or not at all."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tracekit.errors import TraceError
from tracekit.metadata import Metadata
from tracekit.schema import KINDS, METADATA_KEY, Table
from tracekit.tracefile import ARROW

#: Rows of a row group: fewer decode slowly, more are held at a time.
GROUP_ROWS = 1 << 20


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

    ``profile`` is ``archive`` (small: zstd, deltas), ``import`` (the same with less effort: as small unless rows repeat,
    and four times as fast to write) or ``replay`` (fast to decode: plain, lz4). With ``late`` the attribute
    ``metadata`` may be replaced until the end. Use as a context manager: leaving it by an exception leaves no file.
    """

    def __init__(
        self, path: str | os.PathLike[str], metadata: Metadata, columns: Sequence[str], profile: str = "archive", late: bool = False
    ):
        self.path = Path(path)
        metadata.validate(self.path)
        self.metadata = metadata
        self._table = KINDS[metadata.kind]
        self.schema = arrow_schema(self._table, columns, None if late else {METADATA_KEY: metadata.to_json()})
        self._late = late
        self.rows = 0
        self._last = (-(1 << 63), -1)
        self._held: list[pa.Table] = []  # rows that do not make a row group yet
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        os.close(handle)
        self._temporary = Path(temporary)
        texts = [column.name for column in self._table.columns if column.type == "dictionary" and column.name in columns]
        # Split bytes suit page numbers in any order (deltas only those that ascend) and decode three times as fast.
        small_by = {"t": "DELTA_BINARY_PACKED", "seq": "DELTA_BINARY_PACKED", "ppn": "BYTE_STREAM_SPLIT"}
        encodings = {name: encoding for name, encoding in small_by.items() if name in columns}
        small = profile != "replay"
        self._writer = pq.ParquetWriter(
            self._temporary,
            self.schema,
            compression="zstd" if small else "lz4",
            compression_level={"archive": 12, "import": 3}.get(profile),
            use_dictionary=texts,  # pyright: ignore[reportArgumentType]
            column_encoding=encodings if small else None,
        )

    def write(self, columns: dict[str, Any]) -> None:
        """Append rows given as arrays by column name; a dictionary column may be ``(indices, names)``."""
        arrays = [self._array(columns[name], name) for name in self.schema.names]
        batch = pa.table(arrays, schema=self.schema)
        if batch.num_rows:
            self._check_order(np.asarray(batch["t"]), np.asarray(batch["seq"]))
            self.rows += batch.num_rows
            self._held.append(batch)
            if sum(held.num_rows for held in self._held) >= GROUP_ROWS:
                self._write_held()

    def _write_held(self) -> None:
        if self._held:
            self._writer.write_table(pa.concat_tables(self._held).unify_dictionaries(), row_group_size=GROUP_ROWS)
            self._held = []

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
        try:
            if kind is None:
                self._write_held()
            if kind is None and self._late:
                self.metadata.validate(self.path)
                self._writer.add_key_value_metadata({METADATA_KEY: self.metadata.to_json()})
            self._writer.close()
            if kind is None:
                os.chmod(self._temporary, 0o666 & ~_umask())
                os.replace(self._temporary, self.path)
        finally:
            self._temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
