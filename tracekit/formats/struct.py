"""Binary records of any layout, described as Python's ``struct`` does: made Parquet on the way, then mapped like that.

``struct:<IQIq`` has the columns f1 to f4; ``x`` is a byte that is passed over, and a number before a letter repeats it.
"""

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tracekit.errors import TraceError
from tracekit.formats.format import Tally
from tracekit.formats.parquet import Imported, import_parquet
from tracekit.formats.records import records
from tracekit.formats.source import Source

PREFIX = "struct:"
#: Letters of Python's ``struct`` in its standard sizes, as numpy has them without the order of bytes.
TYPES = {"b": "i1", "B": "u1", "h": "i2", "H": "u2", "i": "i4", "I": "u4", "l": "i4", "L": "u4", "q": "i8", "Q": "u8", "f": "f4", "d": "f8"}
_LAYOUT = re.compile(r"([<>=]?)((?:\d*[bBhHiIlLqQfdx])+)")
_MOST_BYTES = 1 << 16


def import_struct(source: Source, out: Path, mapping: Mapping[str, str], layout: str, **options: Any) -> Imported:
    """Write binary records as the trace ``out``; options are those of ``import_parquet``. What is left of one at the end is dropped.

    Raises TraceError, and then writes nothing.
    """
    record, tally = record_of(layout), Tally("")
    names = [name for name in record.names or () if name.startswith("f")]
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{out.name}.", suffix=".parquet", dir=out.parent)
    os.close(handle)
    try:
        schema = pa.schema([(name, pa.from_numpy_dtype(record[name].newbyteorder("="))) for name in names])
        with pq.ParquetWriter(temporary, schema, compression="lz4") as writer:
            for found in records(source, record, tally):
                columns = [found[name].astype(record[name].newbyteorder("=")) for name in names]
                writer.write_batch(pa.record_batch(columns, schema=schema))
        return import_parquet(temporary, out, mapping, called=source.path, lost=tally.dropped, **options)
    finally:
        Path(temporary).unlink(missing_ok=True)


def record_of(layout: str) -> np.dtype:
    """The record that ``struct:…`` describes. Raises TraceError."""
    found = _LAYOUT.fullmatch(layout.removeprefix(PREFIX))
    if not found:
        raise TraceError(f"{layout!r} describes no record; expected letters of Python's struct, such as struct:<IQIq")
    order, fields = "<" if found[1] in ("", "=") else found[1], list[tuple[str, str]]()
    for count, letter in re.findall(r"(\d*)([a-zA-Z])", found[2]):
        repeated = int(count or 1) if len(count) < 6 else _MOST_BYTES + 1
        if repeated > _MOST_BYTES:
            raise TraceError(f"{layout!r}: {count} times {letter!r} is no record; at most {_MOST_BYTES} bytes are")
        if letter == "x":
            fields += [(f"_{len(fields)}", f"V{repeated}")] if repeated else []
        else:
            fields += [("", order + TYPES[letter])] * repeated
    named, number = list[tuple[str, str]](), 0
    for name, kind in fields:
        number += not name
        named.append((name or f"f{number}", kind))
    record = np.dtype(named)
    if not number or record.itemsize > _MOST_BYTES:
        raise TraceError(f"{layout!r}: a record of {number} fields and {record.itemsize} bytes; expected some, and at most {_MOST_BYTES}")
    return record
