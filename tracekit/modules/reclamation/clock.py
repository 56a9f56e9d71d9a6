"""CLOCK, or second chance: the first page around the clock that has not been used since the hand last passed leaves.

F. J. Corbató, "A Paging Experiment with the Multics System", MIT Project MAC Report MAC-M-384, 1968. One reference bit.
"""

from typing import NamedTuple

import numpy as np

from tracekit import arrays
from tracekit.kernel import jit
from tracekit.modules.reclamation.replacement import Pools, Replacement
from tracekit.prefetch import prefetch

_UNUSED, _USED, _VACANT = 0, 1, 2
#: How far ahead of the hand the processor is told of a page.
_AHEAD = 16


class Dial(NamedTuple):
    """The clock of each pool: a page that comes in takes the place that was left last. A pool's places begin at its base."""

    mark: np.ndarray  # uint8 by place: the reference bit, or that the place is vacant
    page: np.ndarray  # uint32 by place
    place: np.ndarray  # uint32 by page
    vacant: np.ndarray  # uint32: vacant places, stacked from base[pool]
    vacancies: np.ndarray  # int64 by pool
    places: np.ndarray  # int64 by pool: how many there are
    hand: np.ndarray  # int64 by pool: a place
    base: np.ndarray  # int64 by pool


class Clock(Replacement):
    """Second chance: FIFO in a ring that passes over pages used since the last time (one reference bit, not set by the fault).

    Corbató 1968. Misses equal libCacheSim's Clock exactly.
    """

    name = "clock"

    def state(self, pools: Pools) -> Dial:
        page, place, vacant = (arrays.zeros(pools.pages, np.uint32) for _ in range(3))
        counts = np.zeros((2, pools.number), np.int64)
        return Dial(arrays.zeros(pools.pages, np.uint8), page, place, vacant, counts[0], counts[1], pools.base.copy(), pools.base)

    @staticmethod
    @jit
    def soon(s, page):
        prefetch(s.place, page)

    @staticmethod
    @jit
    def touch(s, pool, page):
        s.mark[s.place[page]] = _USED

    @staticmethod
    @jit
    def admit(s, pool, page):
        if s.vacancies[pool] > 0:
            s.vacancies[pool] -= 1
            place = s.vacant[s.base[pool] + s.vacancies[pool]]
        else:
            place = np.uint32(s.base[pool] + s.places[pool])
            s.places[pool] += 1
        s.page[place] = page
        s.place[page] = place
        s.mark[place] = _UNUSED

    @staticmethod
    @jit
    def remove(s, pool, page):
        _vacate(s, pool, s.place[page])

    @staticmethod
    @jit
    def victim(s, pool, page):
        first = s.base[pool]
        last = first + s.places[pool]
        place = s.hand[pool]
        while True:
            if place >= last:
                place = first
            mark = s.mark[place]
            if mark == _UNUSED:
                break
            if mark == _USED:
                s.mark[place] = _UNUSED
            place += 1
        s.hand[pool] = place + 1
        _vacate(s, pool, place)
        return s.page[place]

    @staticmethod
    @jit
    def upcoming(s, pool):
        page = s.page[min(s.hand[pool] + _AHEAD, s.base[pool] + s.places[pool] - 1)]
        prefetch(s.place, page)
        return page


@jit
def _vacate(s, pool, place):
    s.mark[place] = _VACANT
    s.vacant[s.base[pool] + s.vacancies[pool]] = place
    s.vacancies[pool] += 1
