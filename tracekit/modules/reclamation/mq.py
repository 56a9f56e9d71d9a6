"""MQ: several LRU queues by how often a page was used; a page that goes unused for its life time sinks by one queue.

Y. Zhou, J. F. Philbin and K. Li, "The Multi-Queue Replacement Algorithm for Second Level Buffer Caches", USENIX ATC 2001.
Defaults: 8 queues, Qout remembers 4 times as many pages as memory holds.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import param
from tracekit.modules.reclamation.lists import OFF, Lists, drop, end, is_on, lists, move, oldest, push
from tracekit.modules.reclamation.replacement import Pools, Replacement


class ManyQueues(NamedTuple):
    """The queues of each pool, Qout behind them (a page of Qout that comes in is awaited), and when pages sink."""

    queue: Lists
    uses: np.ndarray  # uint32 by page, remembered while it is on Qout
    sinks: np.ndarray  # int64 by page: the access after which it sinks
    now: np.ndarray  # int64 by pool: accesses so far
    life: np.ndarray  # int64, one
    kept: np.ndarray  # int64 by pool: pages that Qout remembers


class Mq(Replacement):
    """Multi-queue: a page that was used f times is in queue log2 f; the oldest of the lowest queue leaves, and Qout remembers
    its uses.

    Zhou, Philbin & Li, USENIX ATC 2001. Misses equal libCacheSim's MQ exactly. The authors set the life time to the most
    frequent distance between two accesses of a page, measured on the trace at hand; 10 000, libCacheSim's default, is no
    more than a guess at it.
    """

    name = "mq"

    @dataclass(frozen=True)
    class Params(Replacement.Params):
        queues: int = param(8, "LRU queues", low=1, high=32)
        lifetime: int = param(10_000, "accesses of the pool without a use after which a page sinks by one queue", "access", low=1)
        qout: float = param(4.0, "pages remembered after they have left, as a part of memory", low=0.0, high=64.0)

    def state(self, pools: Pools) -> ManyQueues:
        uses, sinks = np.zeros(pools.pages, np.uint32), np.zeros(pools.pages, np.int64)
        kept = (pools.capacity * self.params.qout).astype(np.int64)
        life = np.array([self.params.lifetime])
        return ManyQueues(lists(pools, self.params.queues + 2), uses, sinks, np.zeros(pools.number, np.int64), life, kept)

    @staticmethod
    @jit
    def touch(s, pool, page):
        s.uses[page] += 1
        move(s.queue, pool, _queue_of(s, page), page)
        _pass_time(s, pool, page)

    @staticmethod
    @jit
    def admit(s, pool, page):
        if s.queue.on[page] == OFF:
            s.uses[page] = 1
        else:  # remembered
            drop(s.queue, pool, page)
            s.uses[page] += 1
        push(s.queue, pool, _queue_of(s, page), page)
        _pass_time(s, pool, page)

    @staticmethod
    @jit
    def remove(s, pool, page):
        drop(s.queue, pool, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        q = s.queue
        out, awaited = _queues(s), _queues(s) + 1
        if is_on(q, pool, out, page):
            drop(q, pool, page)
            push(q, pool, awaited, page)
        k = 0
        while q.length[pool, k] == 0:
            k += 1
        leaves = oldest(q, pool, k)
        drop(q, pool, leaves)
        if s.kept[pool] > 0:
            if q.length[pool, out] >= s.kept[pool]:
                drop(q, pool, oldest(q, pool, out))
            push(q, pool, out, leaves)
        return leaves


@jit
def _queues(s):
    """How many queues there are, which is also the number of the list Qout."""
    return s.queue.length.shape[1] - 2


@jit
def _queue_of(s, page):
    """The queue for a page's uses."""
    uses, k = s.uses[page], 0
    while uses > 1 and k < _queues(s) - 1:
        uses >>= 1
        k += 1
    return k


@jit
def _pass_time(s, pool, page):
    """``page`` was used: its life time begins anew, and the oldest page of each queue sinks if its own has run out."""
    q = s.queue
    s.sinks[page] = s.now[pool] + s.life[0]
    s.now[pool] += 1
    for k in range(1, _queues(s)):
        page = oldest(q, pool, k)
        if page != end(q, pool, k) and s.sinks[page] < s.now[pool]:
            drop(q, pool, page)
            push(q, pool, k - 1, page)
            s.sinks[page] = s.now[pool] + s.life[0]
