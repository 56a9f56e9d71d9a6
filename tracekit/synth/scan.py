"""A sequential sweep over the pages, again and again, with an optional hot set mixed in.

The swept pages come first (PPN 0 …), the hot ones after them; after each page of the sweep come ``hot`` accesses to random
hot pages. The loop is what LRU is worst at: with fewer frames than the loop has pages, and no hot set, it misses always.
Truth: accesses, writes and distinct pages, and LRU's misses below and at the loop's size.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.metadata import VmInfo
from tracekit.synth.capture import Capture, Plan
from tracekit.synth.draws import Draws, parts, times
from tracekit.synth.params import count, fits_in_time, refuse, share

NAME = "scan"


@dataclass(frozen=True)
class Params:
    pages: int = count(65536, "pages of the sweep", low=1, high=1 << 30, unit="page")
    rounds: int = count(10, "how often the sweep is made", low=1, high=10**9)
    hot_pages: int = count(0, "pages of the hot set", low=0, high=1 << 26, unit="page")
    hot: int = count(0, "accesses to the hot set after each page of the sweep", low=0, high=1000)
    writes: float = share(0.0, "share of the accesses that are writes")
    rate: int = count(1_000_000, "accesses in a second", low=1, high=10**9, unit="1/s")

    def __post_init__(self) -> None:
        fits_in_time(NAME, self.pages * self.rounds * (1 + self.hot), self.rate)
        if (self.hot_pages > 0) != (self.hot > 0):
            refuse(NAME, f"hot_pages = {self.hot_pages} and hot = {self.hot} contradict one another", "set both or neither")


def plan(params: Params) -> Plan:
    """One access file of one VM."""
    return Plan((VmInfo("scan", params.pages + params.hot_pages),), ("access",))


def generate(params: Params, seed: int, out: Capture) -> dict[str, Any]:
    """Write the accesses; returns the truth."""
    picks, stores = Draws(NAME, seed, "hot"), Draws(NAME, seed, "write")
    stride, writes = 1 + params.hot, 0
    total = params.pages * params.rounds * stride
    hot_touched = np.zeros(params.hot_pages, np.bool_)
    for first, rows in parts(total):
        row = np.arange(first, first + rows)
        ppn = (row // stride) % params.pages
        if params.hot:
            pick = picks.below(params.hot_pages, rows)
            in_sweep = row % stride == 0
            hot_touched[pick[~in_sweep]] = True
            ppn = np.where(in_sweep, ppn, params.pages + pick)
        write = stores.chance(params.writes, rows)
        writes += int(np.count_nonzero(write))
        out.add("access", rows, t=times(first, rows, params.rate), vm=0, ppn=ppn.astype(np.uint32), write=write)
    truth: dict[str, Any] = {"accesses": total, "writes": writes, "distinct": params.pages + int(np.count_nonzero(hot_touched))}
    if not params.hot:
        truth["lru_misses"] = {"frames": params.pages, "with_fewer_frames": total, "with_these_or_more": params.pages}
    return truth
