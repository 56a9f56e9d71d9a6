"""An access trace from DAMON: of a VM's RAM in QEMU's process, of a process, or of the machine's physical memory."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tracekit.capture.damon import Damon, Region
from tracekit.capture.ending import Ending, signals
from tracekit.capture.guest import vm_name
from tracekit.capture.layout import pages_of, ram_ranges
from tracekit.capture.memory import host_address
from tracekit.capture.process import mappings
from tracekit.capture.qmp import Monitor
from tracekit.capture.recording import Recording
from tracekit.errors import CaptureError
from tracekit.metadata import Metadata, VmInfo, provenance
from tracekit.units import PAGE_BYTES

#: ns between two files of a capture that runs.
PART_NS = 5 * 10**9
#: Rows that make a file before its time.
PART_ROWS = 1 << 20
COLUMNS = ("t", "seq", "vm", "ppn", "count")
BLIND = (
    "sampled: a region's pages are taken to be used alike, and count is how many samples of one of its pages found an access",
    "stores are not told from loads",
    "pages of regions in which no sample found an access have no rows",
)


@dataclass(frozen=True)
class Span:
    """Addresses ``start`` to ``end``, whose first page is page ``ppn`` of the VM."""

    start: int
    end: int
    ppn: int


@dataclass(frozen=True)
class Target:
    """What is monitored: a VM's name and pages, where they lie, and of which process they are the addresses (None: physical)."""

    name: str
    pages: int
    spans: tuple[Span, ...]
    pid: int | None


def of_vm(monitor: Monitor, name: str | None = None) -> Target:
    """A VM's RAM, in QEMU's process. Raises CaptureError if QEMU does not say where it is."""
    if monitor.pid is None:
        raise CaptureError(f"{monitor.where}: QEMU's process is not known, so DAMON cannot look at it")
    ranges, spans = ram_ranges(monitor), []
    for each in ranges:
        address = host_address(monitor, each.start)
        spans.append(Span(address, address + each.size, each.start // PAGE_BYTES))
    return Target(name or vm_name(monitor), pages_of(ranges), tuple(spans), monitor.pid)


def of_process(pid: int, name: str | None = None) -> Target:
    """A process's memory as it is mapped now; its pages are numbered by address."""
    spans, pages = [], 0
    for start, end in mappings(pid):
        spans.append(Span(start, end, pages))
        pages += (end - start) // PAGE_BYTES
    return Target(name or f"process-{pid}", pages, tuple(spans), pid)


def of_machine(start: int, end: int) -> Target:
    """Physical addresses of this machine, as if it were a VM; pages are page frames."""
    if not 0 <= start < end or start % PAGE_BYTES or end % PAGE_BYTES:
        raise CaptureError(f"physical addresses {start:#x} to {end:#x} are no range of whole pages")
    return Target("machine", end // PAGE_BYTES, (Span(start, end, start // PAGE_BYTES),), None)


def record(target: Target, out: Path, for_ns: int | None, aggregate_us: int = 100_000) -> Path:
    """Monitor until ``for_ns`` have gone by or a signal ends it; returns ``out.access.parquet``. Raises CaptureError."""
    recording = Recording(out, "access", COLUMNS)
    start = time.monotonic_ns()
    try:
        with signals() as ending, Damon([(span.start, span.end) for span in target.spans], target.pid, aggregate_us=aggregate_us) as damon:
            until = None if for_ns is None else start + for_ns
            about = _metadata(target, recording.path.name, start, aggregate_us * 1000)
            for held in _parts(damon, ending, until):
                recording.add(about, _columns(target, held, start + aggregate_us * 1000))
    finally:
        if not recording.rows:
            recording.discard()
    if not recording.rows:
        raise CaptureError(f"{target.name}: DAMON has found no access; was it long enough, and does the guest run?")
    return recording.finish({})


def _parts(damon: Damon, ending: Ending, until: int | None) -> Iterator[list[Region]]:
    """Regions that were accessed, some seconds at a time."""
    held, rows, due = list[Region](), 0, time.monotonic_ns() + PART_NS
    for region in damon.regions(ending, until):
        if region.count:
            if held and region.t > held[-1].t + 1_000_000 and (rows >= PART_ROWS or region.t > due):
                yield held
                held, rows, due = [], 0, region.t + PART_NS
            held.append(region)
            rows += (region.end - region.start) // PAGE_BYTES
    yield held


def _columns(target: Target, held: list[Region], origin: int) -> dict[str, Any]:
    """Rows of the pages of regions; t is when the interval began."""
    t, ppn, count = [], [], []
    for region in held:
        for span in target.spans:
            first, end = max(region.start, span.start), min(region.end, span.end)
            pages = np.arange((first - span.start) // PAGE_BYTES, -(-(end - span.start) // PAGE_BYTES), dtype=np.int64) + span.ppn
            ppn.append(pages)
            t.append(np.full(len(pages), max(region.t - origin, 0), np.int64))
            count.append(np.full(len(pages), region.count, np.uint32))
    rows = sum(map(len, ppn))
    joined = {"t": _joined(t, np.int64), "vm": (np.zeros(rows, np.int32), [target.name])}
    return joined | {"ppn": _joined(ppn, np.int64).astype(np.uint32), "count": _joined(count, np.uint32)}


def _joined(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


def _metadata(target: Target, capture: str, origin: int, bucket_ns: int) -> Metadata:
    return Metadata(
        kind="access",
        capture=capture,
        vms=(VmInfo(target.name, target.pages),),
        capabilities=("access",),
        bucket_ns=bucket_ns,
        provenance=provenance(
            {},
            method="DAMON's damon_aggregated tracepoint, by aggregation interval; t is when the interval began",
            clock={"name": "CLOCK_MONOTONIC", "origin_ns": origin},
            blind_spots=list(BLIND),
            rows_dropped={},
        ),
    )
