"""Working-set trimming: a FIFO of pages in use with one reference bit, and a standby list behind it.

Windows manages memory so: when it gets short of pages it trims processes' working sets of pages that have not been used
since the last pass, and takes what it needs from the standby list of trimmed pages, oldest first; touching a standby page
brings it back without I/O. (M. E. Russinovich, D. A. Solomon, A. Ionescu, "Windows Internals", 6th edition, part 2, chapter
10; it descends from R. Turner, H. Levy, "Segmented FIFO page replacement", SIGMETRICS 1981.) A trace does not tell
processes apart, so there is one working set a pool; how much a pass trims is our choice.
"""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.modules.reclamation.lists import Lists, drop, lists, move, oldest, push
from tracekit.modules.reclamation.replacement import Pools, Replacement

_WORKING, _STANDBY = 0, 1
#: A pass trims this part of the working set.
_PART = 16


class WorkingSets(NamedTuple):
    """The lists of each pool, and the reference bits."""

    queue: Lists
    used: np.ndarray  # uint8 by page


class Trimming(Replacement):
    """Working-set trimming with a standby list, as Windows does it: a sixteenth of the working set at a time."""

    name = "trimming"

    def state(self, pools: Pools) -> WorkingSets:
        return WorkingSets(lists(pools, 2), np.zeros(pools.pages, np.uint8))

    @staticmethod
    @jit
    def touch(s, pool, page):
        if s.queue.on[page] == _STANDBY:
            move(s.queue, pool, _WORKING, page)
        s.used[page] = 1

    @staticmethod
    @jit
    def admit(s, pool, page):
        push(s.queue, pool, _WORKING, page)
        s.used[page] = 1

    @staticmethod
    @jit
    def remove(s, pool, page):
        drop(s.queue, pool, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        if s.queue.length[pool, _STANDBY] == 0:
            goal = 1 + s.queue.length[pool, _WORKING] // _PART
            while s.queue.length[pool, _STANDBY] < goal:  # twice around at most: the first time clears the bits
                first = np.uint32(oldest(s.queue, pool, _WORKING))
                if s.used[first]:
                    s.used[first] = 0
                    move(s.queue, pool, _WORKING, first)
                else:
                    move(s.queue, pool, _STANDBY, first)
        leaves = np.uint32(oldest(s.queue, pool, _STANDBY))
        drop(s.queue, pool, leaves)
        return leaves
