"""Small trace files for tests."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tracekit.metadata import Metadata, VmInfo, infer_capabilities
from tracekit.schema import KINDS, METADATA_KEY, ZERO_DIGEST
from tracekit.tracefile import ARROW
from tracekit.tracewriter import TraceWriter

DEFAULTS: dict[str, Any] = {
    "vm": "a",
    "ppn": 0,
    "digest": 1,
    "device": "eth0",
    "bytes": 4096,
    "dma_mask": (1 << 32) - 1,
    "what": "clock",
    "a": 0,
    "b": 0,
}


def columns_of(kind: str, rows: int, **given: Any) -> dict[str, Any]:
    """Columns of a kind: those given, and defaults for the required others; t and seq count rows."""
    columns: dict[str, Any] = {"t": np.arange(rows), "seq": np.arange(rows)}
    for column in KINDS[kind].columns:
        if column.name in DEFAULTS:
            columns[column.name] = [DEFAULTS[column.name]] * rows
    return columns | given


def metadata(kind: str, columns: Any, vms: dict[str, int], capture: str = "test", **more: Any) -> Metadata:
    devices = tuple(dict.fromkeys(columns["device"])) if kind == "io" else ()
    infos = tuple(VmInfo(name, pages) for name, pages in vms.items())
    fields = {"capabilities": tuple(sorted(infer_capabilities(kind, columns))), "devices": devices} | more
    return Metadata(kind, capture, infos, **fields)


def write(
    path: Path,
    kind: str,
    rows: int,
    vms: dict[str, int] | None = None,
    capture: str = "test",
    profile: str = "archive",
    more: dict[str, Any] | None = None,
    **given: Any,
) -> Path:
    """Write a valid trace file through ``TraceWriter``; ``more`` goes into its metadata."""
    columns = columns_of(kind, rows, **given)
    with TraceWriter(path, metadata(kind, columns, vms or {"a": 16}, capture, **(more or {})), list(columns), profile) as writer:
        writer.write(columns)
    return path


def write_static(path: Path, pages: int, active: dict[str, int], periods: int, period: int) -> Path:
    """VMs of so many pages that never change: each touches the same ``active`` random ones once a period (ns)."""
    rng = np.random.default_rng(7)
    sets = {vm: rng.permutation(pages)[:count] for vm, count in active.items()}
    ppn, names = np.concatenate(list(sets.values())), [vm for vm, own in sets.items() for _ in own]
    t = np.repeat(np.arange(periods + 1) * period, len(ppn))
    vms = dict.fromkeys(active, pages)
    return write(path, "access", len(t), vms, t=t, vm=names * (periods + 1), ppn=np.tile(ppn, periods + 1))


def write_raw(
    path: Path, kind: str, rows: int, about: bytes | None = None, types: dict[str, pa.DataType] | None = None, **given: Any
) -> Path:
    """Write Parquet past all checks: any values, any types, any metadata."""
    wanted = {column.name: ARROW[column.type] for column in KINDS[kind].columns} | (types or {})
    columns = {name: values for name, values in columns_of(kind, rows, **given).items() if values is not None}
    schema = pa.schema([(name, wanted[name]) for name in columns], metadata={METADATA_KEY: about} if about else None)
    arrays = [values if isinstance(values, pa.Array) else pa.array(list(values), wanted[name]) for name, values in columns.items()]
    pq.write_table(pa.table(arrays, schema=schema), path)
    return path


def about(kind: str, vms: dict[str, int], **more: Any) -> bytes:
    """Metadata as it stands in a file."""
    return metadata(kind, columns_of(kind, 1), vms, **more).to_json()


__all__ = ["ZERO_DIGEST", "about", "columns_of", "metadata", "write", "write_raw", "write_static"]
