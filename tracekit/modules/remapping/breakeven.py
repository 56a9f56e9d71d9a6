"""Moving a page when its copies have cost what moving costs, and when it promises to save more than the page it displaces."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import Site, param
from tracekit.modules.remapping.bounce import BOUNCE_COST, BYTE_COST, MOVE_COST
from tracekit.modules.remapping.low import cooled
from tracekit.modules.remapping.remap import Remap


class Paid(NamedTuple):
    """What the copies of each page have cost."""

    cost: np.ndarray  # int64 by page, ps


class BreakEven(Remap):
    """A page is moved once its copies have cost as much as moving it.

    Whatever comes, this costs less than twice what the best choice in hindsight would have, plus one copy a page: rent until
    you have paid the price, then buy (ski rental: Karlin, Manasse, Rudolph & Sleator 1988), where low memory suffices.
    """

    name = "break-even"

    def state(self, site: Site) -> Paid:
        return Paid(np.zeros(site.trace.pages, np.int64))

    @staticmethod
    @jit
    def hot(s, b, page, bytes, to_device):
        s.cost[page] += b.cost[BOUNCE_COST] + np.int64(bytes) * (2 if to_device < 0 else 1) * b.cost[BYTE_COST]
        if s.cost[page] < b.cost[MOVE_COST]:
            return False
        s.cost[page] = 0
        return True


class Margin(NamedTuple):
    """How much better a page must be than the one that leaves for it."""

    times: np.ndarray  # float64, one


class CostBenefit(Remap):
    """A page is moved if what its copies cost in the recent past, halved every half-life, exceeds the cost of moving it;
    and where another must leave, if it exceeds what that one saves by the cost of moving both.

    Use it with ``evict = "cost-benefit"`` and little low memory. The past half-lives stand for the time to come.
    """

    name = "cost-benefit"

    @dataclass(frozen=True)
    class Params(Remap.Params):
        margin: float = param(1.0, "costs of moving that a page must promise to save", low=0.0, high=1000.0)

    def state(self, site: Site) -> Margin:
        return Margin(np.array([self.params.margin]))

    @staticmethod
    @jit
    def hot(s, b, page, t):
        return cooled(b.low, page, t) * 1000 > s.times[0] * b.cost[MOVE_COST]

    @staticmethod
    @jit
    def worth(s, b, page, leaving, t):
        return (cooled(b.low, page, t) - cooled(b.low, leaving, t)) * 1000 > 2 * s.times[0] * b.cost[MOVE_COST]
