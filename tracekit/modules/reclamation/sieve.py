"""SIEVE: a hand sweeps a FIFO queue from old to new and takes out the first page not used since it last passed.

Y. Zhang, J. Yang, Y. Yue, Y. Vigfusson and K. V. Rashmi, "SIEVE is Simpler than LRU: an Efficient Turn-Key Eviction
Algorithm for Web Caches", NSDI 2024. No parameters.
"""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.modules.reclamation.lists import NEWER, Lists, drop, end, lists, oldest, push
from tracekit.modules.reclamation.replacement import Pools, Replacement


class Sieved(NamedTuple):
    """A queue, a bit a page, and the hand: a page, or the queue's end if it has come to the newest."""

    queue: Lists
    used: np.ndarray  # uint8 by page
    hand: np.ndarray  # uint32 by pool


class Sieve(Replacement):
    """SIEVE: unlike CLOCK, survivors stay where they are in the queue, and new pages do not join behind the hand.

    Zhang et al., NSDI 2024. Misses equal libCacheSim's Sieve exactly.
    """

    name = "sieve"

    def state(self, pools: Pools) -> Sieved:
        hand = pools.pages + np.arange(pools.number, dtype=np.uint32)
        return Sieved(lists(pools, 1), np.zeros(pools.pages, np.uint8), hand)

    @staticmethod
    @jit
    def touch(s, pool, page):
        s.used[page] = 1

    @staticmethod
    @jit
    def admit(s, pool, page):
        push(s.queue, pool, 0, page)
        s.used[page] = 0

    @staticmethod
    @jit
    def remove(s, pool, page):
        if s.hand[pool] == page:
            s.hand[pool] = s.queue.link[page, NEWER]
        drop(s.queue, pool, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        ends = end(s.queue, pool, 0)
        leaves = s.hand[pool]
        while True:
            if leaves == ends:
                leaves = oldest(s.queue, pool, 0)
            if s.used[leaves] == 0:
                break
            s.used[leaves] = 0
            leaves = s.queue.link[leaves, NEWER]
        s.hand[pool] = s.queue.link[leaves, NEWER]
        drop(s.queue, pool, leaves)
        return leaves
