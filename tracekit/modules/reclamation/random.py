"""Random: any resident page leaves, each as likely. ESX's own choice (paper section 3.3), made to avoid bad interplay
with the guest's policy, and because paging should be rare.
"""

from typing import NamedTuple

import numpy as np

from tracekit import rng
from tracekit.kernel import jit
from tracekit.modules.reclamation.replacement import Pools, Replacement


class Slots(NamedTuple):
    """The pages of each pool in no order: ``slot[base[pool] … + filled[pool] − 1]``."""

    slot: np.ndarray  # uint32: pages
    place: np.ndarray  # uint32 by page: its slot
    base: np.ndarray  # int64 by pool
    filled: np.ndarray  # int64 by pool
    rng: np.ndarray  # uint64 (pool, 2)


class Random(Replacement):
    """Uniformly random resident page."""

    name = "random"

    def state(self, pools: Pools) -> Slots:
        pages, filled = np.zeros(pools.pages, np.uint32), np.zeros(pools.number, np.int64)
        return Slots(pages, pages.copy(), pools.base, filled, self.site.streams(pools.number, "victim"))

    @staticmethod
    @jit
    def admit(s, pool, page):
        i = s.base[pool] + s.filled[pool]
        s.slot[i] = page
        s.place[page] = i
        s.filled[pool] += 1

    @staticmethod
    @jit
    def remove(s, pool, page):
        s.filled[pool] -= 1
        i, last = s.place[page], s.slot[s.base[pool] + s.filled[pool]]
        s.slot[i] = last
        s.place[last] = i

    @staticmethod
    @jit
    def victim(s, pool, page):
        leaves = s.slot[s.base[pool] + rng.below(s.rng[pool], s.filled[pool])]
        s.filled[pool] -= 1
        i, last = s.place[leaves], s.slot[s.base[pool] + s.filled[pool]]
        s.slot[i] = last
        s.place[last] = i
        return leaves
