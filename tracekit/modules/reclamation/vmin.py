"""VMIN: a page leaves after its use if it is not used again within τ accesses. The bound for policies of variable space.

B. G. Prieve and R. S. Fabry, "VMIN: An Optimal Variable-Space Page Replacement Algorithm", CACM 19(5), 1976. It has the
faults of the working set with the same τ, in the least space.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.host import NONE
from tracekit.kernel import jit
from tracekit.module import param
from tracekit.modules.reclamation.lists import NEWER, OFF, Lists, drop, end, lists, oldest, push
from tracekit.modules.reclamation.optimal import Optimal, Uses, enter, last_used, withdraw
from tracekit.modules.reclamation.replacement import Pools, Replacement


class Ahead(NamedTuple):
    """Next uses, and the pages of each pool that leave before its next access."""

    uses: Uses
    leaving: Lists
    now: np.ndarray  # int64 by pool: accesses so far
    tau: np.ndarray  # int64, one: the window


class Vmin(Optimal):
    """VMIN: what is used again within τ accesses stays until then, all else leaves at the next access.

    Prieve & Fabry 1976: τ is the cost of a fault over that of keeping a page for one access. Where frames run out, the page
    that is next used furthest in the future leaves (OPT). They leave τ to the system; the default is the working set's.
    """

    name = "vmin"

    @dataclass(frozen=True)
    class Params(Replacement.Params):
        tau: int = param(100_000, "window: pages not used again within so many accesses of the pool leave", "access", low=1, high=1 << 40)

    def state(self, pools: Pools) -> Ahead:  # pyright: ignore[reportIncompatibleMethodOverride]
        now = np.zeros(pools.number, np.int64)
        return Ahead(super().state(pools), lists(pools, 1), now, np.array([self.params.tau]))

    @staticmethod
    @jit
    def see(s, page, next_use):
        s.uses.due[page] = next_use

    @staticmethod
    @jit
    def expired(s, pool, page, faults):
        leaves = oldest(s.leaving, pool, 0)
        if leaves == page:
            leaves = s.leaving.link[page, NEWER]
        if leaves != end(s.leaving, pool, 0):
            _forget(s, pool, leaves)
            return leaves
        s.now[pool] += 1
        return NONE

    @staticmethod
    @jit
    def touch(s, pool, page):
        _forget(s, pool, page)
        _keep(s, pool, page)

    @staticmethod
    @jit
    def admit(s, pool, page):
        _keep(s, pool, page)

    @staticmethod
    @jit
    def remove(s, pool, page):
        _forget(s, pool, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        leaves = last_used(s.uses, pool)
        _forget(s, pool, leaves)
        return leaves


@jit
def _keep(s, pool, page):
    """Hold a page under its next use; it leaves if that is too far from the running access."""
    enter(s.uses, pool, page)
    if s.uses.due[page] - (s.now[pool] - 1) > s.tau[0]:
        push(s.leaving, pool, 0, page)


@jit
def _forget(s, pool, page):
    withdraw(s.uses, pool, page)
    if s.leaving.on[page] != OFF:
        drop(s.leaving, pool, page)
