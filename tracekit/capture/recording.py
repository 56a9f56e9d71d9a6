"""Where a capture puts its rows: a file a snapshot, each whole or not at all, joined into one when the capture ends.

Until then they lie in ``CAPTURE.parts/``, and each is a trace file of its own: a capture that is killed at any moment
loses no snapshot that was finished, and ``tracekit capture finish CAPTURE`` joins what it left.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tracekit.errors import CaptureError
from tracekit.metadata import Metadata
from tracekit.tracefile import TraceFile
from tracekit.tracewriter import TraceWriter

#: Rows that are joined into a row group.
BLOCK_ROWS = 1 << 20


class Recording:
    """Takes the snapshots of one capture, in order of time. ``path`` is ``FOLDER/CAPTURE`` without a kind."""

    def __init__(self, path: str | os.PathLike[str], kind: str, columns: Sequence[str]):
        self.path = capture_path(path, kind)
        self.kind, self._columns = kind, columns
        self.parts = self.path.with_name(f"{self.path.name}.parts")
        if self.parts.exists():
            said = "holds what a capture left that was interrupted"
            raise CaptureError(f"{self.parts}: {said}; finish it first (tracekit capture finish {self.path}) or remove it")
        self.parts.mkdir(parents=True)
        self.rows = self._count = 0

    def add(self, metadata: Metadata, columns: dict[str, Any]) -> None:
        """Write one snapshot; it is there once this returns. ``columns`` are those of the kind but ``seq``."""
        rows = len(columns["t"])
        if not rows:
            return
        columns["seq"] = np.arange(self.rows, self.rows + rows, dtype=np.uint64)
        self._count += 1
        part = self.parts / f"{self._count:06d}.{self.kind}.parquet"
        with TraceWriter(part, metadata, self._columns) as writer:
            writer.write(columns)
        self.rows += rows

    def discard(self) -> None:
        """Give up what was captured."""
        shutil.rmtree(self.parts)

    def finish(self, provenance: dict[str, Any]) -> Path:
        """Join the snapshots under the capture's name. ``provenance`` is added to what the last of them says."""
        if not self._count:
            self.discard()
            raise CaptureError(f"{self.path}: the capture ended before its first snapshot was finished")
        return join(self.parts, provenance)


def capture_path(path: str | os.PathLike[str], kind: str) -> Path:
    """``FOLDER/CAPTURE`` of a capture that may be given with its kind (``FOLDER/CAPTURE.content.parquet``)."""
    path = Path(path)
    return path.with_name(path.name.removesuffix(".parquet").removesuffix(f".{kind}"))


def finish_left(path: str | os.PathLike[str]) -> Path:
    """Join what an interrupted capture has left; returns the file written. Raises CaptureError if there is nothing."""
    path = Path(path)
    parts = path if path.name.endswith(".parts") else path.with_name(f"{path.name}.parts")
    if not any(parts.glob("*.parquet")):
        raise CaptureError(f"{parts}: holds no finished snapshot; nothing to join")
    return join(parts, {"interrupted": True})


def join(parts: Path, provenance: dict[str, Any]) -> Path:
    """Write the trace files in ``parts`` as one, in the order of their names, and remove them."""
    files = sorted(parts.glob("[!.]*.parquet"))
    told = [metadata for part in files if (metadata := TraceFile(part).metadata)]
    sizes = {vm.name: vm for metadata in told for vm in metadata.vms}  # a process grows: the last is largest
    pauses = dict[str, list[Any]]()
    for metadata in told:  # each snapshot tells of its own
        for vm, pause in metadata.provenance.get("pauses_ns", {}).items():
            pauses.setdefault(vm, []).extend(pause)
    provenance = ({"pauses_ns": pauses} if pauses else {}) | provenance
    metadata = replace(told[-1], vms=tuple(sizes.values()), provenance=told[-1].provenance | provenance)
    out = parts.with_name(f"{parts.name.removesuffix('.parts')}.{metadata.kind}.parquet")
    with TraceWriter(out, metadata, TraceFile(files[0]).columns) as writer:
        for block in _blocks(files, writer.schema.names):
            writer.write({name: block[name] for name in writer.schema.names})
    shutil.rmtree(parts)
    return out


def _blocks(files: Sequence[Path], names: list[str]) -> Iterator[pa.Table]:
    """The rows of all files, in tables of about a million."""
    held, rows = list[pa.Table](), 0
    for file in files:
        held.append(pq.read_table(file, columns=names))
        rows += held[-1].num_rows
        if rows >= BLOCK_ROWS or file == files[-1]:
            yield pa.concat_tables(held).unify_dictionaries()
            held, rows = [], 0
