"""Segmented LRU: a page is protected from the second use on.

R. Karedla, J. S. Love and B. G. Wherry, "Caching Strategies to Improve Disk System Performance", IEEE Computer 27(3),
1994. Default: the protected segment takes up to 80 % of memory.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import param
from tracekit.modules.reclamation.queues import Queued, Queues, move, oldest, pop, push, queues
from tracekit.modules.reclamation.replacement import Pools, Replacement

_MOST = 4
_ENDLESS = 1 << 40


class Segments(NamedTuple):
    """LRU lists of each pool, from where pages leave (0) to the best protected."""

    queue: Queues
    limit: np.ndarray  # int64 (pool, segment): pages beyond which its oldest goes to the segment below
    top: np.ndarray  # int64 by pool: the best protected segment


class Slru(Queued):
    """Segmented LRU with two segments: what is used again is protected; what the protected segment is too small for
    goes back on probation, from where pages leave.

    Karedla et al. 1994. libCacheSim 0.3.5's SLRU is S4LRU (Q. Huang et al., "An Analysis of Facebook Photo Caching", SOSP
    2013): four equal segments, and a use lifts a page by one; but a page comes into the lowest segment that is not full,
    so that while memory fills up pages are protected that nobody used again. ``variant = libcachesim`` selects that, and
    then misses equal libCacheSim's exactly where frames are a multiple of 4; elsewhere libCacheSim also lets pages go at
    hits (at most 2 % of misses on the traces in the tests), and below 4 frames it lets no page in. It misses more often
    than two segments by −0.9 %, −0.8 %, 29 % and −12 % on the trace balloon-workload with 1, 5, 20 and 50 % of its pages
    as memory, and by −3.2 %, −2.5 %, −2.8 % and −0.2 % on three-vms.
    """

    name = "slru"

    @dataclass(frozen=True)
    class Params(Replacement.Params):
        protected: float = param(0.8, "part of memory that the protected segment may take", low=0.0, high=1.0)
        variant: str = param("paper", "two segments, or four that fill up one after the other", choices=("paper", "libcachesim"))

    def state(self, pools: Pools) -> Segments:
        limit = np.zeros((pools.number, _MOST), np.int64)
        if self.params.variant == "libcachesim":
            limit[:] = pools.capacity[:, None] // _MOST
            return Segments(queues(pools, _MOST), limit, np.full(pools.number, _MOST - 1))
        limit[:, 0] = _ENDLESS
        limit[:, 1] = pools.capacity * self.params.protected
        return Segments(queues(pools, _MOST), limit, np.ones(pools.number, np.int64))

    @staticmethod
    @jit
    def touch(s, pool, page):
        q = s.queue
        segment = min(np.int64(q.on[page]) + 1, s.top[pool])
        move(q, pool, segment, page)
        while segment > 0 and q.length[pool, segment] > s.limit[pool, segment]:
            move(q, pool, segment - 1, oldest(q, pool, segment))
            segment -= 1

    @staticmethod
    @jit
    def admit(s, pool, page):
        segment = 0
        while segment < s.top[pool] and s.queue.length[pool, segment] >= s.limit[pool, segment]:
            segment += 1
        if s.queue.length[pool, segment] >= s.limit[pool, segment]:
            segment = 0
        push(s.queue, pool, segment, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        segment = 0
        while s.queue.length[pool, segment] == 0:
            segment += 1
        leaves = pop(s.queue, pool, segment)
        return leaves
