"""Accesses whose popularity follows Zipf's law: the page of rank k gets a share proportional to k^−α.

Each VM has its own random order of popularity, so that popular pages lie anywhere. Truth: accesses, writes and distinct
pages of each VM; its most popular page, how often it was touched and how often it should be (share of the VM's accesses).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.metadata import VmInfo
from tracekit.synth.capture import Capture, Plan
from tracekit.synth.draws import Draws, parts, times
from tracekit.synth.params import count, fits_in_time, number, refuse, share
from tracekit.synth.zipf_table import cumulative_weights

NAME = "zipf"


@dataclass(frozen=True)
class Params:
    vms: int = count(1, "VMs; each access is of a random one", low=1, high=1000)
    pages: int = count(65536, "size of each VM", low=1, high=1 << 26, unit="page")
    accesses: int = count(1_000_000, "accesses of all VMs together", low=1, high=10**12)
    alpha: float = number(1.0, "skew: 0 is uniform, larger is steeper", low=0.0, high=10.0)
    writes: float = share(0.25, "share of the accesses that are writes")
    rate: int = count(1_000_000, "accesses of all VMs in a second", low=1, high=10**9, unit="1/s")

    def __post_init__(self) -> None:
        fits_in_time(NAME, self.accesses, self.rate)
        if self.vms * self.pages > 1 << 28:
            refuse(NAME, f"{self.vms} VMs of {self.pages} pages exceed {1 << 28} pages in all", "make them fewer or smaller")


def plan(params: Params) -> Plan:
    """One access file."""
    return Plan(tuple(VmInfo(f"vm{i}", params.pages) for i in range(params.vms)), ("access",))


def generate(params: Params, seed: int, out: Capture) -> dict[str, Any]:
    """Write the accesses; returns the truth."""
    table = cumulative_weights(params.pages, params.alpha)
    by_rank = np.concatenate([Draws(NAME, seed, "popularity", i).permutation(params.pages).astype(np.uint32) for i in range(params.vms)])
    who, ranks, stores = (Draws(NAME, seed, purpose) for purpose in ("vm", "rank", "write"))
    touched = np.zeros((params.vms, params.pages), np.bool_)
    accesses, writes, top = np.zeros((3, params.vms), np.int64)
    for first, rows in parts(params.accesses):
        vm = who.below(params.vms, rows)
        rank = np.searchsorted(table, ranks.below(int(table[-1]), rows), "right")
        ppn = by_rank[vm * params.pages + rank]
        write = stores.chance(params.writes, rows)
        out.add("access", rows, t=times(first, rows, params.rate), vm=vm, ppn=ppn, write=write)
        touched[vm, ppn] = True
        accesses += np.bincount(vm, minlength=params.vms)
        writes += np.bincount(vm[write], minlength=params.vms)
        top += np.bincount(vm[rank == 0], minlength=params.vms)
    return {
        "hottest_share": float(table[0]) / float(table[-1]),
        "vms": [
            {
                "vm": f"vm{i}",
                "accesses": int(accesses[i]),
                "writes": int(writes[i]),
                "distinct": int(np.count_nonzero(touched[i])),
                "hottest": {"ppn": int(by_rank[i * params.pages]), "accesses": int(top[i])},
            }
            for i in range(params.vms)
        ],
    }
