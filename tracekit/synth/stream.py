"""A disk of 32 bits that streams through high memory: the case in which remapping saves almost nothing.

Transfers of ``segment`` bytes go through the pages beyond 4 GiB in order, as reads of large files fill the page cache, so a
page comes round again only when the memory is used up. They begin at any sector of 512 bytes, so that most cross one page
more; each row is one page of one transfer. Truth: transfers, rows, bytes and copied bytes with bouncing alone, pages used,
how often the busiest page is copied, and what is copied still if a page moves low once its copies exceed ``threshold``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.metadata import VmInfo
from tracekit.synth.capture import Capture, Plan
from tracekit.synth.draws import Draws, parts
from tracekit.synth.nic import FIRST_HIGH, REACH, copies_before
from tracekit.synth.params import count, fits_in_time, memory_size, refuse, share
from tracekit.transfers import split_pages
from tracekit.units import PAGE_BYTES

NAME = "stream"
SECTOR = 512


@dataclass(frozen=True)
class Params:
    memory: int = memory_size(8 << 30, "size of the VM; what lies beyond 4 GiB is used", low=4096, high=1 << 40)
    segment: int = count(128 * 1024, "bytes of a transfer", low=SECTOR, high=1 << 24, unit="byte")
    transfers: int = count(10_000, "transfers", low=1, high=10**9)
    to_device: float = share(0.0, "share of the transfers in which the device reads memory")
    rate: int = count(4_000, "transfers in a second", low=1, high=10**9, unit="1/s")
    threshold: int = count(8, "copies of a page, beyond which the truth moves it low", low=0, high=1 << 30)

    def __post_init__(self) -> None:
        fits_in_time(NAME, self.transfers, self.rate)
        if self.memory <= (FIRST_HIGH + 1) * PAGE_BYTES + self.segment:
            refuse(NAME, f"{self.memory} bytes hold no transfer of {self.segment} beyond 4 GiB", "enlarge memory")


def plan(params: Params) -> Plan:
    """One I/O file of one VM."""
    return Plan((VmInfo(NAME, params.memory // PAGE_BYTES),), ("io",), devices=("disk",))


def generate(params: Params, seed: int, out: Capture) -> dict[str, Any]:
    """Write the transfers; returns the truth."""
    starts, ways = Draws(NAME, seed, "start"), Draws(NAME, seed, "direction")
    high = params.memory // PAGE_BYTES - FIRST_HIGH
    stride = -(-params.segment // PAGE_BYTES) + 1  # pages that a transfer may touch
    slots = high // stride
    copies = np.zeros(high, np.int64)
    rows = size = still = 0
    for first, number in parts(params.transfers, 1 << 15):
        turn = np.arange(first, first + number)
        offset = starts.below(PAGE_BYTES // SECTOR, number) * SECTOR
        address = (FIRST_HIGH + turn % slots * stride) * PAGE_BYTES + offset
        transfer, ppn, piece = split_pages(address, np.full(number, params.segment))
        to_device = ways.chance(params.to_device, number)[transfer]
        t = turn * 10**9 // params.rate
        out.add("io", len(ppn), t=t[transfer], vm=0, ppn=ppn.astype(np.uint32), device=0, to_device=to_device,
                bytes=piece, dma_mask=np.uint64(REACH), forced=False)  # fmt: skip
        rows, size = rows + len(ppn), size + int(piece.sum())
        still += int(piece[copies_before(ppn - FIRST_HIGH, np.ones(len(ppn), np.int64), copies) <= params.threshold].sum())
    return {
        "transfers": params.transfers,
        "rows": rows,
        "bytes": size,
        "copied_bytes": size,
        "pages": int(np.count_nonzero(copies)),
        "most_copies": int(copies.max()),
        "remapping": {"threshold": params.threshold, "remapped": int(np.count_nonzero(copies > params.threshold)), "copied_bytes": still},
    }
