"""Page-fault frequency: memory grows by every fault, and is cut back at a fault that comes late enough.

W. W. Chu and H. Opderbeck, "The Page Fault Frequency Replacement Algorithm", AFIPS Fall Joint Computer Conference 1972.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.host import NONE
from tracekit.kernel import jit
from tracekit.module import param
from tracekit.modules.reclamation.lists import Lists, drop, end, lists, oldest
from tracekit.modules.reclamation.replacement import Pools, Replacement
from tracekit.modules.reclamation.working_set import WorkingSet


class Faults(NamedTuple):
    """The pages of each pool by their last use, the clock, and when the last fault was."""

    order: Lists
    last: np.ndarray  # int64 by page: the access at which it was last used
    now: np.ndarray  # int64 by pool: accesses so far
    fault: np.ndarray  # int64 by pool: the access that faulted last
    interval: np.ndarray  # int64, one


class Pff(WorkingSet):
    """Page-fault frequency: at a fault more than ``interval`` accesses after the one before it, all pages leave that were
    not used since that one.

    Chu & Opderbeck 1972; their P is 1/``interval``. Where frames run out, the least recently used page leaves. They leave
    P to the system; the default is tracekit's.
    """

    name = "pff"

    @dataclass(frozen=True)
    class Params(Replacement.Params):
        interval: int = param(1000, "accesses between faults beyond which memory is cut back", "access", low=1, high=1 << 40)

    def state(self, pools: Pools) -> Faults:  # pyright: ignore[reportIncompatibleMethodOverride]
        last, now = np.zeros(pools.pages, np.int64), np.zeros((2, pools.number), np.int64)
        return Faults(lists(pools, 1), last, now[0], now[1], np.array([self.params.interval]))

    @staticmethod
    @jit
    def expired(s, pool, page, faults):
        if faults and s.now[pool] + 1 - s.fault[pool] > s.interval[0]:
            leaves = oldest(s.order, pool, 0)
            if leaves != end(s.order, pool, 0) and s.last[leaves] < s.fault[pool]:
                drop(s.order, pool, leaves)
                return leaves
        s.now[pool] += 1
        if faults:
            s.fault[pool] = s.now[pool]
        return NONE
