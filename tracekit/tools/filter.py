"""Part of a capture: some time, some VMs, some pages, or only the accesses that miss in a memory above."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from tracekit.errors import TraceError, nearest
from tracekit.kernel import entry
from tracekit.metadata import VmInfo
from tracekit.modules.machine.stack import Stack, stacks, touch
from tracekit.stream import NO_PAGE
from tracekit.tools.rewrite import Rows, rewrite, target_of
from tracekit.trace import Trace


@dataclass(frozen=True)
class Kept:
    """What is kept: t from ``begin`` to before ``end`` (ns), VMs whose names match, PPNs ``first`` … ``last``, and of the
    accesses those that miss in an LRU memory of ``frames`` pages a VM."""

    begin: int | None = None
    end: int | None = None
    vms: Sequence[str] = ()
    pages: tuple[int, int] | None = None
    frames: int | None = None


def filter_trace(trace: Trace, kept: Kept, folder: Path, name: str | None = None) -> list[Path]:
    """Write what is kept of a capture. Returns the files.

    Times stay as they are. What a page held before ``begin`` is written at ``begin``. Events have no page, and stay.
    With ``frames`` accesses are a sample no more in time, but exact: what a host would see below the VMs' own memory.
    """
    chosen = _chosen(trace, kept.vms)
    number = np.cumsum(chosen) - 1
    base = np.cumsum([0, *(vm.pages for vm, mine in zip(trace.vms, chosen) if mine)])
    shift = np.array([base[number[i]] - vm.base for i, vm in enumerate(trace.vms)], np.int64)
    origin = np.array([vm.base for vm in trace.vms], np.int64)
    lru = stacks(trace.pages, np.array([vm.pages for vm in trace.vms])) if kept.frames is not None else None
    begin = kept.begin if kept.begin is not None else -(1 << 62)
    end = kept.end if kept.end is not None else 1 << 62
    before = _Before(trace, begin) if kept.begin is not None and "content" in trace.kinds else None

    def change(kind: str, rows: Rows) -> Rows:
        good = (rows["t"] < end) & chosen[rows["vm"]]
        if lru is not None and kind == "access":
            good &= _misses(lru, rows, kept.frames or 0)
        if kept.pages is not None and "page" in rows:
            ppn = rows["page"].astype(np.int64) - origin[rows["vm"]]
            good &= (ppn >= kept.pages[0]) & (ppn <= kept.pages[1]) & (rows["page"] != NO_PAGE)
        rows = {column: value[good] for column, value in rows.items()}
        if before is not None and kind == "content":
            rows = before.carried(rows)
        late = rows["t"] >= begin
        rows = {column: value[late] for column, value in rows.items()}
        if "page" in rows:
            moved = (rows["page"].astype(np.int64) + shift[rows["vm"]]).astype(np.uint32)
            rows["page"] = np.where(rows["page"] == NO_PAGE, np.uint32(NO_PAGE), moved)
        rows["vm"] = number[rows["vm"]].astype(np.int32)
        return rows

    done: dict[str, Any] = {"begin": kept.begin, "end": kept.end, "vms": list(kept.vms), "pages": kept.pages, "frames": kept.frames}
    target = target_of(trace, folder, name, "filter", **done)
    vms = [VmInfo(vm.name, vm.pages, vm.os, vm.domain) for vm, mine in zip(trace.vms, chosen) if mine]
    return rewrite(trace, replace(target, vms=vms), change)


def _chosen(trace: Trace, patterns: Sequence[str]) -> np.ndarray:
    names = [vm.name for vm in trace.vms]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise TraceError(f"{trace.name}: has no VM {pattern!r}{nearest(pattern, names)}; its VMs are {', '.join(names[:12])}")
    return np.array([not patterns or any(fnmatchcase(name, pattern) for pattern in patterns) for name in names])


class _Before:
    """Contents from before the time that is kept, which hold at its beginning. Memory is bounded by the pages."""

    def __init__(self, trace: Trace, begin: int):
        self._begin = begin
        self._held: Rows | None = None
        self._pages = trace.pages

    def carried(self, rows: Rows) -> Rows:
        """Rows with those held put in front, once their time has come; rows before it are held back."""
        early = rows["t"] < self._begin
        if early.any():
            held = {name: value[early] for name, value in rows.items()}
            if self._held is not None:
                held = {name: np.concatenate([value, held[name]]) for name, value in self._held.items()}
            last = np.full(self._pages, -1, np.int64)
            last[held["page"]] = np.arange(len(held["page"]))
            kept = np.sort(last[last >= 0])
            self._held = {name: value[kept] for name, value in held.items()}
        rest = {name: value[~early] for name, value in rows.items()}
        if self._held is None or not len(rest["t"]):
            return rest
        held, self._held = self._held, None
        held["t"] = np.full(len(held["t"]), self._begin, np.int64)
        return {name: np.concatenate([held[name], value]) for name, value in rest.items()}


@entry
def _see(lru, vm, page, frames, missed):
    for i in range(page.size):
        others = touch(lru, np.int64(vm[i]), page[i])
        missed[i] = others < 0 or others >= frames


def _misses(lru: Stack, rows: Rows, frames: int) -> np.ndarray:
    missed = np.empty(len(rows["page"]), np.bool_)
    _see(lru, rows["vm"], rows["page"], frames, missed)
    return missed
