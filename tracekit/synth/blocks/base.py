"""What a block is: something that a VM does with a region of its memory for a while.

A block is asked for its rows stretch by stretch, in order. What it answers must not depend on where stretches are cut: times
follow from the number of a row, and draws are read in the rows' order.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tracekit.synth.draws import Draws

SECOND = 10**9
#: What a written page holds from then on: a content that no page has had, zeros, or what its region says.
NEW, ZERO, OWN = 1, 2, 3


@dataclass(frozen=True)
class Rows:
    """Rows of a stretch in time order: times (ns), pages of the region (from 0), and whether the VM or its device writes them.

    ``device`` holds the further columns of I/O; rows without are accesses.
    """

    t: np.ndarray
    index: np.ndarray
    write: np.ndarray
    device: dict[str, Any] | None = None


@dataclass(frozen=True)
class Site:
    """Where a block works: how many pages, from when on, until when (ns); PPNs of pages; its streams of draws by purpose."""

    pages: int
    begins: int
    ends: int
    place: Callable[[np.ndarray], np.ndarray]
    draws: Callable[[str], Draws]


class Block(ABC):
    """Base of all blocks. ``Params`` are its keys in a recipe, beside those that all blocks have."""

    name: ClassVar[str]
    kind: ClassVar[str] = "access"
    Params: ClassVar[type]
    #: What pages hold that it writes: NEW, ZERO or OWN.
    leaves: ClassVar[int] = NEW

    def __init__(self, params: Any, site: Site):
        self.params, self.site = params, site

    @classmethod
    def check(cls, params: Any, pages: int) -> str:
        """What makes these parameters impossible in a region of ``pages``, and what to do; empty if nothing does."""
        return ""

    @classmethod
    def length(cls, params: Any, pages: int) -> int | None:
        """How long the block takes if the recipe does not say (ns); None: as long as the capture lasts."""
        return None

    @classmethod
    def rate(cls, params: Any, pages: int) -> float:
        """About how many rows a second it makes, by which stretches are cut to fit into memory."""
        return float(params.rate)

    @classmethod
    def phases(cls, params: Any, pages: int, begins: int, ends: int) -> list[tuple[int, int]]:
        """(t, pages it works on) of its phases; the first begins with the block."""
        return [(begins, pages)]

    @abstractmethod
    def rows(self, begins: int, ends: int) -> Rows | None:
        """Its rows in begins ≤ t < ends; None if there are none."""

    def truth(self) -> dict[str, float]:
        """What else it knows of its rows, by quantity of ``tracekit.schema.QUANTITIES``; asked at its end."""
        return {}


def in_time(begins: int, ends: int, first: int, per: int, number: int) -> tuple[int, int]:
    """Which of ``number`` rows spread evenly over ``per`` ns from ``first`` on lie in begins ≤ t < ends: from … below.

    Row k lies at first + ⌊k per / number⌋.
    """
    low, high = (min(max(-(-(t - first) * number // per), 0), number) for t in (begins, ends))
    return low, high
