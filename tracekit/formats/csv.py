"""CSV and TSV files with a header and columns of any name: made Parquet on the way, then mapped like that."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from tracekit.errors import TraceError, first_line
from tracekit.formats.parquet import Imported, import_parquet
from tracekit.formats.source import Source, Stream


def import_csv(source: Source, out: Path, mapping: Mapping[str, str], **options: Any) -> Imported:
    """Write a CSV file as the trace ``out``; options are those of ``import_parquet``. Types are those of the first block.

    Raises TraceError, and then writes nothing.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{out.name}.", suffix=".parquet", dir=out.parent)
    os.close(handle)
    try:
        _convert(source, Path(temporary))
        return import_parquet(temporary, out, mapping, called=source.path, **options)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _convert(source: Source, path: Path) -> None:
    first = source.head.split(b"\n", 1)[0]
    parse = pacsv.ParseOptions(delimiter="\t" if b"\t" in first and b"," not in first else ",")
    try:
        with source.open() as stream, pacsv.open_csv(pa.PythonFile(_Reader(stream), "r"), parse_options=parse) as reader:
            with pq.ParquetWriter(path, reader.schema, compression="lz4") as writer:
                for batch in reader:
                    writer.write_batch(batch)
            if stream.cut:
                raise TraceError(f"{source.path}: {stream.cut}; copy it again")
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise TraceError(f"{source.path}: cannot be read as CSV ({first_line(error)}); is it of this format?") from None


class _Reader:
    """A stream as pyarrow wants to read it."""

    closed = False

    def __init__(self, stream: Stream):
        self._stream = stream

    def read(self, count: int = -1) -> bytes:
        return self._stream.read(count if count >= 0 else 1 << 62)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        pass
