"""Segmented LRU: a page is protected from the second use on.

R. Karedla, J. S. Love and B. G. Wherry, "Caching Strategies to Improve Disk System Performance", IEEE Computer 27(3),
1994. Default: the protected segment takes up to 80 % of memory.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import param
from tracekit.modules.reclamation.queues import Queued, Queues, length, move, oldest, pop, push, queues
from tracekit.modules.reclamation.replacement import Pools, Replacement

_PROBATION, _PROTECTED = 0, 1


class Segments(NamedTuple):
    """The two LRU lists of each pool."""

    queue: Queues
    limit: np.ndarray  # int64 by pool: most protected pages


class Slru(Queued):
    """Segmented LRU with two segments: what is used again is protected; what the protected segment is too small for
    goes back on probation, from where pages leave.

    Karedla et al. 1994. What libCacheSim calls SLRU has four segments: see ``paging.s4lru``.
    """

    name = "slru"

    @dataclass(frozen=True)
    class Params(Replacement.Params):
        protected: float = param(0.8, "part of memory that the protected segment may take", low=0.0, high=1.0)

    def state(self, pools: Pools) -> Segments:
        return Segments(queues(pools, 2), (pools.capacity * self.params.protected).astype(np.int64))

    @staticmethod
    @jit
    def touch(s, pool, page):
        move(s.queue, pool, _PROTECTED, page)
        if length(s.queue, pool, _PROTECTED) > s.limit[pool]:
            move(s.queue, pool, _PROBATION, oldest(s.queue, pool, _PROTECTED))

    @staticmethod
    @jit
    def admit(s, pool, page):
        push(s.queue, pool, _PROBATION, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        return pop(s.queue, pool, _PROBATION if length(s.queue, pool, _PROBATION) > 0 else _PROTECTED)
