"""S3-FIFO: a small queue sifts out what is used once before it reaches the main queue.

J. Yang, Y. Zhang, Z. Qiu, Y. Yue and K. V. Rashmi, "FIFO Queues are All You Need for Cache Eviction", SOSP 2023.
Defaults: small queue 10 % of memory, as many ghosts as the main queue has pages (90 %), counters up to 3.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import param
from tracekit.modules.reclamation.queues import OFF, Queued, Queues, drop, is_on, length, pop, push, queues, upcoming
from tracekit.modules.reclamation.replacement import Pools, Replacement

_SMALL, _MAIN, _GHOST, _AWAITED = 0, 1, 2, 3
_CAP = 3


class Sieves(NamedTuple):
    """The queues of each pool (a ghost that comes in is awaited), with a counter of uses as the note of a page."""

    queue: Queues
    small: np.ndarray  # int64 by pool: pages of the small queue
    ghosts: np.ndarray  # int64 by pool: pages remembered
    early: np.ndarray  # bool by pool: whether what does not fit into the small queue goes to the main one, as nothing has left yet


class S3Fifo(Queued):
    """S3-FIFO: a small FIFO, a main FIFO with counters for what is used more than once, and ghosts of what left the small one.

    Yang et al., SOSP 2023. While memory fills up, libCacheSim 0.3.5 puts what exceeds the small queue into the main one;
    the paper has no such exception, nor had its authors' first version. ``variant = libcachesim`` selects it, and then
    misses equal libCacheSim's exactly from 20 frames up (below that, libCacheSim lets no page in, below 10 it stops). It
    misses more often by
    −0.01 %, 0.4 %, −0.4 % and 7.4 % on the trace balloon-workload with 1, 5, 20 and 50 % of its pages as memory, and by
    −0.01 %, 0.4 %, 1.2 % and 4.4 % on three-vms.

    The paper's pseudocode lets a page leave the main queue as well when one moves there from the small queue; here, as
    in both of its authors' versions, exactly one page leaves for one that comes in.
    """

    name = "s3fifo"

    @dataclass(frozen=True)
    class Params(Replacement.Params):
        small: float = param(0.1, "part of memory that the small queue takes", low=0.0, high=1.0)
        ghosts: float = param(0.9, "pages remembered after they have left the small queue, as a part of memory", low=0.0, high=10.0)
        variant: str = param("paper", "where pages go while memory fills up", choices=("paper", "libcachesim"))

    def state(self, pools: Pools) -> Sieves:
        small = (pools.capacity * self.params.small).astype(np.int64)
        ghosts = (pools.capacity * self.params.ghosts).astype(np.int64)
        early = np.full(pools.number, self.params.variant == "libcachesim")
        return Sieves(queues(pools, 4), small, ghosts, early)

    @staticmethod
    @jit
    def touch(s, pool, page):
        uses = s.queue.page[page].note
        if uses < _CAP:
            s.queue.page[page].note = uses + 1

    @staticmethod
    @jit
    def admit(s, pool, page):
        q = s.queue
        q.page[page].note = 0
        if q.page[page].on != OFF:  # remembered
            drop(q, pool, page)
            push(q, pool, _MAIN, page)
        elif s.early[pool] and length(q, pool, _SMALL) >= s.small[pool]:
            push(q, pool, _MAIN, page)
        else:
            push(q, pool, _SMALL, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        q = s.queue
        s.early[pool] = False
        if is_on(q, pool, _GHOST, page):
            drop(q, pool, page)
            push(q, pool, _AWAITED, page)
        from_small = length(q, pool, _SMALL) >= s.small[pool] or length(q, pool, _MAIN) == 0
        while True:
            if from_small and length(q, pool, _SMALL) > 0:
                leaves = pop(q, pool, _SMALL)
                if q.page[leaves].note < 2:
                    _remember(s, pool, leaves)
                    return leaves
                q.page[leaves].note = 0
            else:
                leaves = pop(q, pool, _MAIN)
                if q.page[leaves].note == 0:
                    return leaves
                q.page[leaves].note -= 1
            push(q, pool, _MAIN, leaves)

    @staticmethod
    @jit
    def upcoming(s, pool):
        which = _SMALL if length(s.queue, pool, _SMALL) >= s.small[pool] else _MAIN
        return upcoming(s.queue, pool, which)


@jit
def _remember(s, pool, page):
    if s.ghosts[pool] > 0:
        if length(s.queue, pool, _GHOST) >= s.ghosts[pool]:
            pop(s.queue, pool, _GHOST)
        push(s.queue, pool, _GHOST, page)
