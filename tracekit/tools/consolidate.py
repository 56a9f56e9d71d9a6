"""Consolidation: more VMs on one host than were captured, each copy of a captured VM turned round in time.

The time of a copy begins at a random moment of the capture, runs to its end and goes on at its beginning, so that every
copy does all that its original did, at times that have nothing to do with when the others do it.
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tracekit import rng
from tracekit.errors import TraceError
from tracekit.metadata import VmInfo
from tracekit.schema import EVENTS
from tracekit.stream import NO_PAGE
from tracekit.tools.merge import merge
from tracekit.tools.rewrite import Change, Rows, rewrite, target_of
from tracekit.trace import MAX_VMS, Trace, open_traces

_CLOCK = EVENTS.index("clock")


def consolidate(trace: Trace, count: int, folder: Path, name: str | None = None, seed: int = 0) -> list[Path]:
    """Write ``count`` copies of the VMs of a capture as one capture. Returns the files.

    VMs are copied in turn, in a random order; each copy begins at a random moment, a whole number of buckets from the first
    row. Copies of one seed are the same for every count, so that a larger count only adds VMs. Accesses, transfers and the VMs'
    clocks are copied. Contents are not: copies would be equal, and share what VMs of their own would not. Nor are other
    events, which belong to one moment. Raises TraceError if no VM has accesses, or there would be too many.
    """
    sources = [i for i, vm in enumerate(trace.vms) if "access" in vm.kinds]
    if not sources or not 0 < count < MAX_VMS:
        said = "none of its VMs has accesses" if not sources else f"{count} VMs cannot be; give from 1 to {MAX_VMS - 1}"
        raise TraceError(f"{trace.name}: {said}")
    stream = rng.stream(seed, "consolidate")
    bucket = max(trace.bucket, 1)
    turns = -(-(trace.last_t - trace.first_t + 1) // bucket)
    with np.errstate(over="ignore"):  # the generator's products are meant to overflow
        order = np.argsort([int(rng.below(stream, 1 << 52)) for _ in sources], kind="stable")
        begins = [trace.first_t + int(rng.below(stream, turns)) * bucket for _ in range(count)]
    name = name or f"{trace.name}-{count}vms-{seed}"
    with TemporaryDirectory() as temporary:
        made: list[Path] = []
        for number, begin in enumerate(begins):
            vm = sources[order[number % len(sources)]]
            copy = f"{trace.vms[vm].name}-{number // len(sources) + 1}"
            made += _turned(trace, vm, begin, turns * bucket, copy, Path(temporary))
        return merge(open_traces(made, together=True)[0], folder, name)


def _turned(trace: Trace, vm: int, begin: int, span: int, copy: str, folder: Path) -> list[Path]:
    """Write one VM as a capture of its own: from ``begin`` on, then what came before; one round is ``span`` ns."""
    so_far, in_all = _executed(trace, vm, begin)
    base = trace.vms[vm].base

    def moved(late: bool) -> Change:
        by = trace.first_t - begin if late else trace.first_t - begin + span
        instructions, accesses = -so_far if late else in_all - so_far

        def change(kind: str, rows: Rows) -> Rows:
            good = (rows["vm"] == vm) & ((rows["t"] >= begin) == late)
            if kind == "content":
                good[:] = False
            elif kind == "event":
                good &= rows["what"] == _CLOCK
            rows = {column: value[good] for column, value in rows.items()}
            rows["t"] = rows["t"] + by
            rows["vm"] = np.zeros_like(rows["vm"])
            if kind == "event":
                rows["a"], rows["b"] = rows["a"] + instructions, rows["b"] + accesses
            elif kind == "access":
                rows["page"] = rows["page"] - np.uint32(base)
            elif kind == "io":
                rows["page"] = np.where(rows["page"] == NO_PAGE, NO_PAGE, rows["page"] - np.uint32(base))
            return rows

        return change

    info = trace.vms[vm]
    target = target_of(trace, folder, copy, "consolidate", vm=info.name, begin_ns=begin)
    one = replace(target, vms=[VmInfo(copy, info.pages, info.os, info.domain)])
    return rewrite(trace, one, moved(True), moved(False))


def _executed(trace: Trace, vm: int, begin: int) -> tuple[np.ndarray, np.ndarray]:
    """What a VM's clock events said last before ``begin``, and at the end: instructions, and accesses (int64)."""
    so_far, in_all = np.zeros(2, np.int64), np.zeros(2, np.int64)
    if "event" in trace.kinds:
        for chunk in trace.chunks({"event": ["vm", "what", "a", "b"]}):
            rows = chunk.columns["event"]
            mine = np.flatnonzero((rows["vm"] == vm) & (rows["what"] == _CLOCK))
            early = mine[rows["t"][mine] < begin]
            for found, which in ((so_far, early), (in_all, mine)):
                if len(which):
                    found[:] = rows["a"][which[-1]], rows["b"][which[-1]]
    return so_far, in_all
