"""WSClock: the hand of a clock takes the first page that has left the working set.

R. W. Carr and J. L. Hennessy, "WSClock: A Simple and Effective Algorithm for Virtual Memory Management", SOSP 1981.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import param
from tracekit.modules.reclamation.lists import Lists, drop, lists, move, oldest, push
from tracekit.modules.reclamation.replacement import Pools, Replacement


class Watch(NamedTuple):
    """The clock of each pool (its oldest page is under the hand) and when its pages were last found used."""

    ring: Lists
    used: np.ndarray  # uint8 by page: the reference bit
    last: np.ndarray  # int64 by page: the access at which the hand last found it used
    now: np.ndarray  # int64 by pool: accesses so far
    since: np.ndarray  # int64 by pool: no page of the pool was last found used before this
    tau: np.ndarray  # int64, one: the window


class WsClock(Replacement):
    """WSClock: CLOCK that passes over pages found used within the last τ accesses as well.

    Carr & Hennessy 1981. When the hand has come round without finding a page, memory is overcommitted and load control would
    stop a program, which a trace does not allow: from then on, until a page can have left the working set, the hand works as
    CLOCK's. All pages count as clean: what is dirty would be written first. Time is the pool's accesses, and τ is left to
    the system by the paper as by Denning; the default is tracekit's.
    """

    name = "wsclock"

    @dataclass(frozen=True)
    class Params(Replacement.Params):
        tau: int = param(100_000, "window: pages not used in so many accesses of the pool may leave", "access", low=1, high=1 << 40)

    def state(self, pools: Pools) -> Watch:
        used, last = np.zeros(pools.pages, np.uint8), np.zeros(pools.pages, np.int64)
        times = np.zeros((2, pools.number), np.int64)
        return Watch(lists(pools, 1), used, last, times[0], times[1], np.array([self.params.tau]))

    @staticmethod
    @jit
    def touch(s, pool, page):
        s.now[pool] += 1
        s.used[page] = 1

    @staticmethod
    @jit
    def admit(s, pool, page):
        s.now[pool] += 1
        s.used[page] = 0
        s.last[page] = s.now[pool]
        push(s.ring, pool, 0, page)

    @staticmethod
    @jit
    def remove(s, pool, page):
        drop(s.ring, pool, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        now = s.now[pool]
        if now - s.since[pool] > s.tau[0]:
            since = now
            for _ in range(s.ring.length[pool, 0]):
                leaves = oldest(s.ring, pool, 0)
                if s.used[leaves] == 0 and now - s.last[leaves] > s.tau[0]:
                    drop(s.ring, pool, leaves)
                    return leaves
                _pass(s, pool, leaves)
                since = min(since, s.last[leaves])
            s.since[pool] = since
        leaves = oldest(s.ring, pool, 0)
        while s.used[leaves] == 1:
            _pass(s, pool, leaves)
            leaves = oldest(s.ring, pool, 0)
        drop(s.ring, pool, leaves)
        return leaves


@jit
def _pass(s, pool, page):
    """The hand passes over a page."""
    if s.used[page] == 1:
        s.used[page] = 0
        s.last[page] = s.now[pool]
    move(s.ring, pool, 0, page)
