"""The exact LRU curve for all sizes from one pass: an access hits wherever memory holds more than its stack distance.

Memory is some 20 bytes a page of the trace, however long it is.
"""

import numpy as np

from tracekit.kernel import entry
from tracekit.modules.machine.stack import stacks, touch
from tracekit.mrc.pools import Pools
from tracekit.mrc.table import Curve


@entry
def _see(s, first, hits, cold, pool, page):
    for i in range(page.size):
        p = np.int64(pool[i])
        others = touch(s, p, page[i])
        if others < 0:
            cold[p] += 1
        else:
            hits[first[p] + others] += 1


def exact(pools: Pools) -> list[Curve]:
    """The curves of all pools."""
    s = stacks(pools.trace.pages, pools.pages)
    hits, cold = np.zeros(pools.trace.pages, np.int64), np.zeros(len(pools), np.int64)
    for pool, page in pools.rows():
        _see(s, pools.first, hits, cold, pool, page)
    mine = [hits[first : first + pages] for first, pages in zip(pools.first, pools.pages)]
    return [_curve(name, hits, int(cold)) for name, hits, cold in zip(pools.names, mine, cold) if cold]


def _curve(vm: str, hits: np.ndarray, cold: int) -> Curve:
    """``hits[d]`` are the accesses of stack distance d: they hit in d + 1 pages."""
    hits_in = np.concatenate([[0], np.cumsum(hits)])
    accesses = cold + int(hits_in[-1])
    return Curve(vm, cold, accesses, accesses, lambda sizes: ((accesses - hits_in[np.minimum(sizes, len(hits))]) / accesses, None, None))
