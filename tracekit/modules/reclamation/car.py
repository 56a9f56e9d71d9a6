"""CAR: ARC with clocks in place of its LRU lists, so that a use costs no more than a bit.

S. Bansal and D. S. Modha, "CAR: Clock with Adaptive Replacement", FAST 2004. No parameters.
"""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.modules.reclamation.queues import Queued, Queues, drop, length, pop, push, queues
from tracekit.modules.reclamation.replacement import Pools

_T1, _T2, _B1, _B2 = 0, 1, 2, 3


class Clocks(NamedTuple):
    """The clocks T1 and T2 and the ghosts B1 and B2 of each pool, and where the balance stands."""

    queue: Queues  # the oldest page of a clock is the one under its hand
    used: np.ndarray  # uint8 by page: the reference bit
    p: np.ndarray  # float64 by pool: pages that T1 should have
    c: np.ndarray  # int64 by pool: pages that the pool may hold


class Car(Queued):
    """Clock with adaptive replacement: clocks T1 and T2, LRU ghosts B1 and B2, balanced like ARC.

    Bansal & Modha, FAST 2004. libCacheSim has no CAR.
    """

    name = "car"

    def state(self, pools: Pools) -> Clocks:
        return Clocks(queues(pools, 4), np.zeros(pools.pages, np.uint8), np.zeros(pools.number), pools.capacity)

    @staticmethod
    @jit
    def touch(s, pool, page):
        s.used[page] = 1

    @staticmethod
    @jit
    def admit(s, pool, page):
        q = s.queue
        b1, b2 = length(q, pool, _B1), length(q, pool, _B2)
        into = _T2
        if q.page[page].on == _B1:
            s.p[pool] = min(s.p[pool] + max(1.0, b2 / b1), float(s.c[pool]))
            drop(q, pool, page)
        elif q.page[page].on == _B2:
            s.p[pool] = max(s.p[pool] - max(1.0, b1 / b2), 0.0)
            drop(q, pool, page)
        else:
            into = _T1
            t1, t2 = length(q, pool, _T1), length(q, pool, _T2)
            if b1 > 0 and t1 + b1 >= s.c[pool]:
                pop(q, pool, _B1)
            elif b2 > 0 and t1 + t2 + b1 + b2 >= 2 * s.c[pool]:
                pop(q, pool, _B2)
        push(q, pool, into, page)
        s.used[page] = 0

    @staticmethod
    @jit
    def victim(s, pool, page):
        q = s.queue
        while True:
            t1, t2 = length(q, pool, _T1), length(q, pool, _T2)
            from_t1 = t2 == 0 or (t1 > 0 and t1 >= max(1.0, s.p[pool]))
            leaves = pop(q, pool, _T1 if from_t1 else _T2)
            if s.used[leaves] == 0:
                push(q, pool, _B1 if from_t1 else _B2, leaves)
                return leaves
            s.used[leaves] = 0
            push(q, pool, _T2, leaves)
