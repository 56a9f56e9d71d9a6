"""CLOCK, or second chance: the first page around the clock that has not been used since the hand last passed leaves.

F. J. Corbató, "A Paging Experiment with the Multics System", MIT Project MAC Report MAC-M-384, 1968. One reference bit.
"""

import numpy as np

from tracekit.host import NONE
from tracekit.kernel import jit
from tracekit.modules.reclamation.dials import Dial, OnDial, dial, next_unused, put, take_off
from tracekit.modules.reclamation.replacement import Pools


class Clock(OnDial):
    """Second chance: FIFO in a ring that passes over pages used since the last time (one reference bit, not set by the fault).

    A page that comes in takes the place that was left last. Corbató 1968. Misses equal libCacheSim's Clock exactly.
    """

    name = "clock"

    def state(self, pools: Pools) -> Dial:
        clocks = dial(pools, pools.size.tolist())
        clocks.book["vacant"] = NONE
        return clocks

    @staticmethod
    @jit
    def admit(s, pool, page):
        b = s.book[pool]
        place = b.vacant
        if place == NONE:
            place = b.end
            b.end += 1
        else:
            b.vacant = s.page[np.uint64(place)]
        put(s, pool, page, place)

    @staticmethod
    @jit
    def remove(s, pool, page):
        _vacate(s, pool, np.int64(s.place[page]))

    @staticmethod
    @jit
    def victim(s, pool, page):
        place = next_unused(s, pool)
        s.book[pool].hand = place + 1
        leaves = s.page[np.uint64(place)]
        _vacate(s, pool, place)
        return leaves


@jit
def _vacate(s, pool, place):
    """A place is vacant: what stands there is the place that was left before, or NONE."""
    b = s.book[pool]
    take_off(s, pool, place)
    s.page[np.uint64(place)] = b.vacant
    b.vacant = place
