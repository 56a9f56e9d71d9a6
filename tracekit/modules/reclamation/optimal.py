"""OPT: the page that is next used furthest in the future leaves (Belady 1966). The bound for every policy.

It knows the future from a pass over the trace before the replay (``tracekit.future``). Next uses are counted in
accesses of the pool, so a set of them is a bitmap with one bit an access, which tells the furthest at once.
"""

from typing import NamedTuple

import numpy as np

from tracekit.future import NEVER, Future
from tracekit.kernel import jit
from tracekit.modules.machine.bitmap import bitmaps, clear, largest, mark
from tracekit.modules.reclamation.replacement import Pools, Replacement
from tracekit.modules.reclamation.slots import Slots, put, slots, take_out


class Uses(NamedTuple):
    """Next uses of the pages of each pool."""

    due: np.ndarray  # int64 by page: its next use, as of its last access (before the first: its first)
    held: np.ndarray  # int64 by page: the next use under which the pool holds it
    at: np.ndarray  # uint32: page of each access of a pool, at first[pool] + number
    first: np.ndarray  # int64 by pool
    words: np.ndarray  # uint64: the bitmaps, level by level
    level: np.ndarray  # int64 (pool, levels + 1): where each level begins in words, and the end
    idle: Slots  # pages never used again


class Optimal(Replacement):
    """Belady's optimal replacement."""

    name = "optimal"

    def state(self, pools: Pools) -> Uses:
        future = Future(self.site.trace, pools.number > 1)
        self._future = future
        words, level = bitmaps(future.count)
        return Uses(
            due=future.first_use.copy(),
            held=np.full(pools.pages, NEVER, np.int64),
            at=future.page,
            first=future.first,
            words=words,
            level=level,
            idle=slots(pools),
        )

    def derive(self, vm: np.ndarray) -> dict[str, np.ndarray]:
        """The column ``next_use`` of the next accesses."""
        return {"next_use": self._future.next_uses(vm)}

    @staticmethod
    @jit
    def see(s, page, next_use):
        s.due[page] = next_use

    @staticmethod
    @jit
    def touch(s, pool, page):
        withdraw(s, pool, page)
        enter(s, pool, page)

    @staticmethod
    @jit
    def admit(s, pool, page):
        enter(s, pool, page)

    @staticmethod
    @jit
    def remove(s, pool, page):
        withdraw(s, pool, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        leaves = last_used(s, pool)
        withdraw(s, pool, leaves)
        return leaves


@jit
def last_used(s, pool):
    """The page of the pool whose next use is furthest away."""
    idle = s.idle
    if idle.filled[pool] > 0:
        return idle.slot[idle.base[pool] + idle.filled[pool] - 1]
    return s.at[s.first[pool] + largest(s, pool)]


@jit
def enter(s, pool, page):
    """A page joins the pool, or has been used: it is held under its next use."""
    due = s.due[page]
    s.held[page] = due
    if due == NEVER:
        put(s.idle, pool, page)
    else:
        mark(s, pool, due)


@jit
def withdraw(s, pool, page):
    """A page leaves the pool, or is entered anew."""
    held = s.held[page]
    if held == NEVER:
        take_out(s.idle, pool, page)
    else:
        clear(s, pool, held)
