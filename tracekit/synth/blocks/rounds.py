"""Blocks that work in rounds: in each they touch some pages, once each, spread evenly over the round's time."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.synth.blocks.base import OWN, SECOND, ZERO, Block, Rows, Site, in_time
from tracekit.synth.params import memory_sizes, share, size_of_pages, timespan
from tracekit.units import PAGE_BYTES

MIB = 1 << 20


class Rounds(Block):
    """Round j takes ``self.every`` ns; ``round`` says which pages it touches, in order, and which of them it writes."""

    def __init__(self, params: Any, site: Site):
        super().__init__(params, site)
        self._stores = site.draws("write")
        self._round, self._pages, self._writes = -1, np.empty(0, np.uint32), np.empty(0, np.bool_)

    @property
    def every(self) -> int:
        return self.params.every

    @classmethod
    def rate(cls, params: Any, pages: int) -> float:
        return pages * SECOND / params.every

    def rows(self, begins: int, ends: int) -> Rows | None:
        start, every = self.site.begins, self.every
        pieces = []
        for j in range((begins - start) // every, -(-(ends - start) // every)):
            if j != self._round:
                self._pages, self._writes = self.round(j)
                self._round = j
            first, number = start + j * every, len(self._pages)
            low, high = in_time(begins, ends, first, every, number)
            if low < high:
                t = first + np.arange(low, high) * every // number
                pieces.append((t, self._pages[low:high], self._writes[low:high]))
        if not pieces:
            return None
        t, index, write = (np.concatenate(column) for column in zip(*pieces))
        return Rows(t, index, write)

    @abstractmethod
    def round(self, j: int) -> tuple[np.ndarray, np.ndarray]:
        """Pages touched in round ``j``, in order, and whether each is written. Asked once a round, in order."""

    def stores(self, pages: np.ndarray, writes: float) -> tuple[np.ndarray, np.ndarray]:
        """``pages`` with a share ``writes`` of them written."""
        return pages, self._stores.chance(writes, len(pages))


@dataclass(frozen=True)
class SweepParams:
    size: int = size_of_pages(0, "active set: so much of the region, at random; 0: all of it", low=0)
    every: int = timespan(5 * SECOND, "time in which it goes once through its active set")
    writes: float = share(0.3, "share of the touches that are writes")


class Sweep(Rounds):
    """Goes through an active set of known size, in a fresh random order each time.

    So what it touches in any window of two rounds or more is that set exactly, and a random sample of pages meets it evenly.
    """

    name = "sweep"
    Params = SweepParams

    def __init__(self, params: Any, site: Site):
        super().__init__(params, site)
        self._order = site.draws("order")
        size = params.size // PAGE_BYTES or site.pages
        self._set = site.draws("active").permutation(site.pages)[:size].astype(np.uint32)

    @classmethod
    def check(cls, params: Any, pages: int) -> str:
        over = params.size > pages * PAGE_BYTES
        return f"an active set of {params.size} bytes exceeds memory, {pages * PAGE_BYTES}: shrink it" if over else ""

    @classmethod
    def rate(cls, params: Any, pages: int) -> float:
        return (params.size // PAGE_BYTES or pages) * SECOND / params.every

    @classmethod
    def phases(cls, params: Any, pages: int, begins: int, ends: int) -> list[tuple[int, int]]:
        return [(begins, params.size // PAGE_BYTES or pages)]

    def round(self, j: int) -> tuple[np.ndarray, np.ndarray]:
        self._set = self._set[self._order.permutation(len(self._set))]
        return self.stores(self._set, self.params.writes)


@dataclass(frozen=True)
class TouchParams:
    sizes: tuple[int, ...] = memory_sizes([n * MIB for n in (50, 100, 150, 200, 250)], "memory touched, phase by phase")
    phase: int = timespan(90 * SECOND, "length of a phase")
    every: int = timespan(SECOND // 2, "time in which it touches all of that memory once")
    writes: float = share(1.0, "share of the touches that are writes")


class Touch(Rounds):
    """Figure 6's toucher: goes over the first so many pages of the region again and again, how many by phase."""

    name = "touch"
    Params = TouchParams

    @classmethod
    def check(cls, params: Any, pages: int) -> str:
        if params.phase % params.every:
            return f"phase = {params.phase} ns is not a whole number of every = {params.every} ns: make it a multiple of every"
        over = max(params.sizes) > pages * PAGE_BYTES
        return f"it touches {max(params.sizes)} bytes of {pages * PAGE_BYTES}: enlarge memory" if over else ""

    @classmethod
    def length(cls, params: Any, pages: int) -> int | None:
        return len(params.sizes) * params.phase

    @classmethod
    def rate(cls, params: Any, pages: int) -> float:
        return max(params.sizes) / PAGE_BYTES * SECOND / params.every

    @classmethod
    def phases(cls, params: Any, pages: int, begins: int, ends: int) -> list[tuple[int, int]]:
        starts = ((begins + k * params.phase, size // PAGE_BYTES) for k, size in enumerate(params.sizes))
        return [(t, touched) for t, touched in starts if t < ends]

    def round(self, j: int) -> tuple[np.ndarray, np.ndarray]:
        phase = min(j * self.params.every // self.params.phase, len(self.params.sizes) - 1)
        return self.stores(np.arange(self.params.sizes[phase] // PAGE_BYTES, dtype=np.uint32), self.params.writes)


@dataclass(frozen=True)
class BackgroundParams:
    every: int = timespan(SECOND // 2, "time in which it touches them")
    writes: float = share(0.25, "share of the touches that are writes")
    share: float = share(0.25, "share of the region touched each time")


class Background(Rounds):
    """What a guest does beside its work: each page of the region is touched with some probability, again and again."""

    name = "background"
    Params = BackgroundParams

    def __init__(self, params: Any, site: Site):
        super().__init__(params, site)
        self._picks = site.draws("background")

    @classmethod
    def rate(cls, params: Any, pages: int) -> float:
        return params.share * pages * SECOND / params.every

    def round(self, j: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = np.flatnonzero(self._picks.chance(self.params.share, self.site.pages)).astype(np.uint32)
        return self.stores(chosen, self.params.writes)


@dataclass(frozen=True)
class ChurnParams:
    share: float = share(0.05, "share of the region that is written each time")
    every: int = timespan(30 * SECOND, "time in which it is; take the capture's snapshots to have each find this share changed")


class Churn(Rounds):
    """Change: writes a share of the region's pages, taken anew each time, which gives them contents that no page had."""

    name = "churn"
    Params = ChurnParams

    @classmethod
    def rate(cls, params: Any, pages: int) -> float:
        return params.share * pages * SECOND / params.every

    def round(self, j: int) -> tuple[np.ndarray, np.ndarray]:
        order = self.site.draws(f"change {j}").permutation(self.site.pages)
        chosen = order[: round(self.params.share * self.site.pages)].astype(np.uint32)
        return chosen, np.ones(len(chosen), np.bool_)


@dataclass(frozen=True)
class OnceParams:
    time: int = timespan(5 * SECOND, "time that it takes")
    share: float = share(1.0, "share of the region's pages that it writes")


class Once(Rounds):
    """Writes pages of the region, each once, then is done."""

    Params = OnceParams

    @property
    def every(self) -> int:
        return self.params.time

    @classmethod
    def length(cls, params: Any, pages: int) -> int | None:
        return params.time

    @classmethod
    def rate(cls, params: Any, pages: int) -> float:
        return params.share * pages * SECOND / params.time

    def round(self, j: int) -> tuple[np.ndarray, np.ndarray]:
        number = round(self.params.share * self.site.pages) if j == 0 else 0
        return self.order(number).astype(np.uint32), np.ones(number, np.bool_)

    @classmethod
    def phases(cls, params: Any, pages: int, begins: int, ends: int) -> list[tuple[int, int]]:
        return [(begins, round(params.share * pages))]

    def order(self, number: int) -> np.ndarray:
        """The ``number`` pages in the order in which they are written: the first ones, if the block does not say."""
        return np.arange(number)


class ZeroThread(Once):
    """A guest's zero-page thread, as of Windows: writes zeros to the region's pages in order, so that all look active."""

    name = "zero-thread"
    leaves = ZERO


class Load(Once):
    """Reads the region's contents in, as a boot or the start of a program does: writes them, page by page in order."""

    name = "load"
    leaves = OWN


class CopyStorm(Once):
    """A copy-on-write storm: writes pages of the region in random order, giving each a content of its own."""

    name = "cow-storm"

    def order(self, number: int) -> np.ndarray:
        return self.site.draws("order").permutation(self.site.pages)[:number]


@dataclass(frozen=True)
class PauseParams:
    time: int = timespan(5 * SECOND, "how long it lasts", low=0)


class Pause(Block):
    """Nothing, for a while: makes the capture last."""

    name = "pause"
    Params = PauseParams

    @classmethod
    def length(cls, params: Any, pages: int) -> int | None:
        return params.time

    @classmethod
    def rate(cls, params: Any, pages: int) -> float:
        return 0.0

    @classmethod
    def phases(cls, params: Any, pages: int, begins: int, ends: int) -> list[tuple[int, int]]:
        return [(begins, 0)]

    def rows(self, begins: int, ends: int) -> Rows | None:
        return None
