"""CLOCK-Pro: LIRS for virtual memory. A use costs no more than a bit, and what memory cold pages get adapts.

S. Jiang, F. Chen and X. Zhang, "CLOCK-Pro: An Effective Improvement of the CLOCK Replacement", USENIX ATC 2005.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import param
from tracekit.modules.reclamation.lists import OFF, Lists, drop, lists, move, oldest, push
from tracekit.modules.reclamation.replacement import Pools, Replacement


class Hands(NamedTuple):
    """The clock of each pool from HAND_hot (its oldest page) to the list head, and where the other two hands find theirs.

    Cold pages enter the clock at its head only. So those that HAND_cold meets next, and those that HAND_test meets next, are
    queues, and a resident cold page that is past its test period need not be in the clock at all.
    """

    clock: Lists  # hot pages, and cold ones in their test period, resident or not
    cold: Lists  # resident cold pages; the oldest is under HAND_cold
    test: Lists  # cold pages in their test period; the oldest is under HAND_test
    used: np.ndarray  # uint8 by page: the reference bit
    is_hot: np.ndarray  # bool by page
    hot: np.ndarray  # int64 by pool: hot pages
    gone: np.ndarray  # int64 by pool: pages in their test period that are not resident
    m: np.ndarray  # int64 by pool: pages that the pool may hold
    m_cold: np.ndarray  # int64 by pool: cold pages that should be resident, adapted
    least: np.ndarray  # int64 by pool: least m_cold, and what is left of m for the most


class ClockPro(Replacement):
    """CLOCK-Pro: hot pages stay; cold pages pass through, and become hot if they are used again in their test period, which
    lasts as long as a hot page goes unused.

    Jiang, Chen & Zhang, USENIX ATC 2005, with adaptive cold allocation: a use in a test period makes room for one more cold
    page, a test period that ends without one for one less. As many pages that left are remembered as memory holds. Where the
    paper is silent this follows the authors' simulator: pages are hot until memory is full but for the cold pages' least
    share, and a cold page used after its test period begins another. libCacheSim's ClockPro is another algorithm.
    """

    name = "clock-pro"

    @dataclass(frozen=True)
    class Params(Replacement.Params):
        cold: float = param(0.01, "least part of memory for cold pages, at least one page; they begin with it", low=0.0, high=0.5)

    def state(self, pools: Pools) -> Hands:
        least = np.maximum(1, (pools.capacity * self.params.cold).astype(np.int64))
        return Hands(
            clock=lists(pools, 1),
            cold=lists(pools, 1),
            test=lists(pools, 1),
            used=np.zeros(pools.pages, np.uint8),
            is_hot=np.zeros(pools.pages, np.bool_),
            hot=np.zeros(pools.number, np.int64),
            gone=np.zeros(pools.number, np.int64),
            m=pools.capacity,
            m_cold=least.copy(),
            least=least,
        )

    @staticmethod
    @jit
    def touch(s, pool, page):
        s.used[page] = 1

    @staticmethod
    @jit
    def admit(s, pool, page):
        s.used[page] = 0
        if s.test.on[page] != OFF:
            s.gone[pool] -= 1
            _promote(s, pool, page)
        else:
            push(s.clock, pool, 0, page)
            if s.m[pool] - s.hot[pool] - s.cold.length[pool, 0] > s.least[pool]:
                s.is_hot[page] = True
                s.hot[pool] += 1
            else:
                push(s.cold, pool, 0, page)
                push(s.test, pool, 0, page)
        _rest(s, pool)

    @staticmethod
    @jit
    def remove(s, pool, page):
        if s.is_hot[page]:
            s.is_hot[page] = False
            s.hot[pool] -= 1
        else:
            drop(s.cold, pool, page)
            if s.test.on[page] != OFF:
                drop(s.test, pool, page)
        if s.clock.on[page] != OFF:
            drop(s.clock, pool, page)
        _rest(s, pool)

    @staticmethod
    @jit
    def victim(s, pool, page):
        while s.cold.length[pool, 0] == 0:
            _run_hot(s, pool)
        leaves = oldest(s.cold, pool, 0)
        while s.used[leaves] == 1:  # HAND_cold passes it
            s.used[leaves] = 0
            if s.test.on[leaves] != OFF:
                drop(s.cold, pool, leaves)
                _promote(s, pool, leaves)
            else:
                move(s.cold, pool, 0, leaves)
                push(s.clock, pool, 0, leaves)
                push(s.test, pool, 0, leaves)
            leaves = oldest(s.cold, pool, 0)
        drop(s.cold, pool, leaves)
        if s.test.on[leaves] != OFF:
            s.gone[pool] += 1
            while s.gone[pool] > s.m[pool]:
                _end_test(s, pool, oldest(s.test, pool, 0))
        return leaves


@jit
def _promote(s, pool, page):
    """A cold page was used in its test period: it becomes hot, at the list head."""
    drop(s.test, pool, page)
    move(s.clock, pool, 0, page)
    _adapt(s, pool, 1)
    s.is_hot[page] = True
    s.hot[pool] += 1
    while s.hot[pool] > s.m[pool] - s.m_cold[pool]:
        _run_hot(s, pool)
    _rest(s, pool)


@jit
def _run_hot(s, pool):
    """HAND_hot moves until a hot page has become cold: the first one not used since it last passed."""
    while True:
        page = oldest(s.clock, pool, 0)
        if not s.is_hot[page]:
            _end_test(s, pool, page)
        elif s.used[page] == 1:
            s.used[page] = 0
            move(s.clock, pool, 0, page)
        else:
            drop(s.clock, pool, page)
            s.is_hot[page] = False
            s.hot[pool] -= 1
            push(s.cold, pool, 0, page)
            _rest(s, pool)
            return


@jit
def _rest(s, pool):
    """HAND_hot stands at a hot page, if there is one: cold pages before that end their test period."""
    while s.hot[pool] > 0 and not s.is_hot[oldest(s.clock, pool, 0)]:
        _end_test(s, pool, oldest(s.clock, pool, 0))


@jit
def _end_test(s, pool, page):
    """The test period of a cold page ends; if it is not resident, it is forgotten."""
    drop(s.test, pool, page)
    drop(s.clock, pool, page)
    if s.cold.on[page] == OFF:
        s.gone[pool] -= 1
        _adapt(s, pool, -1)
    else:
        _adapt(s, pool, 1 if s.used[page] == 1 else -1)


@jit
def _adapt(s, pool, change):
    most = max(s.least[pool], s.m[pool] - s.least[pool])
    s.m_cold[pool] = min(max(s.m_cold[pool] + change, s.least[pool]), most)
