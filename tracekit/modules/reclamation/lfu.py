"""LFU: the page with the fewest uses since it came in leaves; among equals the one whose last use is longest ago.

The rule is folklore; this constant-time form is that of K. Shah, A. Mitra and D. Matani, "An O(1) algorithm for
implementing the LFU cache eviction scheme", 2010. No parameters.
"""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.modules.reclamation.lists import NEWER, OLDER, Lists, drop, end, lists, oldest
from tracekit.modules.reclamation.replacement import Pools, Replacement


class Ranks(NamedTuple):
    """Pages in the order in which they would leave. Pages with equally many uses stand together and are a *group*."""

    order: Lists  # "older" leaves sooner
    uses: np.ndarray  # uint32 by page
    group: np.ndarray  # uint32 by page
    last: np.ndarray  # uint32 by group: its page that would leave last
    spare: np.ndarray  # uint32: numbers of groups in no use, stacked from base[pool]
    groups: np.ndarray  # int64 by pool: groups in use


class Lfu(Replacement):
    """Least frequently used, without memory of pages that left; ties leave in LRU order.

    Shah et al. 2010. Misses equal libCacheSim's LFU exactly.
    """

    name = "lfu"

    def state(self, pools: Pools) -> Ranks:
        number, last = np.zeros(pools.pages, np.uint32), np.zeros(pools.pages, np.uint32)
        spare = np.arange(pools.pages, dtype=np.uint32)
        return Ranks(lists(pools, 1), number, number.copy(), last, spare, np.zeros(pools.number, np.int64))

    @staticmethod
    @jit
    def touch(s, pool, page):
        link = s.order.link
        group = s.group[page]
        last = s.last[group]
        beyond = link[last, NEWER]
        joins = beyond != end(s.order, pool, 0) and s.uses[beyond] == s.uses[page] + 1
        if not joins and last == page:
            before = link[page, OLDER]
            if before == end(s.order, pool, 0) or s.group[before] != group:  # alone: the whole group moves up
                s.uses[page] += 1
                return
        _leave(s, pool, page)
        if joins:
            _follow(s, pool, page, s.last[s.group[beyond]], s.group[beyond])
        else:
            _follow(s, pool, page, last if last != page else link[beyond, OLDER], _new_group(s, pool))
        s.uses[page] += 1

    @staticmethod
    @jit
    def admit(s, pool, page):
        first = oldest(s.order, pool, 0)
        ends = end(s.order, pool, 0)
        s.uses[page] = 1
        if first != ends and s.uses[first] == 1:
            _follow(s, pool, page, s.last[s.group[first]], s.group[first])
        else:
            _follow(s, pool, page, ends, _new_group(s, pool))

    @staticmethod
    @jit
    def remove(s, pool, page):
        _leave(s, pool, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        leaves = oldest(s.order, pool, 0)
        _leave(s, pool, leaves)
        return leaves


@jit
def _new_group(s, pool):
    group = s.spare[s.order.base[pool] + s.groups[pool]]
    s.groups[pool] += 1
    return group


@jit
def _leave(s, pool, page):
    """Take a page out of the order and out of its group, which ends if it is the last."""
    group = s.group[page]
    if s.last[group] == page:
        before = s.order.link[page, OLDER]
        if before != end(s.order, pool, 0) and s.group[before] == group:
            s.last[group] = before
        else:
            s.groups[pool] -= 1
            s.spare[s.order.base[pool] + s.groups[pool]] = group
    drop(s.order, pool, page)


@jit
def _follow(s, pool, page, other, group):
    """Put a page behind another one (or first, behind the end), as the last of a group."""
    q = s.order
    beyond = q.link[other, NEWER]
    q.link[page, OLDER] = other
    q.link[page, NEWER] = beyond
    q.link[other, NEWER] = page
    q.link[beyond, OLDER] = page
    q.on[page] = 0
    q.length[pool, 0] += 1
    s.group[page] = group
    s.last[group] = page
