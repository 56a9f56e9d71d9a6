"""A network card that reaches only 4 GiB, in a VM whose memory goes beyond (paper section 7, which has no data of its own).

Three devices. ``nic`` (32-bit) moves packets through a ring of few buffers, used over and over: remapping those pages saves
nearly all copies. ``disk`` (32-bit) streams through fresh pages: remapping saves nothing until it comes round again.
``nvme`` (64-bit) never bounces. All pages lie above 4 GiB; the captured page number is taken for the machine page.
Truth: transfers, bytes, bounced transfers and copied bytes by device with bouncing alone (a transfer both ways is copied
twice), and what is copied still if a page moves low once its copies exceed ``threshold``, the transfer that exceeds it being paid.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.metadata import VmInfo
from tracekit.synth.capture import Capture, Plan
from tracekit.synth.draws import Draws, parts, times
from tracekit.synth.params import count, fits_in_time, flag, memory_size, refuse, share
from tracekit.units import PAGE_BYTES

NAME = "nic"
REACH = (1 << 32) - 1
FIRST_HIGH = (REACH + 1) // PAGE_BYTES
DEVICES = ("nic", "disk", "nvme")
MASKS = np.array([REACH, REACH, (1 << 64) - 1], np.uint64)
PACKET = (60, 1514)  # bytes of the smallest and the largest Ethernet frame


@dataclass(frozen=True)
class Params:
    memory: int = memory_size(8 << 30, "size of the VM; what lies beyond 4 GiB is used", low=4096, high=1 << 40)
    ring: int = count(8, "buffers of the card's ring", low=1, high=1 << 20, unit="page")
    transfers: int = count(100_000, "transfers of all devices", low=1, high=10**12)
    stream: float = share(0.1, "share of the transfers made by the 32-bit streaming disk")
    wide: float = share(0.1, "share of the transfers made by the 64-bit device")
    to_device: float = share(0.5, "share of the one-way transfers in which the device reads memory")
    both_ways: float = share(0.0, "share of the transfers that go both ways")
    forced: bool = flag(False, "every transfer is bounced wherever it lies (swiotlb=force)")
    rate: int = count(50_000, "transfers in a second", low=1, high=10**9, unit="1/s")
    threshold: int = count(8, "copies of a page, beyond which the truth moves it low", low=0, high=1 << 30)

    def __post_init__(self) -> None:
        fits_in_time(NAME, self.transfers, self.rate)
        high = self.memory // PAGE_BYTES - FIRST_HIGH
        if high < 2 * self.ring:
            refuse(NAME, f"{max(high, 0)} pages beyond 4 GiB cannot hold a ring of {self.ring} and a stream", "enlarge memory")
        if self.stream + self.wide > 1:
            refuse(NAME, f"stream + wide = {self.stream + self.wide:g}, more than all transfers", "lower either")


def plan(params: Params) -> Plan:
    """One I/O file of one VM."""
    return Plan((VmInfo(NAME, params.memory // PAGE_BYTES),), ("io",), devices=DEVICES)


def generate(params: Params, seed: int, out: Capture) -> dict[str, Any]:
    """Write the transfers; returns the truth."""
    choose, sizes, ways, places = (Draws(NAME, seed, purpose) for purpose in ("device", "bytes", "direction", "page"))
    layout, copies = Layout(params, seed), Copies(params)
    for first, rows in parts(params.transfers):
        which = choose.uniform(rows)
        device = np.where(which < params.stream, 1, np.where(which < params.stream + params.wide, 2, 0))
        size = np.where(device == 0, PACKET[0] + sizes.below(PACKET[1] - PACKET[0] + 1, rows), PAGE_BYTES)
        way = ways.uniform(2 * rows).reshape(rows, 2)
        both, to_device = way[:, 0] < params.both_ways, way[:, 1] < params.to_device
        ppn = layout.pages(device, places.uniform(rows))
        copies.count(device, ppn, size, both)
        out.add(
            "io", rows, t=times(first, rows, params.rate), vm=0, ppn=ppn.astype(np.uint32), device=device,
            to_device=np.where(both, -1, to_device), bytes=size, dma_mask=MASKS[device], forced=params.forced,
        )  # fmt: skip
    return copies.truth()


class Layout:
    """Where buffers lie: the ring and the 64-bit device's in the lower half beyond 4 GiB, the stream in the upper half."""

    def __init__(self, params: Params, seed: int):
        self._half = (params.memory // PAGE_BYTES - FIRST_HIGH) // 2
        slot = self._half // params.ring
        self._ring = FIRST_HIGH + np.arange(params.ring) * slot + Draws(NAME, seed, "ring").below(slot, params.ring)
        self._used = [0, 0]

    def pages(self, device: np.ndarray, random: np.ndarray) -> np.ndarray:
        """Pages of transfers: rings and streams go on from where they were; ``random`` in [0, 1) places the others."""
        ppn = FIRST_HIGH + (random * self._half).astype(np.int64)
        for code in (0, 1):
            mine = device == code
            turn = self._used[code] + np.arange(np.count_nonzero(mine))
            ppn[mine] = self._ring[turn % len(self._ring)] if code == 0 else FIRST_HIGH + self._half + turn % self._half
            self._used[code] += len(turn)
        return ppn


class Copies:
    """Counts copies by device, and those still made by a host that moves hot pages low."""

    def __init__(self, params: Params):
        self._params = params
        self._by_page = np.zeros(params.memory // PAGE_BYTES - FIRST_HIGH, np.int64)
        self._totals = np.zeros((len(DEVICES), 4), np.int64)  # transfers, bytes, bounced, copied bytes
        self._still = 0

    def count(self, device: np.ndarray, ppn: np.ndarray, size: np.ndarray, both: np.ndarray) -> None:
        """Count transfers in order."""
        bounced = (device != 2) | self._params.forced
        copied = size * (1 + both) * bounced
        for total, values in zip(self._totals.T, (np.ones_like(size), size, bounced.astype(np.int64), copied)):
            np.add.at(total, device, values)
        if self._params.forced:
            self._still += int(copied.sum())
        else:
            before = copies_before(ppn[bounced] - FIRST_HIGH, 1 + both[bounced], self._by_page)
            self._still += int(copied[bounced][before <= self._params.threshold].sum())

    def truth(self) -> dict[str, Any]:
        """The figures as JSON."""
        names = ("transfers", "bytes", "bounced", "copied_bytes")
        forced = self._params.forced
        return {
            "devices": [
                {"device": device} | dict(zip(names, map(int, row))) | {"forced_bytes": int(row[3]) if forced else 0}
                for device, row in zip(DEVICES, self._totals)
            ],
            "remapping": {
                "threshold": self._params.threshold,
                "remapped": int(np.count_nonzero(self._by_page > self._params.threshold)),
                "copied_bytes": self._still,
            },
        }


def copies_before(page: np.ndarray, copies: np.ndarray, by_page: np.ndarray) -> np.ndarray:
    """How many copies each row's page has had before it (int64); adds the rows' ``copies`` to ``by_page``."""
    order = np.argsort(page, kind="stable")
    found, first, rows = np.unique(page[order], return_index=True, return_counts=True)
    running = np.concatenate([[0], np.cumsum(copies[order])])
    before = np.empty(len(page), np.int64)
    before[order] = running[:-1] + np.repeat(by_page[found] - running[first], rows)
    by_page[found] += running[first + rows] - running[first]
    return before
