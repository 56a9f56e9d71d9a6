"""ARC: an LRU list of pages used once and one of pages used more often, balanced by what their ghosts would have hit.

N. Megiddo and D. S. Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", FAST 2003. No parameters.
"""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.modules.reclamation.queues import OFF, Queued, Queues, drop, is_on, move, pop, push, queues, upcoming
from tracekit.modules.reclamation.replacement import Pools

_T1, _T2, _B1, _B2, _FROM_B1, _FROM_B2 = 0, 1, 2, 3, 4, 5


class Balance(NamedTuple):
    """T1, T2 and their ghosts B1, B2 of each pool (a ghost that comes in is awaited), and where the balance stands."""

    queue: Queues
    p: np.ndarray  # float64 by pool: pages that T1 should have
    c: np.ndarray  # int64 by pool: pages that the pool may hold


class Arc(Queued):
    """Adaptive replacement cache: T1 and T2 hold pages used once and more often, B1 and B2 remember what left them.

    Megiddo & Modha, FAST 2003. Misses equal libCacheSim's ARC exactly.
    """

    name = "arc"

    def state(self, pools: Pools) -> Balance:
        return Balance(queues(pools, 6), np.zeros(pools.number), pools.capacity)

    @staticmethod
    @jit
    def touch(s, pool, page):
        move(s.queue, pool, _T2, page)

    @staticmethod
    @jit
    def admit(s, pool, page):
        q = s.queue
        _await(s, pool, page)
        if q.on[page] == OFF:
            push(q, pool, _T1, page)
        else:
            drop(q, pool, page)
            push(q, pool, _T2, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        q = s.queue
        length = q.length
        _await(s, pool, page)
        from_b2 = is_on(q, pool, _FROM_B2, page)
        remember = True
        if not from_b2 and not is_on(q, pool, _FROM_B1, page):  # case IV: a page without history
            if length[pool, _T1] + length[pool, _B1] >= s.c[pool]:
                if length[pool, _B1] > 0:
                    pop(q, pool, _B1)
                else:
                    remember = False
            elif length[pool, _T1] + length[pool, _T2] + length[pool, _B1] + length[pool, _B2] >= 2 * s.c[pool]:
                if length[pool, _B2] > 0:
                    pop(q, pool, _B2)
        t1 = length[pool, _T1]
        if length[pool, _T2] == 0 or (t1 > 0 and (not remember or t1 > s.p[pool] or (from_b2 and t1 == s.p[pool]))):
            leaves = pop(q, pool, _T1)
            if remember:
                push(q, pool, _B1, leaves)
        else:
            leaves = pop(q, pool, _T2)
            push(q, pool, _B2, leaves)
        return leaves

    @staticmethod
    @jit
    def upcoming(s, pool):
        which = _T1 if s.queue.length[pool, _T1] > s.p[pool] else _T2
        return upcoming(s.queue, pool, which, s.queue.book[pool, which].tail)


@jit
def _await(s, pool, page):
    """A page comes in: if it is a ghost, the balance shifts, and the ghost is awaited."""
    q = s.queue
    b1, b2 = q.length[pool, _B1], q.length[pool, _B2]
    if is_on(q, pool, _B1, page):
        s.p[pool] = min(s.p[pool] + max(1.0, b2 / b1), float(s.c[pool]))
        drop(q, pool, page)
        push(q, pool, _FROM_B1, page)
    elif is_on(q, pool, _B2, page):
        s.p[pool] = max(s.p[pool] - max(1.0, b1 / b2), 0.0)
        drop(q, pool, page)
        push(q, pool, _FROM_B2, page)
