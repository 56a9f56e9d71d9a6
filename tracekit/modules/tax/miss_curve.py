"""The working set from a miss-ratio curve: the least memory beyond which more would hardly save a miss (Zhou et al. 2004).

The LRU stack is kept of a spatial sample of the pages (SHARDS: Waldspurger et al. 2015): of a VM's P pages s are watched, all
their accesses are, and a stack distance among them stands for P/s times as many pages. First uses miss in any memory and do
not count, so that a scan that never comes back has no working set.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import Duration, Out, param
from tracekit.modules.machine import window
from tracekit.modules.machine.stack import Stack, stacks, touch
from tracekit.modules.tax.estimator import Estimator
from tracekit.modules.tax.watched import number
from tracekit.spatial import hashes, limit


class Curves(NamedTuple):
    """What is kept of the sampled pages; the stack knows them by their numbers among the sampled."""

    truth: window.Window
    number: np.ndarray  # int32 by page: its number among the sampled, or −1
    stack: Stack
    first: np.ndarray  # int64 by VM: its first sampled page
    hits: np.ndarray  # int64 by sampled page: accesses of the running period by stack distance, within each VM
    accesses: np.ndarray  # int64 by VM: accesses of sampled pages in the running period


class MissCurve(Estimator):
    """The smallest memory in which at most a few of a period's accesses would miss under LRU, from a sample of the pages."""

    name = "miss-curve"

    @dataclass(frozen=True)
    class Params(Estimator.Params):
        period: Duration = param(Duration(30 * 10**9), "how long accesses make one curve", "ns", low=10**6)
        rate: float = param(0.1, "part of the pages that is watched", low=1e-6, high=1.0)
        cutoff: float = param(0.05, "part of a period's accesses that may miss, first uses left out", low=0.0, high=1.0)

    def make(self, truth: window.Window) -> Curves:
        pages, vms = self.site.trace.pages, self.site.host.vm
        watched = number(hashes(pages, self.site.seed) <= limit(self.params.rate), vms.first, vms.pages)
        total = int(watched.pages.sum())
        self._watched = watched.pages
        self._found: list[float | None] = [None] * len(vms)
        self._state = Curves(
            truth=truth,
            number=watched.number,
            stack=stacks(total, watched.pages),
            first=watched.first,
            hits=np.zeros(total + 1, np.int64),
            accesses=np.zeros(len(vms), np.int64),
        )
        return self._state

    @staticmethod
    @jit
    def on_access(s, vm, page):
        window.see(s.truth, vm, page)
        watched = s.number[page]
        if watched >= 0:
            s.accesses[vm] += 1
            others = touch(s.stack, vm, np.uint32(watched))
            if others >= 0:
                s.hits[s.first[vm] + others] += 1

    def own_clocks(self) -> Mapping[str, int]:
        return {"curve": self.params.period}

    def observe(self, now: int, due: Collection[str], out: Out) -> None:
        if "curve" not in due:
            return
        s = self._state
        for vm in self.vms:
            first, watched = int(s.first[vm]), int(self._watched[vm])
            self.faults[vm] += s.accesses[vm]
            if watched:
                needed = least_memory(s.hits[first : first + watched], self.params.cutoff * int(s.accesses[vm]))
                self._found[vm] = needed * int(self.site.host.vm.pages[vm]) / watched
        s.hits[:] = s.accesses[:] = 0

    def estimate(self, vm: int) -> float | None:
        return self._found[vm]


def least_memory(hits: np.ndarray, misses: float) -> int:
    """The fewest pages in which no more than ``misses`` accesses miss; ``hits[d]`` accesses have the stack distance d."""
    missing = np.concatenate([np.cumsum(hits[::-1])[::-1], [0]])  # in memory of c pages, c from 0
    return int(np.argmax(missing <= misses))
