"""2Q, full version: new pages pass through a FIFO queue; what is used again soon after it left that enters an LRU list.

T. Johnson and D. Shasha, "2Q: A Low Overhead High Performance Buffer Management Replacement Algorithm", VLDB 1994.
Defaults: A1in 25 % of memory, A1out remembers as many pages as 50 % of memory holds.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import param
from tracekit.modules.reclamation.queues import OFF, Queued, Queues, drop, is_on, length, move, pop, push, queues, upcoming
from tracekit.modules.reclamation.replacement import Pools, Replacement

_IN, _MAIN, _OUT, _AWAITED = 0, 1, 2, 3


class TwoQueues(NamedTuple):
    """A1in, Am and A1out of each pool (a page of A1out that comes in is awaited), and the limits of two of them."""

    queue: Queues
    kin: np.ndarray  # int64 by pool
    kout: np.ndarray  # int64 by pool


class TwoQ(Queued):
    """2Q, full version: A1in (FIFO), A1out (its ghosts, FIFO) and Am (LRU). A page of A1out that comes in leaves A1out first.

    Johnson & Shasha, VLDB 1994. Misses equal libCacheSim's TwoQ exactly from 4 frames up (below that, libCacheSim lets no
    page in).
    """

    name = "2q"

    @dataclass(frozen=True)
    class Params(Replacement.Params):
        kin: float = param(0.25, "part of memory beyond which A1in gives up pages first", low=0.0, high=1.0)
        kout: float = param(0.5, "pages remembered after they have left A1in, as a part of memory", low=0.0, high=10.0)

    def state(self, pools: Pools) -> TwoQueues:
        limits = ((pools.capacity * part).astype(np.int64) for part in (self.params.kin, self.params.kout))
        return TwoQueues(queues(pools, 4), *limits)

    @staticmethod
    @jit
    def touch(s, pool, page):
        if s.queue.page[page].on == _MAIN:
            move(s.queue, pool, _MAIN, page)

    @staticmethod
    @jit
    def admit(s, pool, page):
        if s.queue.page[page].on != OFF:  # remembered
            drop(s.queue, pool, page)
            push(s.queue, pool, _MAIN, page)
        else:
            push(s.queue, pool, _IN, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        q = s.queue
        if is_on(q, pool, _OUT, page):
            drop(q, pool, page)
            push(q, pool, _AWAITED, page)
        if length(q, pool, _IN) <= s.kin[pool] and length(q, pool, _MAIN) > 0:
            leaves = pop(q, pool, _MAIN)
            return leaves
        leaves = pop(q, pool, _IN)
        if s.kout[pool] > 0:
            if length(q, pool, _OUT) >= s.kout[pool]:
                pop(q, pool, _OUT)
            push(q, pool, _OUT, leaves)
        return leaves

    @staticmethod
    @jit
    def upcoming(s, pool):
        which = _MAIN if length(s.queue, pool, _IN) <= s.kin[pool] else _IN
        return upcoming(s.queue, pool, which)
