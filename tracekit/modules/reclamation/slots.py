"""Unordered sets of pages, one a pool: a page goes in at the end, and the last one fills the place of one that goes."""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.modules.reclamation.replacement import Pools


class Slots(NamedTuple):
    """The pages of each pool in no order: ``slot[base[pool] … + filled[pool] − 1]``."""

    slot: np.ndarray  # uint32: pages
    place: np.ndarray  # uint32 by page: its slot
    base: np.ndarray  # int64 by pool
    filled: np.ndarray  # int64 by pool


def slots(pools: Pools) -> Slots:
    """Empty sets."""
    return Slots(np.zeros(pools.pages, np.uint32), np.zeros(pools.pages, np.uint32), pools.base, np.zeros(pools.number, np.int64))


@jit
def put(q, pool, page):
    """Add a page that is not in the set."""
    i = q.base[pool] + q.filled[pool]
    q.slot[i] = page
    q.place[page] = i
    q.filled[pool] += 1


@jit
def take_out(q, pool, page):
    """Remove a page that is in the set."""
    q.filled[pool] -= 1
    i, last = q.place[page], q.slot[q.base[pool] + q.filled[pool]]
    q.slot[i] = last
    q.place[last] = i
