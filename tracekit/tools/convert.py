"""Traces for other tools: libCacheSim's oracleGeneral, and CSV."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from tracekit.errors import TraceError
from tracekit.formats.oracle import GENERAL
from tracekit.kernel import entry
from tracekit.trace import Trace
from tracekit.tracefile import TraceFile
from tracekit.units import PAGE_BYTES

#: oracleGeneral keeps seconds in 32 bits.
_MOST_SECONDS = (1 << 32) - 1


def to_oracle_general(trace: Trace, out: Path) -> int:
    """Write the accesses of a capture as oracleGeneral: 24 bytes each, with the number of the next access. Returns how many.

    Objects are page ids over all VMs, of 4096 bytes; times are whole seconds. An access that stands for several (``count``)
    is one. Raises TraceError without accesses.
    """
    if "access" not in trace.kinds:
        raise TraceError(f"{trace.name}: has no accesses; oracleGeneral holds nothing else")
    if trace.last_t // 10**9 > _MOST_SECONDS:
        raise TraceError(f"{trace.name}: lasts longer than the 32 bits of seconds that oracleGeneral has")
    rows = trace.rows["access"]
    with _whole(out) as file:
        file.truncate(rows * GENERAL.itemsize)
        made = np.memmap(file, GENERAL, "r+", shape=(rows,))
        last, done = np.full(trace.pages, -1, np.int64), 0
        for chunk in trace.chunks({"access": ["page"]}):
            columns = chunk.columns["access"]
            part = made[done : done + len(columns["t"])]
            part["t"], part["object"], part["size"], part["next"] = columns["t"] // 10**9, columns["page"], PAGE_BYTES, -1
            previous = np.empty(len(part), np.int64)
            _previous(columns["page"], done, last, previous)
            again = previous >= 0
            made["next"][previous[again]] = np.flatnonzero(again) + done
            done += len(part)
        made.flush()
        del made
    return rows


@entry
def _previous(page, first, last, out):
    """The number of the access to the same page before each access, −1 if there is none."""
    for i in range(page.size):
        out[i] = last[page[i]]
        last[page[i]] = first + i


def to_csv(file: TraceFile, out: Path) -> int:
    """Write the rows of a trace file as CSV with a header; nulls are empty. Returns how many."""
    with _whole(out) as target:
        writer: Any = None
        for batch in file.arrow_batches(file.columns):
            columns = [c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in batch.columns]
            table = pa.table(columns, names=list(file.columns))
            if writer is None:
                writer = pacsv.CSVWriter(target, table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()
    return file.rows


@contextmanager
def _whole(out: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name once complete, or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
        os.chmod(temporary, 0o644)
        os.replace(temporary, out)
    finally:
        Path(temporary).unlink(missing_ok=True)
