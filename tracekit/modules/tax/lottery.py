"""Lottery scheduling of memory: tickets are shares; a lottery names who gets a piece, an inverse lottery who loses one.

(Waldspurger & Weihl, "Lottery Scheduling: Flexible Proportional-Share Resource Management", OSDI 1994, sections 6.2 and 6.3.)
"""

from dataclasses import dataclass

import numpy as np

from tracekit import rng
from tracekit.module import Size, pages_of, param
from tracekit.modules.tax.allocation import Allocation


class Lottery(Allocation):
    """At each reallocation pieces change hands: the loser is drawn by (1 − t/T) × the part of memory that it holds, the winner
    by its tickets t among those that have room. Where pieces come back to whoever lost them nothing changes.
    """

    name = "lottery"

    @dataclass(frozen=True)
    class Params(Allocation.Params):
        piece: Size = param(Size(1 << 20), "what one draw takes or gives", "byte", low=4096)
        turnover: float = param(5.0, "part of the memory that changes hands at each reallocation", "%", low=0.0, high=100.0)

    def _set_up(self) -> None:
        self._rng = self.site.stream("lottery")
        self._pieces = np.zeros(len(self.site.host.vm), np.int64)

    def divide(self, least: np.ndarray, most: np.ndarray, memory: int) -> np.ndarray:
        held, shares = np.clip(self._pieces, least, most), self.site.host.shares
        piece = pages_of(self.params.piece)
        lower = int(min(memory, most.sum()) * (1 - self.params.turnover / 100))
        while (total := int(held.sum())) > max(lower, int(least.sum())):
            weights = losing(shares, held, least)
            vm = draw(self._rng, weights)
            held[vm] -= min(piece, int(held[vm] - least[vm]), total - lower)
        while (total := int(held.sum())) < min(memory, int(most.sum())):
            vm = draw(self._rng, np.where(held < most, shares, 0).astype(float))
            held[vm] += min(piece, int(most[vm] - held[vm]), memory - total)
        self._pieces = held
        return held.copy()


def losing(shares: np.ndarray, held: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Weights of the inverse lottery; VMs at their minimum are not drawn. A VM alone, or with all tickets, loses if it must."""
    can = held > least
    tickets = np.where(held > 0, shares, 0)
    weights = np.where(can, (1.0 - tickets / max(int(tickets.sum()), 1)) * held / max(int(held.sum()), 1), 0.0)
    return weights if weights.sum() > 0 else can.astype(float)


def draw(stream: np.ndarray, weights: np.ndarray) -> int:
    """An index, drawn with a probability in proportion to ``weights``."""
    ends = np.cumsum(weights)
    with np.errstate(over="ignore"):  # uncompiled, the generator's products are meant to overflow
        point = rng.below(stream, 1 << 52) / (1 << 52) * ends[-1]
    return int(np.searchsorted(ends, point, side="right"))
