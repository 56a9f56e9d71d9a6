"""Tiering by hint faults, as Linux does it: pages are unmapped from time to time, and the next touch faults and tells.

Every scan period each VM's next pages in address order are unmapped, if they are far. Cold near pages are demoted by
CLOCK, which stands for the kernel's inactive list, whenever free near memory falls below a watermark.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import Duration, Out, Site, Size, pages_of, param
from tracekit.modules.remapping.tier import FAR, FAULTS, Tier, demote_unused, promote

_NEVER = -(1 << 62)


class Hints(NamedTuple):
    """Unmapped pages, and what is left of the rate limit."""

    unmapped: np.ndarray  # int64 by page: when it was unmapped, or _NEVER
    fault: np.ndarray  # int64 by page: its last hint fault, or _NEVER
    limits: np.ndarray  # int64 [3]: recent (ns); free pages below which pages are demoted, and up to which
    budget: np.ndarray  # int64, one: promotions left until the next scan


class AutoNuma(Tier):
    """NUMA balancing in its tiering mode (Linux 5.18, ``numa_balancing`` 2): a far page that is touched soon after it was
    unmapped is hot, and is promoted within a rate limit.
    """

    name = "autonuma"

    @dataclass(frozen=True)
    class Params(Tier.Params):
        scan_period: Duration = param(Duration(10**9), "how often each VM's next pages are unmapped", "ns", low=10**6)
        scan_size: Size = param(Size(256 << 20), "memory of a VM that is unmapped at a time", "byte", low=4096)
        recent: Duration = param(Duration(10**9), "a page that is touched so soon after it was unmapped is hot", "ns", low=0)
        rate: Size = param(Size(64 << 20), "most memory promoted in a second", "byte/s", low=4096, high=1 << 40)
        demote_below: float = param(0.01, "part of near memory that is free below which pages are demoted", low=0.0, high=0.5)
        demote_to: float = param(0.02, "part of near memory that demotion frees", low=0.0, high=0.5)
        fault: Duration = param(Duration(1000), "cost of a hint fault", "ns", low=0, high=10**9)

    def state(self, site: Site) -> Hints:
        never, p = np.full(site.trace.pages, _NEVER, np.int64), self.params
        below, upto = (int(np.ceil(part * self.capacity)) for part in (p.demote_below, max(p.demote_to, p.demote_below)))
        self._hand = np.zeros(len(site.trace.vms), np.int64)
        self.hints = Hints(never, never.copy(), np.array([p.recent, below, upto], np.int64), np.array([self._allowed()], np.int64))
        return self.hints

    def _allowed(self) -> int:
        return max(1, pages_of(self.params.rate) * self.params.scan_period // 10**9)

    def fault_cost(self) -> int:
        return self.params.fault

    def clocks(self) -> Mapping[str, int]:
        return {"scan": self.params.scan_period}

    def control(self, now: int, due: Collection[str], out: Out) -> None:
        """Unmap each VM's next pages, if they are far."""
        books, size = self.site.host.vm, pages_of(self.params.scan_size)
        for vm in range(len(books)):
            pages = int(books.pages[vm])
            which = int(books.first[vm]) + (self._hand[vm] + np.arange(min(size, pages))) % pages
            self._hand[vm] = (self._hand[vm] + size) % pages
            self.hints.unmapped[which[self.tiers.where[which] == FAR]] = now
        self.hints.budget[0] = self._allowed()

    @staticmethod
    @jit
    def used(s, b, page, t, was):
        if faults(s, b, page) and t - s.unmapped[page] <= s.limits[0]:
            promote_within_rate(s, b, page)
        s.unmapped[page] = _NEVER
        keep_free(s, b)


class Tpp(AutoNuma):
    """Transparent page placement (Maruf et al., ASPLOS 2023): a far page is promoted at its second hint fault, so that one
    touch alone does not move it, and near memory is kept free ahead of need, so that new pages find room there.
    """

    name = "tpp"

    @dataclass(frozen=True)
    class Params(AutoNuma.Params):
        recent: Duration = param(Duration(10 * 10**9), "two hint faults within this time make a page active", "ns", low=0)
        demote_below: float = param(0.02, "part of near memory that is free below which pages are demoted", low=0.0, high=0.5)
        demote_to: float = param(0.05, "part of near memory that demotion frees", low=0.0, high=0.5)

    @staticmethod
    @jit
    def used(s, b, page, t, was):
        if faults(s, b, page):
            if t - s.fault[page] <= s.limits[0]:
                promote_within_rate(s, b, page)
            s.fault[page] = t
        s.unmapped[page] = _NEVER
        keep_free(s, b)


@jit
def faults(s, b, page):
    """Whether this touch of a far page faults, because the page is unmapped."""
    if b.where[page] != FAR or s.unmapped[page] == _NEVER:
        return False
    b.tally[b.vm[page], FAULTS] += 1
    return True


@jit
def promote_within_rate(s, b, page):
    """Promote a page if there is room and the rate limit allows it."""
    if b.free[0] > 0 and s.budget[0] > 0:
        s.budget[0] -= 1
        promote(b, page)


@jit
def keep_free(s, b):
    """Demote cold pages if near memory runs short."""
    if b.free[0] < s.limits[1]:
        demote_unused(b, s.limits[2])
