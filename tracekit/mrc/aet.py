"""AET: the curve from reuse times alone, without a stack (Hu et al., ATC 2016).

P(t) is the share of accesses whose page is not used again within t accesses before (first uses count as never). A page
sinks in the LRU stack at a speed of P, so it is evicted from c pages after the time T for which P sums to c over
0 … T − 1, and the miss ratio is P(T). All accesses are looked at; memory is 8 bytes a page.
"""

import numpy as np

from tracekit.kernel import entry
from tracekit.mrc.bins import BINS, bin_of, edges
from tracekit.mrc.pools import Pools
from tracekit.mrc.table import Curve


@entry
def _see(last, now, reuses, cold, pool, page):
    for i in range(page.size):
        p, x = np.int64(pool[i]), page[i]
        time = now[p]
        now[p] = time + 1
        if last[x] < 0:
            cold[p] += 1
        else:
            reuses[p, bin_of(time - last[x])] += 1
        last[x] = time


def aet(pools: Pools) -> list[Curve]:
    """The curves of all pools."""
    last, now, cold = np.full(pools.trace.pages, -1, np.int64), *np.zeros((2, len(pools)), np.int64)
    reuses = np.zeros((len(pools), BINS), np.int64)
    for pool, page in pools.rows():
        _see(last, now, reuses, cold, pool, page)
    return [_curve(*each) for each in zip(pools.names, reuses, cold.tolist(), now.tolist()) if each[3]]


def _curve(vm: str, reuses: np.ndarray, cold: int, accesses: int) -> Curve:
    start = edges()
    width = np.diff(start)
    later = 1.0 - np.concatenate([[0], np.cumsum(reuses)]) / accesses  # P(t − 1) at t = start; evenly falling between
    summed = np.concatenate([[0.0], np.cumsum(width * later[:-1] + (width + 1) / 2 * np.diff(later))])

    def at(sizes: np.ndarray) -> tuple[np.ndarray, None, None]:
        time = np.interp(sizes, summed, start)
        return np.interp(time + 1, start, later), None, None

    return Curve(vm, cold, accesses, accesses, at)
