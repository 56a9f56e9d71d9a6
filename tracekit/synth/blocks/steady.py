"""Blocks that access pages at a steady rate, each access at a time of its own."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.synth import zipf_table
from tracekit.synth.blocks.base import SECOND, Block, Rows, Site
from tracekit.synth.draws import times
from tracekit.synth.params import count, number, share, size_of_pages, timespan
from tracekit.units import PAGE_BYTES


@dataclass(frozen=True)
class Rate:
    rate: int = count(1_000_000, "accesses in a second", low=1, high=10**9, unit="1/s")
    accesses: int = count(0, "accesses in all; 0: as many as its time holds", low=0, high=10**12)
    writes: float = share(0.25, "share of the accesses that are writes")


class Steady(Block):
    """Access number i lies at ⌊i/rate⌋ after the block's start; ``pick`` says which page it touches."""

    Params = Rate

    def __init__(self, params: Any, site: Site):
        super().__init__(params, site)
        self._stores = site.draws("write")

    @classmethod
    def length(cls, params: Any, pages: int) -> int | None:
        return -(-params.accesses * SECOND // params.rate) if params.accesses else None

    def rows(self, begins: int, ends: int) -> Rows | None:
        first, last = (self._before(t) for t in (begins, ends))
        rows = last - first
        if rows <= 0:
            return None
        since = times(first, rows, self.params.rate)
        index = self.pick(first, since)
        return Rows(self.site.begins + since, index, self._stores.chance(self.params.writes, rows))

    def _before(self, t: int) -> int:
        """How many of the accesses come before ``t``."""
        found = -(-(t - self.site.begins) * self.params.rate // SECOND)
        return min(found, self.params.accesses) if self.params.accesses else found

    @abstractmethod
    def pick(self, first: int, since: np.ndarray) -> np.ndarray:
        """Pages of the accesses from number ``first`` on, which lie ``since`` ns after the start (int64)."""


class Uniform(Steady):
    """Every page of the region is as likely as any other."""

    name = "uniform"

    def __init__(self, params: Any, site: Site):
        super().__init__(params, site)
        self._picks = site.draws("page")

    def pick(self, first: int, since: np.ndarray) -> np.ndarray:
        return self._picks.below(self.site.pages, len(since))


@dataclass(frozen=True)
class ZipfRate(Rate):
    alpha: float = number(1.0, "skew: 0 is uniform, larger is steeper", low=0.0, high=10.0)


class Zipf(Steady):
    """Popularity follows Zipf's law: the page of rank k gets a share proportional to k^−α; ranks lie in random order."""

    name = "zipf"
    Params = ZipfRate

    def __init__(self, params: Any, site: Site):
        super().__init__(params, site)
        by_rank = site.draws("popularity").permutation(site.pages).astype(np.uint32)
        self._law, self._hottest = zipf_table.Zipf(by_rank, params.alpha), by_rank[0]
        self._picks, self._touches = site.draws("rank"), 0

    @classmethod
    def check(cls, params: Any, pages: int) -> str:
        return f"Zipf's law over {pages} pages; at most {1 << 26} are possible: make the region smaller" if pages > 1 << 26 else ""

    def pick(self, first: int, since: np.ndarray) -> np.ndarray:
        found = self._law.draw(self._picks, len(since))
        self._touches += int(np.count_nonzero(found == self._hottest))
        return found

    def truth(self) -> dict[str, float]:
        return {
            "hottest_page": float(self.site.place(np.array([self._hottest]))[0]),
            "hottest_accesses": float(self._touches),
            "hottest_share": self._law.share_of_first,
        }


@dataclass(frozen=True)
class HotRate(Rate):
    hot: float = share(0.1, "share of the pages that are hot")
    heat: float = share(0.9, "share of the accesses that go to them")


class Hotspot(Steady):
    """A share of the pages, taken at random, gets most of the accesses; within either part all pages are alike."""

    name = "hotspot"
    Params = HotRate

    def __init__(self, params: Any, site: Site):
        super().__init__(params, site)
        self._order = site.draws("hot").permutation(site.pages).astype(np.uint32)
        self._picks, self._sides = site.draws("page"), site.draws("side")

    def pick(self, first: int, since: np.ndarray) -> np.ndarray:
        hot = min(max(round(self.params.hot * self.site.pages), 0), self.site.pages)
        where = self._picks.uniform(len(since))
        in_hot = self._sides.chance(self.params.heat, len(since)) if 0 < hot < self.site.pages else np.full(len(since), hot > 0)
        cold = self.site.pages - hot
        return self._order[np.where(in_hot, (where * hot).astype(np.int64), hot + (where * cold).astype(np.int64))]


@dataclass(frozen=True)
class ScanRate(Rate):
    rounds: int = count(1, "how often it goes over the region", low=1, high=10**9)
    writes: float = share(0.0, "share of the accesses that are writes")


class Scan(Steady):
    """From the first page of the region to the last, ``rounds`` times."""

    name = "scan"
    Params = ScanRate

    @classmethod
    def check(cls, params: Any, pages: int) -> str:
        taken = pages * params.rounds * SECOND // params.rate
        return f"{pages * params.rounds} accesses at {params.rate} a second take longer than 116 days: raise rate" if taken > 10**16 else ""

    @classmethod
    def length(cls, params: Any, pages: int) -> int | None:
        accesses = min(pages * params.rounds, params.accesses or pages * params.rounds)
        return -(-accesses * SECOND // params.rate)

    def _before(self, t: int) -> int:
        return min(super()._before(t), self.site.pages * self.params.rounds)

    def pick(self, first: int, since: np.ndarray) -> np.ndarray:
        return np.arange(first, first + len(since)) % self.site.pages

    def truth(self) -> dict[str, float]:
        """LRU's misses, if the scan is whole."""
        whole = self._before(self.site.ends)
        if whole < self.site.pages:
            return {}
        return {"lru_pages": float(self.site.pages), "lru_misses": float(whole)}


@dataclass(frozen=True)
class LoopRate(Rate):
    writes: float = share(0.0, "share of the accesses that are writes")


class Loop(Scan):
    """From the first page of the region to the last, again and again for as long as it runs: what LRU is worst at."""

    name = "loop"
    Params = LoopRate

    @classmethod
    def check(cls, params: Any, pages: int) -> str:
        return ""

    @classmethod
    def length(cls, params: Any, pages: int) -> int | None:
        return Steady.length.__func__(cls, params, pages)  # pyright: ignore[reportFunctionMemberAccess]

    def _before(self, t: int) -> int:
        return Steady._before(self, t)


@dataclass(frozen=True)
class PhaseRate(Rate):
    size: int = size_of_pages(16 << 20, "pages in use in a phase")
    every: int = timespan(30 * SECOND, "length of a phase")


class PhaseChange(Steady):
    """Uniform accesses to a random set of pages, which is another one, taken anew, in each phase."""

    name = "phase-change"
    Params = PhaseRate

    def __init__(self, params: Any, site: Site):
        super().__init__(params, site)
        self._picks, self._set, self._phase = site.draws("page"), np.empty(0, np.uint32), -1

    @classmethod
    def check(cls, params: Any, pages: int) -> str:
        return _fits(params.size, pages)

    @classmethod
    def phases(cls, params: Any, pages: int, begins: int, ends: int) -> list[tuple[int, int]]:
        return [(t, params.size // PAGE_BYTES) for t in range(begins, ends, params.every)]

    def pick(self, first: int, since: np.ndarray) -> np.ndarray:
        picks = self._picks.below(self.params.size // PAGE_BYTES, len(since))
        phases = since // self.params.every
        found = np.empty(len(since), np.uint32)
        for phase in range(int(phases[0]), int(phases[-1]) + 1):
            if phase != self._phase:
                order = self.site.draws(f"set {phase}").permutation(self.site.pages)
                self._set, self._phase = order[: self.params.size // PAGE_BYTES].astype(np.uint32), phase
            inside = phases == phase
            found[inside] = self._set[picks[inside]]
        return found


@dataclass(frozen=True)
class WalkRate(Rate):
    size: int = size_of_pages(16 << 20, "pages in use at a time")
    step: int = size_of_pages(1 << 20, "how far the working set moves on at a time")
    every: int = timespan(SECOND, "how often it does")


class Walk(Steady):
    """Uniform accesses to a stretch of the region that moves on, step by step, and round again."""

    name = "walk"
    Params = WalkRate

    def __init__(self, params: Any, site: Site):
        super().__init__(params, site)
        self._picks = site.draws("page")

    @classmethod
    def check(cls, params: Any, pages: int) -> str:
        return _fits(params.size, pages)

    def pick(self, first: int, since: np.ndarray) -> np.ndarray:
        at = since // self.params.every * (self.params.step // PAGE_BYTES)
        return (at + self._picks.below(self.params.size // PAGE_BYTES, len(since))) % self.site.pages


def _fits(size: int, pages: int) -> str:
    return f"size of {size} bytes exceeds its region of {pages * PAGE_BYTES}: shrink it" if size > pages * PAGE_BYTES else ""
