"""Linked lists for policies that keep several, such as queues and ghosts: a page is on one list of its pool at most.

The lists of a pool are numbered from 0. Each is a ring through an entry of its own, its *end*, that stands behind the
entries of the pages, so that neither an empty list nor its last page is a special case. Both links of a page stand side
by side: pages that are unlinked come in no order, and every cache line counts.
"""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.modules.reclamation.replacement import Pools

NEWER, OLDER = 0, 1
OFF = 255


class Lists(NamedTuple):
    """A fixed number of lists for each pool."""

    link: np.ndarray  # uint32 (pages + ends, 2): the newer and the older neighbour
    on: np.ndarray  # uint8 by page: the list that it is on, or OFF
    length: np.ndarray  # int64 (pool, list)
    base: np.ndarray  # int64 by pool: its first page
    size: np.ndarray  # int64 by pool: its pages


def lists(pools: Pools, count: int) -> Lists:
    """``count`` empty lists for each pool."""
    ends = pools.pages + np.arange(pools.number * count, dtype=np.uint32)
    link = np.zeros((pools.pages + len(ends), 2), np.uint32)
    link[pools.pages :] = ends[:, None]
    return Lists(link, np.full(pools.pages, OFF, np.uint8), np.zeros((pools.number, count), np.int64), pools.base, pools.size)


@jit
def end(q, pool, which):
    """The entry that closes the ring of a list."""
    return q.on.size + pool * q.length.shape[1] + which


@jit
def oldest(q, pool, which):
    """The oldest page of a list; its end if there is none."""
    return q.link[end(q, pool, which), NEWER]


@jit
def push(q, pool, which, page):
    """Put a page that is on no list at the newest end of one."""
    ends = end(q, pool, which)
    newest = q.link[ends, OLDER]
    q.link[page, NEWER] = ends
    q.link[page, OLDER] = newest
    q.link[newest, NEWER] = page
    q.link[ends, OLDER] = page
    q.on[page] = which
    q.length[pool, which] += 1


@jit
def push_oldest(q, pool, which, page):
    """Put a page that is on no list at the oldest end of one."""
    ends = end(q, pool, which)
    last = q.link[ends, NEWER]
    q.link[page, OLDER] = ends
    q.link[page, NEWER] = last
    q.link[last, OLDER] = page
    q.link[ends, NEWER] = page
    q.on[page] = which
    q.length[pool, which] += 1


@jit
def drop(q, pool, page):
    """Take a page off the list that it is on."""
    newer, older = q.link[page, NEWER], q.link[page, OLDER]
    q.link[newer, OLDER] = older
    q.link[older, NEWER] = newer
    q.length[pool, q.on[page]] -= 1
    q.on[page] = OFF


@jit
def move(q, pool, which, page):
    """Move a page from the list that it is on to the newest end of one."""
    if q.link[end(q, pool, which), OLDER] != page:
        drop(q, pool, page)
        push(q, pool, which, page)


@jit
def is_on(q, pool, which, page):
    """Whether a page, which may be another pool's or none at all, is on a list of this pool."""
    return q.base[pool] <= page < q.base[pool] + q.size[pool] and q.on[page] == which
