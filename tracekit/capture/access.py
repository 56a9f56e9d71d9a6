"""Access traces from the plugin's logs: several VMs on the clock of a content capture, or on their own."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from heapq import merge
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from tracekit.capture.plugin_log import FETCH, STORE, Bucket, PluginLog
from tracekit.capture.recording import capture_path
from tracekit.errors import CaptureError
from tracekit.metadata import Metadata, VmInfo, infer_capabilities, provenance
from tracekit.schema import EVENTS
from tracekit.tracefile import TraceFile
from tracekit.tracewriter import TraceWriter

#: Rows gathered before they are written as a row group.
BLOCK_ROWS = 1 << 20
BLIND = (
    "device DMA and hardware page-table bits go unseen (5 of 12 080 changed pages of a Debian guest went unseen as written)",
    "a row stands for at least one access in its bucket; within a bucket a page's first load, store and fetch come in order",
)
NO_FETCHES = "instruction fetches are not told: QEMU's RAM was not to be found as one mapping"


@dataclass
class Written:
    """What was written: files, rows by VM, and touches by VM that were left out because they came before the capture began."""

    files: list[Path]
    rows: dict[str, int]
    early: dict[str, int]


def write_accesses(
    logs: Mapping[str, str | os.PathLike[str]], out: str | os.PathLike[str], beside: str | os.PathLike[str] | None
) -> Written:
    """Write the logs of VMs, by name, as ``out.access.parquet`` and their own execution time as ``out.event.parquet``.

    t is that of the content trace ``beside``, of the same VMs, so that both are one capture; else it is 0 at the first
    bucket. Memory is bounded by the rows of a row group. Raises CaptureError if logs and content do not fit.
    """
    opened = {name: PluginLog(path) for name, path in logs.items()}
    buckets_ns = {log.bucket_ns for log in opened.values()}
    if len(buckets_ns) != 1:
        said = ", ".join(f"{log.path} {log.bucket_ns / 1e6:g} ms" for log in opened.values())
        raise CaptureError(f"the logs have different buckets ({said}); a capture has one: give all VMs the same bucket_ms")
    content = TraceFile(beside) if beside else None
    origin = clock_origin(content) if content else min(_first(log) for log in opened.values())
    vms = _vms(opened, content)
    return _Writer(opened, vms, capture_path(out, "access"), origin, buckets_ns.pop()).write()


def clock_origin(trace: TraceFile) -> int:
    """The ns of CLOCK_MONOTONIC at which a captured trace's t is 0. Raises CaptureError if it does not say."""
    known = trace.metadata.provenance.get("clock") if trace.metadata else None
    if not isinstance(known, dict) or known.get("name") != "CLOCK_MONOTONIC" or not isinstance(known.get("origin_ns"), int):
        raise CaptureError(f"{trace.path}: does not say on which clock it was captured; only what tracekit captured here does")
    return known["origin_ns"]


def _first(log: PluginLog) -> int:
    for bucket in log.buckets():
        return bucket.begin
    raise CaptureError(f"{log.path}: holds no whole bucket; did the VM run for {log.bucket_ns / 1e6:g} ms?")


def _vms(logs: Mapping[str, PluginLog], content: TraceFile | None) -> tuple[VmInfo, ...]:
    """The VMs as the content knows them, whose addresses may go beyond their RAM; else as large as the logs say."""
    known = {vm.name: vm for vm in content.vms} if content else {}
    for name, log in logs.items():
        if content and name not in known:
            raise CaptureError(f"{log.path}: VM {name!r} is not in {content.path}, which has {', '.join(known)}; name it NAME=LOG")
        if name in known and known[name].pages < log.pages:
            raise CaptureError(f"{log.path}: {log.pages} pages, but {name!r} has {known[name].pages} in {content and content.path}")
    return tuple(known.get(name) or VmInfo(name, log.pages) for name, log in logs.items())


class _Writer:
    def __init__(self, logs: Mapping[str, PluginLog], vms: tuple[VmInfo, ...], out: Path, origin: int, bucket_ns: int):
        self._logs, self._vms, self._out, self._origin, self._bucket_ns = logs, vms, out, origin, bucket_ns
        self._names = [vm.name for vm in vms]
        self._fetches = all(log.fetches for log in logs.values())
        self._held: list[tuple[int, int, Bucket]] = []
        self._rows = 0
        early = {
            name: sum(len(bucket.pages) for bucket in takewhile(lambda bucket: bucket.begin < origin, log.buckets()))
            for name, log in logs.items()
        }
        self._done = Written([self._path("access"), self._path("event")], dict.fromkeys(self._names, 0), early)

    def write(self) -> Written:
        columns = ("t", "seq", "vm", "ppn", "write", *(("fetch",) if self._fetches else ()))
        with ExitStack() as stack:
            access = stack.enter_context(TraceWriter(self._path("access"), self._metadata("access", columns), columns))
            columns = ("t", "seq", "vm", "what", "a", "b")
            event = stack.enter_context(TraceWriter(self._path("event"), self._metadata("event", columns), columns))
            clocks = list[tuple[int, int, int, int]]()
            for t, vm, bucket in merge(*(self._of(vm, log) for vm, log in enumerate(self._logs.values())), key=lambda each: each[:2]):
                self._held.append((t, vm, bucket))
                self._rows += len(bucket.pages)
                clocks.append((t + bucket.end - bucket.begin, vm, bucket.instructions, bucket.accesses))
                if self._rows >= BLOCK_ROWS:
                    self._flush(access)
            self._flush(access)
            self._write_clocks(event, np.array(sorted(clocks), np.int64).reshape(-1, 4))
            if not access.rows:
                raise CaptureError("the logs hold no access after the capture began; were the VMs running?")
        return self._done

    def _path(self, kind: str) -> Path:
        return self._out.with_name(f"{self._out.name}.{kind}.parquet")

    def _of(self, vm: int, log: PluginLog) -> Iterator[tuple[int, int, Bucket]]:
        for bucket in log.buckets():
            if bucket.begin >= self._origin:
                yield bucket.begin - self._origin, vm, bucket

    def _flush(self, writer: TraceWriter) -> None:
        held, self._held, self._rows = self._held, [], 0
        counts = [len(bucket.pages) for _, _, bucket in held]
        rows = sum(counts)
        if not rows:
            return
        vm = np.repeat(np.array([vm for _, vm, _ in held], np.int32), counts)
        kinds = np.concatenate([bucket.kinds for _, _, bucket in held])
        pages = np.concatenate([bucket.pages for _, _, bucket in held])
        t = np.repeat(np.array([t for t, _, _ in held], np.int64), counts)
        told = np.ones(rows, np.bool_) if self._fetches else kinds != FETCH  # some VMs' fetches alone would mislead
        seq = np.arange(writer.rows, writer.rows + np.count_nonzero(told), dtype=np.uint64)
        columns: dict[str, Any] = {"t": t[told], "seq": seq, "vm": (vm[told], self._names), "ppn": pages[told]}
        writer.write(columns | {"write": kinds[told] == STORE, "fetch": kinds[told] == FETCH})
        for i, count in enumerate(np.bincount(vm[told], minlength=len(self._names))):
            self._done.rows[self._names[i]] += int(count)

    def _write_clocks(self, writer: TraceWriter, clocks: np.ndarray) -> None:
        rows = len(clocks)
        writer.write({
            "t": clocks[:, 0], "seq": np.arange(rows, dtype=np.uint64), "vm": (clocks[:, 1].astype(np.int32), self._names),
            "what": (np.full(rows, EVENTS.index("clock"), np.int32), EVENTS), "a": clocks[:, 2], "b": clocks[:, 3],
        })  # fmt: skip

    def _metadata(self, kind: str, columns: tuple[str, ...]) -> Metadata:
        access = kind == "access"
        return Metadata(
            kind=kind,
            capture=self._out.name,
            vms=self._vms,
            capabilities=tuple(sorted(infer_capabilities(kind, columns))),
            bucket_ns=self._bucket_ns,
            provenance=provenance(
                {},
                method="a TCG plugin tells each page's first load, store and fetch in each bucket of wall time"
                if access
                else "the TCG plugin's counts of executed instructions (a) and of loads and stores (b), at the end of each bucket",
                clock={"name": "CLOCK_MONOTONIC", "origin_ns": self._origin},
                plugin_api={name: log.api for name, log in self._logs.items()},
                blind_spots=[*BLIND, *(() if self._fetches else (NO_FETCHES,))] if access else [],
                rows_dropped={f"{name}: before the capture began": rows for name, rows in self._done.early.items() if rows}
                if access
                else {},
            ),
        )
