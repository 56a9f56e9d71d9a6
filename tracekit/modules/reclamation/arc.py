"""ARC: an LRU list of pages used once and one of pages used more often, balanced by what their ghosts would have hit.

N. Megiddo and D. S. Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", FAST 2003. No parameters.
"""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.modules.reclamation.queues import OFF, Queued, Queues, belongs, drop, length, move, pop, push, queues, upcoming
from tracekit.modules.reclamation.replacement import Pools

_T1, _T2, _B1, _B2 = 0, 1, 2, 3
_NEW, _WAS_B1, _WAS_B2 = 0, 1, 2


class Balance(NamedTuple):
    """T1, T2 and their ghosts B1, B2 of each pool, and where the balance stands.

    The note of a page that comes in says which ghosts it was one of.
    """

    queue: Queues
    p: np.ndarray  # float64 by pool: pages that T1 should have
    c: np.ndarray  # int64 by pool: pages that the pool may hold


class Arc(Queued):
    """Adaptive replacement cache: T1 and T2 hold pages used once and more often, B1 and B2 remember what left them.

    Megiddo & Modha, FAST 2003. Misses equal libCacheSim's ARC exactly.
    """

    name = "arc"

    def state(self, pools: Pools) -> Balance:
        return Balance(queues(pools, 4), np.zeros(pools.number), pools.capacity)

    @staticmethod
    @jit
    def touch(s, pool, page):
        move(s.queue, pool, _T2, page)

    @staticmethod
    @jit
    def admit(s, pool, page):
        q = s.queue
        if q.page[page].on != OFF:
            _learn(s, pool, page)
        if q.page[page].note == _NEW:
            push(q, pool, _T1, page)
        else:
            q.page[page].note = _NEW
            push(q, pool, _T2, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        q = s.queue
        was = _NEW
        if belongs(q, pool, page):
            if q.page[page].on != OFF:
                _learn(s, pool, page)
            was = q.page[page].note
        t1, t2 = length(q, pool, _T1), length(q, pool, _T2)
        remember = True
        if was == _NEW:  # case IV: a page without history
            b1, b2 = length(q, pool, _B1), length(q, pool, _B2)
            if t1 + b1 >= s.c[pool]:
                if b1 > 0:
                    pop(q, pool, _B1)
                else:
                    remember = False
            elif b2 > 0 and t1 + t2 + b1 + b2 >= 2 * s.c[pool]:
                pop(q, pool, _B2)
        if t2 == 0 or (t1 > 0 and (not remember or t1 > s.p[pool] or (was == _WAS_B2 and t1 == s.p[pool]))):
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
        which = _T1 if length(s.queue, pool, _T1) > s.p[pool] else _T2
        return upcoming(s.queue, pool, which)


@jit
def _learn(s, pool, page):
    """A ghost comes in: the balance shifts, and it is a ghost no more."""
    q = s.queue
    b1, b2 = length(q, pool, _B1), length(q, pool, _B2)
    record = q.page[page]
    if record.on == _B1:
        s.p[pool] = min(s.p[pool] + max(1.0, b2 / b1), float(s.c[pool]))
        record.note = _WAS_B1
    else:
        s.p[pool] = max(s.p[pool] - max(1.0, b1 / b2), 0.0)
        record.note = _WAS_B2
    drop(q, pool, page)
