"""Remapping: which pages bounce, what that costs, and moving hot ones into the device's reach (paper section 7).

A policy answers whether a page is hot. Where pages lie, what bounces, what is copied and what moving costs is counted in
one place, ``tracekit.modules.remapping.bounce``, so that policies can be compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import Duration, Module, NoState, Out, Site, Size, pages_of, param
from tracekit.modules.remapping import bounce, zones
from tracekit.modules.remapping.low import EVICTIONS, low_memory
from tracekit.modules.remapping.pool import EXHAUSTED, FRAGMENTED, PEAK, SEGMENT_BYTES, SEGMENTS, USED, pool
from tracekit.modules.remapping.survey import survey
from tracekit.schema import CONCENTRATION, COPIES, REMAPS, SWIOTLB
from tracekit.units import PAGE_BYTES


class Costs(NamedTuple):
    """What things cost, in ps: whole numbers, so that sums are exact."""

    bounce: int  # one page through a buffer, besides the copy
    byte: int  # one byte copied
    move: int  # one page moved
    mapping: int  # one mapping made and undone by an IOMMU


class Remap(Module):
    """A remapping policy. Subclasses give hooks with ``@staticmethod @jit``:

    - ``hot(s, page, …) -> bool``: whether a page that was just copied is moved into reach, if there is room. It may also
      name ``copies`` (of the page since it was last moved, this time included; two where a transfer goes both ways), ``t``,
      ``bytes``, ``to_device``, ``device`` and ``b`` (``bounce.Bounces``, where all books are);
    - ``worth(s, b, page, leaving, t) -> bool``: whether it is worth having another page leave for it;
    - ``ahead(s, page) -> bool``: whether it is moved before it is copied at all, which takes knowing the future.
    """

    family = "remap"
    needs = frozenset({"io", "dma_masks"})
    tables = (COPIES, REMAPS, SWIOTLB, CONCENTRATION)
    #: Low memory has no end: a bound for every budget.
    endless: ClassVar[bool] = False
    #: Devices reach all memory through an IOMMU.
    translated: ClassVar[bool] = False

    @dataclass(frozen=True)
    class Params:
        place: str = param("captured", "where guest pages lie at first; captured: at their PPN, from vm.place on", choices=zones.PLACEMENTS)
        memory: Size = param(Size(0), "machine memory, unless placed as captured; 0: twice the VMs' sizes", "byte", low=0, high=1 << 43)
        nodes: int = param(1, "NUMA nodes, equal parts of that memory, that end zones as devices' reach does", low=1, high=64)
        low: Size = param(Size(4 << 30), "low machine memory set aside for remapped pages", "byte", low=0, high=1 << 43)
        evict: str = param("none", "which remapped page goes home when low memory is full", choices=EVICTIONS)
        stay: Duration = param(Duration(0), "how long a remapped page stays at least", "ns", low=0)
        half_life: Duration = param(Duration(10**10), "time in which the worth of past copies halves", "ns", low=10**3)
        bandwidth: Size = param(Size(10**10), "speed of copying", "byte/s", low=10**6, high=10**12)
        bounce: Duration = param(Duration(200), "cost of bouncing a page, besides the copy", "ns", low=0, high=10**9)
        move: Duration = param(Duration(3000), "cost of remapping a page (unmap, map), besides the copy", "ns", low=0, high=10**9)
        mapping: Duration = param(Duration(1000), "cost of a mapping behind an IOMMU (map, unmap)", "ns", low=0, high=10**9)
        pool: Size = param(Size(64 << 20), "bounce buffers (swiotlb)", "byte", low=SEGMENT_BYTES, high=1 << 36)
        hold: Duration = param(Duration(200_000), "how long a transfer holds its bounce buffers", "ns", low=0)

    hot: ClassVar[Any]

    @staticmethod
    @jit
    def worth(s, b, page, leaving, t):
        return True

    @staticmethod
    @jit
    def ahead(s, page):
        return False

    def state(self, site: Site) -> Any:
        """The policy's arrays, as a NamedTuple."""
        return NoState(np.zeros(1, np.int64))

    def setup(self, site: Site) -> Any:
        self.site, p = site, self.params
        trace = site.trace
        self.survey = survey(trace)
        per_byte = max(1, round(10**12 / p.bandwidth))
        self.costs = Costs(p.bounce * 1000, per_byte, p.move * 1000 + PAGE_BYTES * per_byte, p.mapping * 1000)
        memory = pages_of(p.memory) or 2 * trace.pages
        self._ends = zones.zone_ends(self.survey.masks, p.nodes, memory)
        first = np.repeat(site.vm_options["place"] - site.host.vm.first, site.host.vm.pages)
        set_aside = pages_of(p.low)
        home = zones.place(
            p.place, first + np.arange(trace.pages), self._ends, zones.capacity(self._ends, set_aside, memory), site.stream("place")
        )
        spare = np.diff(np.clip(np.concatenate([[0], self._ends]), 0, set_aside))
        if self.endless:
            spare = np.zeros_like(spare)
            spare[0] = trace.pages
        self.bounces = bounce.Bounces(
            home=home,
            zone=home.copy(),
            copies=np.zeros(trace.pages, np.uint32),
            been=np.zeros(trace.pages, np.bool_),
            last_byte=self._ends.astype(np.uint64) * np.uint64(PAGE_BYTES) - np.uint64(1),
            low=low_memory(spare, trace.pages, p.evict, p.stay, p.half_life, trace.first_t, site.stream("evict")),
            pool=pool(p.pool, p.hold),
            iommu=np.array([self.translated]),
            cost=np.array(self.costs[:3], np.int64),
            phase=np.zeros(len(trace.vms), np.int64),
            last=np.array([-(1 << 63), -1, -1, 0, -2, 0, 0], np.int64),
            tally=np.zeros((len(trace.vms), max(len(trace.devices), 1), self.survey.phases, len(bounce.COUNTS)), np.int64),
        )
        return self.state(site)

    def further_states(self) -> Mapping[str, Any]:
        return {"bounces": self.bounces}

    def start(self, kernels: ModuleType, states: Mapping[str, Any]) -> None:
        bounce.close_books(self.bounces)  # compiles it

    def bouncing(self) -> np.ndarray:
        """Which entries of the survey bounce with every page at home."""
        ahead = self.survey
        within = zones.zones_within(self._ends, ahead.masks)
        return (ahead.forced == 1) | (self.bounces.home[ahead.page] >= within[ahead.mask])

    def cost(self, count: np.ndarray) -> int:
        """What counts of the tally have cost, in ns."""
        of = dict(zip(bounce.COUNTS, map(int, count), strict=True))
        copied = of["copied_in_bytes"] + of["copied_out_bytes"]
        moves = of["remapped"] + of["evicted"]
        mappings = of["mappings"] if self.translated else 0
        costs = self.costs
        return (of["bounced"] * costs.bounce + copied * costs.byte + moves * costs.move + mappings * costs.mapping) // 1000

    def report(self, now: int, out: Out) -> None:
        bounce.close_books(self.bounces)  # all rows of the last segment have passed: they have one t
        totals = self.bounces.tally.sum(axis=(1, 2))
        moved = (self.bounces.zone != self.bounces.home).astype(np.int64)
        low = np.add.reduceat(moved, self.site.host.vm.first)
        for vm, count, pages in zip(self.site.trace.vms, totals, low, strict=True):
            of = dict(zip(bounce.COUNTS, map(int, count), strict=True))
            copied = of["copied_in_bytes"] + of["copied_out_bytes"]
            changes = {name: of[name] for name in ("remapped", "evicted", "again")}
            out.row("remaps", now, vm.name, **changes, low=int(pages), copied_bytes=copied, saved_bytes=of["baseline_bytes"] - copied)
        used = self.bounces.pool.counts
        figures = {"used": USED, "peak": PEAK, "segments": SEGMENTS, "exhausted": EXHAUSTED, "fragmented": FRAGMENTED}
        out.row("swiotlb", now, "*", slots=len(self.bounces.pool.run), **{name: int(used[i]) for name, i in figures.items()})

    def finish(self, now: int, out: Out) -> None:
        for i, vm in enumerate(self.site.trace.vms):
            for j, device in enumerate(self.site.trace.devices):
                for phase, count in enumerate(self.bounces.tally[i, j]):
                    if count[bounce.TRANSFERS]:
                        self._copies(vm.name, device, phase, count, now, out)
        self._concentration(now, out)

    def _copies(self, vm: str, device: str, phase: int, count: np.ndarray, now: int, out: Out) -> None:
        of = dict(zip(bounce.COUNTS, map(int, count), strict=True))
        copied = of["copied_in_bytes"] + of["copied_out_bytes"]
        out.row("copies", now, vm, device=device, phase=phase, copied_bytes=copied, cost=self.cost(count), **of)

    def _concentration(self, now: int, out: Out) -> None:
        """Bytes in the 1, 2, 4, … pages that have most, of each VM, device and phase, forced transfers apart."""
        ahead, bounces = self.survey, self.bouncing()
        vm = self.site.host.page_vm[ahead.page]
        groups = np.column_stack([vm, ahead.device, ahead.phase, ahead.forced])[bounces]
        page, copied = ahead.page[bounces], ahead.copied[bounces]
        for group in np.unique(groups, axis=0):
            mine = (groups == group).all(axis=1)
            _, which = np.unique(page[mine], return_inverse=True)
            by_page = np.sort(np.bincount(which, copied[mine]).astype(np.int64))[::-1]
            total = np.cumsum(by_page)
            i, j, phase, forced = map(int, group)
            key = {"device": self.site.trace.devices[j], "phase": phase, "forced": bool(forced)}
            for top in sorted({len(total), *(1 << k for k in range(len(total).bit_length()) if 1 << k < len(total))}):
                out.row("concentration", now, self.site.trace.vms[i].name, **key, top=top, top_bytes=int(total[top - 1]),
                        pages=len(total), bytes=int(total[-1]))  # fmt: skip
