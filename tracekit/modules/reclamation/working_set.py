"""Working set: a page leaves when it has not been used for τ accesses; what memory that takes is the program's own affair.

P. J. Denning, "The Working Set Model for Program Behavior", CACM 11(5), 1968. Time is the pool's virtual time: its accesses.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.host import NONE
from tracekit.kernel import jit
from tracekit.module import param
from tracekit.modules.reclamation.lists import NEWER, Lists, drop, end, lists, move, oldest, push
from tracekit.modules.reclamation.replacement import Pools, Replacement


class Window(NamedTuple):
    """The pages of each pool by their last use, and the clock."""

    order: Lists
    last: np.ndarray  # int64 by page: the access at which it was last used
    now: np.ndarray  # int64 by pool: accesses so far
    tau: np.ndarray  # int64, one: the window


class WorkingSet(Replacement):
    """Working set W(t, τ): resident is what was used in the last τ accesses, up to and with the running one.

    Denning 1968. A page that is used again τ accesses later, but not sooner, is still there. Where frames run out before
    pages expire, the least recently used one leaves. Denning leaves τ to the system; the default is tracekit's.
    """

    name = "working-set"

    @dataclass(frozen=True)
    class Params(Replacement.Params):
        tau: int = param(100_000, "window: pages not used in so many accesses of the pool leave", "access", low=1, high=1 << 40)

    def state(self, pools: Pools) -> Window:
        times = np.zeros(pools.pages, np.int64), np.zeros(pools.number, np.int64)
        return Window(lists(pools, 1), *times, np.array([self.params.tau]))

    @staticmethod
    @jit
    def expired(s, pool, page, faults):
        leaves = oldest(s.order, pool, 0)
        if leaves == page:
            leaves = s.order.link[page, NEWER]
        if leaves != end(s.order, pool, 0) and s.now[pool] + 1 - s.last[leaves] >= s.tau[0]:
            drop(s.order, pool, leaves)
            return leaves
        s.now[pool] += 1
        return NONE

    @staticmethod
    @jit
    def touch(s, pool, page):
        s.last[page] = s.now[pool]
        move(s.order, pool, 0, page)

    @staticmethod
    @jit
    def admit(s, pool, page):
        s.last[page] = s.now[pool]
        push(s.order, pool, 0, page)

    @staticmethod
    @jit
    def remove(s, pool, page):
        drop(s.order, pool, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        leaves = oldest(s.order, pool, 0)
        drop(s.order, pool, leaves)
        return leaves
