"""OPT: the page that is next used furthest in the future leaves (Belady 1966). The bound for every policy.

It knows the future from a pass over the trace before the replay (``tracekit.future``). Next uses are counted in
accesses of the pool, so a set of them is a bitmap with one bit an access; summary levels above it (a bit says that
a word below is not zero) find the furthest one in a handful of steps, without a heap.
"""

from typing import NamedTuple

import numpy as np

from tracekit.future import NEVER, Future
from tracekit.kernel import jit
from tracekit.modules.reclamation.replacement import Pools, Replacement
from tracekit.modules.reclamation.slots import Slots, put, slots, take_out

_ONE = np.uint64(1)
_ZERO = np.uint64(0)


class Uses(NamedTuple):
    """Next uses of the pages of each pool."""

    due: np.ndarray  # int64 by page: its next use, as of its last access (before the first: its first)
    held: np.ndarray  # int64 by page: the next use under which the pool holds it
    at: np.ndarray  # uint32: page of each access of a pool, at first[pool] + number
    first: np.ndarray  # int64 by pool
    words: np.ndarray  # uint64: the bitmaps, level by level
    level: np.ndarray  # int64 (pool, levels + 1): where each level begins in words, and the end
    idle: Slots  # pages never used again


@jit
def _mark(s, pool, number):
    """Enter a next use."""
    i = number
    for level in range(s.level.shape[1] - 1):
        word = s.level[pool, level] + (i >> 6)
        before = s.words[word]
        s.words[word] = before | (_ONE << np.uint64(i & 63))
        if before != _ZERO:
            return
        i >>= 6


@jit
def _clear(s, pool, number):
    """Take a next use out."""
    i = number
    for level in range(s.level.shape[1] - 1):
        word = s.level[pool, level] + (i >> 6)
        s.words[word] &= ~(_ONE << np.uint64(i & 63))
        if s.words[word] != _ZERO:
            return
        i >>= 6


@jit
def _highest(word):
    """Number of the highest bit set."""
    bit = 0
    for step in (32, 16, 8, 4, 2, 1):
        if word >> np.uint64(step) != _ZERO:
            word >>= np.uint64(step)
            bit += step
    return bit


@jit
def _furthest(s, pool):
    """The furthest next use entered."""
    i = 0
    for level in range(s.level.shape[1] - 2, -1, -1):
        i = (i << 6) | _highest(s.words[s.level[pool, level] + i])
    return i


class Optimal(Replacement):
    """Belady's optimal replacement."""

    name = "optimal"

    def state(self, pools: Pools) -> Uses:
        future = Future(self.site.trace, pools.number > 1)
        self._future = future
        levels = max(1, *(_levels(int(n)) for n in future.count))
        level = np.zeros((pools.number, levels + 1), np.int64)
        end = 0
        for pool in range(pools.number):
            words = int(future.count[pool])
            for k in range(levels):
                words = (words >> 6) + 1
                level[pool, k] = end
                end += words
            level[pool, levels] = end
        return Uses(
            due=future.first_use.copy(),
            held=np.full(pools.pages, NEVER, np.int64),
            at=future.page,
            first=future.first,
            words=np.zeros(end, np.uint64),
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
    return s.at[s.first[pool] + _furthest(s, pool)]


@jit
def enter(s, pool, page):
    """A page joins the pool, or has been used: it is held under its next use."""
    due = s.due[page]
    s.held[page] = due
    if due == NEVER:
        put(s.idle, pool, page)
    else:
        _mark(s, pool, due)


@jit
def withdraw(s, pool, page):
    """A page leaves the pool, or is entered anew."""
    held = s.held[page]
    if held == NEVER:
        take_out(s.idle, pool, page)
    else:
        _clear(s, pool, held)


def _levels(accesses: int) -> int:
    levels = 1
    while accesses >> (6 * levels):
        levels += 1
    return levels
