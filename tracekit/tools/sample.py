"""A sample of a capture: some of the pages (SHARDS, Waldspurger et al., FAST 2015), or windows of time."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tracekit.errors import TraceError
from tracekit.metadata import VmInfo
from tracekit.schema import EVENTS
from tracekit.spatial import hashes, limit
from tracekit.stream import NO_PAGE
from tracekit.tools.rewrite import PAGE_EVENTS, Rows, rewrite, target_of
from tracekit.trace import Trace

_OF_PAGES = (*PAGE_EVENTS, EVENTS.index("balloon"), EVENTS.index("memory"))


def sample_pages(trace: Trace, rate: float, folder: Path, name: str | None = None, seed: int = 0) -> list[Path]:
    """Write the rows of a share ``rate`` of the pages, the same ones in all files. Returns the files.

    Pages are renumbered in their order, so that VMs are as much smaller, and a replay of the sample with memories as much
    smaller stands for one of the whole. Transfers of unknown pages are left out, and events that name or count pages.
    """
    if not 0 < rate <= 1:
        raise TraceError(f"a rate of {rate} samples nothing; give one above 0, up to 1")
    kept = hashes(trace.pages, seed) <= limit(rate)
    if not kept.any():
        raise TraceError(f"{trace.name}: none of its {trace.pages} pages is sampled at a rate of {rate}; raise it")
    number = np.append(np.where(kept, np.cumsum(kept) - 1, NO_PAGE).astype(np.uint32), np.uint32(NO_PAGE))
    sizes = [int(np.count_nonzero(kept[vm.base : vm.base + vm.pages])) for vm in trace.vms]
    empty = [vm.name for vm, size in zip(trace.vms, sizes) if not size]
    if empty:
        raise TraceError(f"{trace.name}: no page of VM {empty[0]!r} is sampled at a rate of {rate}; raise it, or filter that VM out")

    def change(kind: str, rows: Rows) -> Rows:
        if kind == "event":
            good = ~np.isin(rows["what"], _OF_PAGES)
            return {column: value[good] for column, value in rows.items()}
        page = number[np.minimum(rows["page"], len(number) - 1)]
        return {column: (page if column == "page" else value)[page != NO_PAGE] for column, value in rows.items()}

    target = target_of(trace, folder, name, "sample", rate=rate, seed=seed)
    vms = [VmInfo(vm.name, size, vm.os, vm.domain) for vm, size in zip(trace.vms, sizes)]
    return rewrite(trace, replace(target, vms=vms, lost=frozenset({"exact", "free_hints"})), change)


def sample_time(trace: Trace, every: int, keep: int, folder: Path, name: str | None = None) -> list[Path]:
    """Write the accesses and transfers of the first ``keep`` ns of every ``every`` ns; contents and events stay. Returns the files."""
    if not 0 < keep <= every:
        raise TraceError(f"windows of {keep} ns every {every} ns are none; keep more than nothing, and no more than there is")

    def change(kind: str, rows: Rows) -> Rows:
        if kind not in ("access", "io"):
            return rows
        good = rows["t"] % every < keep
        return {column: value[good] for column, value in rows.items()}

    target = target_of(trace, folder, name, "sample", every_ns=every, keep_ns=keep)
    return rewrite(trace, replace(target, lost=frozenset({"exact"})), change)
