"""Random: any resident page leaves, each as likely. ESX's own choice (paper section 3.3), made to avoid bad interplay
with the guest's policy, and because paging should be rare.
"""

from typing import NamedTuple

import numpy as np

from tracekit import rng
from tracekit.kernel import jit
from tracekit.modules.reclamation.replacement import Pools, Replacement
from tracekit.modules.reclamation.slots import Slots, put, slots, take_out


class Draws(NamedTuple):
    """The pages of each pool, and a random stream for each."""

    pages: Slots
    rng: np.ndarray  # uint64 (pool, 2)


class Random(Replacement):
    """Uniformly random resident page."""

    name = "random"

    def state(self, pools: Pools) -> Draws:
        return Draws(slots(pools), self.site.streams(pools.number, "victim"))

    @staticmethod
    @jit
    def admit(s, pool, page):
        put(s.pages, pool, page)

    @staticmethod
    @jit
    def remove(s, pool, page):
        take_out(s.pages, pool, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        q = s.pages
        leaves = q.slot[q.base[pool] + rng.below(s.rng[pool], q.filled[pool])]
        take_out(q, pool, leaves)
        return leaves
