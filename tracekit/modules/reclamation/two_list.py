"""Linux's active and inactive lists, with the refault distance.

Documented in the head of Linux's mm/workingset.c ("Double CLOCK lists", J. Weiner) and in M. Gorman, "Understanding the Linux
Virtual Memory Manager", 2004, chapter 10.
"""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.modules.reclamation.lists import Lists, drop, lists, move, oldest, push
from tracekit.modules.reclamation.replacement import Pools, Replacement

_INACTIVE, _ACTIVE = 0, 1
_NEVER = -1
#: Pages of a GiB: the unit by which the inactive list may be a smaller part of a larger memory.
_GIB = 1 << 18


class TwoLists(NamedTuple):
    """The lists of each pool, two bits a page, and the age by which refault distances are measured."""

    queue: Lists
    accessed: np.ndarray  # uint8 by page: the accessed bit of the page table
    referenced: np.ndarray  # uint8 by page: it was found accessed on the inactive list
    age: np.ndarray  # int64 by pool: pages that left or became active so far
    left: np.ndarray  # int64 by page: the age when it left, or _NEVER


class TwoList(Replacement):
    """Linux's two lists: pages begin on the inactive list, become active when they are found used twice there, and the oldest
    inactive page leaves. A page that comes back becomes active at once if the active pages were what it lacked room for.

    As the kernel (since 5.9) treats mapped pages: the first access is the fault's own, so a page is spared once before a
    second one makes it active; pages leave the active list in order, used or not, while it is longer than the inactive one
    (from 1 GiB of pages on, than √(10 GiB) times that). A trace of pages does not tell anonymous memory from files or
    executables from data, nor clean pages from dirty ones, so there is one pair of lists; pages are looked at one at a
    time, where the kernel takes 32 at once.
    """

    name = "two-list"

    def state(self, pools: Pools) -> TwoLists:
        bits = np.zeros((2, pools.pages), np.uint8)
        return TwoLists(lists(pools, 2), bits[0], bits[1], np.zeros(pools.number, np.int64), np.full(pools.pages, _NEVER, np.int64))

    @staticmethod
    @jit
    def touch(s, pool, page):
        s.accessed[page] = 1

    @staticmethod
    @jit
    def admit(s, pool, page):
        s.accessed[page] = 1
        s.referenced[page] = 0
        if s.left[page] != _NEVER and s.age[pool] - s.left[page] <= s.queue.length[pool, _ACTIVE]:
            push(s.queue, pool, _ACTIVE, page)
            s.age[pool] += 1
        else:
            push(s.queue, pool, _INACTIVE, page)
        s.left[page] = _NEVER

    @staticmethod
    @jit
    def remove(s, pool, page):
        drop(s.queue, pool, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        q = s.queue
        while True:
            while _is_inactive_low(s, pool):
                leaves = oldest(q, pool, _ACTIVE)
                s.accessed[leaves] = 0
                move(q, pool, _INACTIVE, leaves)
            leaves = oldest(q, pool, _INACTIVE)
            if s.accessed[leaves] == 0:
                drop(q, pool, leaves)
                s.left[leaves] = s.age[pool]
                s.age[pool] += 1
                return leaves
            s.accessed[leaves] = 0
            if s.referenced[leaves] == 1:
                move(q, pool, _ACTIVE, leaves)
                s.age[pool] += 1
            else:
                s.referenced[leaves] = 1
                move(q, pool, _INACTIVE, leaves)


@jit
def _is_inactive_low(s, pool):
    inactive, active = s.queue.length[pool, _INACTIVE], s.queue.length[pool, _ACTIVE]
    gib = (inactive + active) // _GIB
    ratio = np.int64(np.sqrt(10.0 * gib)) if gib > 0 else 1
    return inactive * ratio < active
