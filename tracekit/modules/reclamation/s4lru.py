"""S4LRU: four LRU segments of equal size; every use lifts a page by one, and what a segment is too small for sinks by one.

Q. Huang, K. Birman, R. van Renesse, W. Lloyd, S. Kumar and H. C. Li, "An Analysis of Facebook Photo Caching", SOSP 2013.
"""

from typing import NamedTuple

import numpy as np

from tracekit.host import NONE
from tracekit.kernel import jit
from tracekit.modules.reclamation.queues import Queued, Queues, length, move, oldest, pop, push, queues
from tracekit.modules.reclamation.replacement import Pools

_SEGMENTS = 4


class Quarters(NamedTuple):
    """The four LRU lists of each pool, pages leave from the first."""

    queue: Queues
    limit: np.ndarray  # int64 by pool: pages of a segment
    over: np.ndarray  # bool by pool: a page has sunk into the first segment, which must give up what it is too small for


class S4Lru(Queued):
    """S4LRU (quadruply segmented LRU), as in libCacheSim, which calls it SLRU.

    Huang et al., SOSP 2013. Two things are libCacheSim's: a page comes into the lowest segment that is not full, so that
    while memory fills up pages are protected that nobody used again; and where four segments do not make up memory, pages
    leave at uses as well, not only when frames run out. Misses equal those of libCacheSim's SLRU exactly from 4 frames up
    (below that, libCacheSim lets no page in). It misses more often than SLRU by −0.9 %, −0.8 %, 29 % and −12 % on the trace
    balloon-workload with 1, 5, 20 and 50 % of its pages as memory.
    """

    name = "s4lru"

    def state(self, pools: Pools) -> Quarters:
        return Quarters(queues(pools, _SEGMENTS), pools.capacity // _SEGMENTS, np.zeros(pools.number, np.bool_))

    @staticmethod
    @jit
    def expired(s, pool, page, faults):
        if s.over[pool] and length(s.queue, pool, 0) > s.limit[pool]:
            return pop(s.queue, pool, 0)
        s.over[pool] = False
        return NONE

    @staticmethod
    @jit
    def touch(s, pool, page):
        q = s.queue
        segment = min(np.int64(q.page[page].on) + 1, _SEGMENTS - 1)
        move(q, pool, segment, page)
        while segment > 0 and length(q, pool, segment) > s.limit[pool]:
            move(q, pool, segment - 1, oldest(q, pool, segment))
            segment -= 1
            s.over[pool] = segment == 0

    @staticmethod
    @jit
    def admit(s, pool, page):
        segment = 0
        while segment < _SEGMENTS - 1 and length(s.queue, pool, segment) >= s.limit[pool]:
            segment += 1
        if length(s.queue, pool, segment) >= s.limit[pool]:
            segment = 0
        push(s.queue, pool, segment, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        segment = 0
        while length(s.queue, pool, segment) == 0:
            segment += 1
        return pop(s.queue, pool, segment)
