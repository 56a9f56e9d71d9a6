"""Accesses from contents: a page whose content differs from that of the snapshot before was stored to in between."""

import os
from pathlib import Path

import numpy as np
import polars as pl

from tracekit.capture.recording import capture_path
from tracekit.errors import CaptureError
from tracekit.metadata import Metadata, provenance
from tracekit.tracefile import TraceFile
from tracekit.tracewriter import TraceWriter

BLIND = (
    "loads go unseen, and stores that leave a page as it was",
    "a row says that the page was stored to at some time of the bucket, which is the time between two snapshots",
)


def write_dirty(content: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Path:
    """Write the changes that a content trace tells as ``OUT.access.parquet``, by default beside it. Returns the file.

    A row's t is that of the snapshot before the one that told of it. Raises CaptureError if there is only one snapshot.
    """
    trace = TraceFile(content)
    if trace.kind != "content":
        raise CaptureError(f"{trace.path}: is a trace of {trace.kind}, expected one of contents")
    pauses = trace.metadata.provenance.get("pauses_ns", {}) if trace.metadata else {}
    rows = pl.read_parquet(str(trace.path), columns=["t", "vm", "ppn"]).with_columns(pl.col("vm").cast(pl.String))
    told, steps = [], []
    for number, vm in enumerate(trace.vms):
        mine = rows.filter(pl.col("vm") == vm.name).drop("vm")
        # A snapshot in which nothing had changed has no rows, and only the capture itself knows of it.
        times = np.array(sorted({t for t, _ in pauses.get(vm.name, ())} | set(mine["t"].unique().to_list())), np.int64)
        steps += np.diff(times).tolist()
        at = np.searchsorted(times, mine["t"].to_numpy())
        told.append(pl.DataFrame({"t": times[at - 1], "vm": np.full(len(at), number, np.int32), "ppn": mine["ppn"]}).filter(at > 0))
    dirty = pl.concat(told).sort("t", "vm", "ppn")
    if dirty.is_empty():
        raise CaptureError(f"{trace.path}: no page changes after a VM's first snapshot, so nothing tells of stores")
    path = capture_path(out or capture_path(content, "content"), "access")
    path = path.with_name(f"{path.name}.access.parquet")
    columns = ("t", "seq", "vm", "ppn", "write")
    about = Metadata(
        kind="access",
        capture=trace.capture,
        vms=trace.vms,
        capabilities=("access", "writes"),
        bucket_ns=int(np.median(steps)),
        provenance=provenance(
            {},
            method="pages whose content differs from that of the snapshot before",
            source={"file": trace.path.name, "xxh3_64": trace.digest},
            clock=trace.metadata.provenance.get("clock") if trace.metadata else None,
            blind_spots=list(BLIND),
            rows_dropped={},
        ),
    )
    with TraceWriter(path, about, columns) as writer:
        names = [vm.name for vm in trace.vms]
        seq = np.arange(dirty.height, dtype=np.uint64)
        vm, write = (dirty["vm"].to_numpy(), names), np.ones(dirty.height, np.bool_)
        writer.write({"t": dirty["t"].to_numpy(), "seq": seq, "vm": vm, "ppn": dirty["ppn"].to_numpy(), "write": write})
    return path
