"""Blocks of DMA: what devices transfer to and from pages of a region, and what a host that bounces would copy."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.synth.blocks.base import SECOND, Block, Rows, Site
from tracekit.synth.draws import times
from tracekit.synth.params import count, flag, share, text
from tracekit.transfers import split_pages
from tracekit.units import PAGE_BYTES


@dataclass(frozen=True)
class DmaParams:
    device: str = text("device", "name of the device")
    reach: int = count(32, "bits of its addresses: it reaches machine memory below 2 to this power", low=12, high=64)
    rate: int = count(10_000, "transfers in a second", low=1, high=10**9, unit="1/s")
    transfers: int = count(0, "transfers in all; 0: as many as its time holds", low=0, high=10**12)
    to_device: float = share(0.5, "share of the one-way transfers in which the device reads memory")
    both_ways: float = share(0.0, "share of the transfers that go both ways")
    forced: bool = flag(False, "every transfer is bounced wherever it lies (swiotlb=force)")
    threshold: int = count(8, "copies of a page, beyond which the truth moves it into reach", low=0, high=1 << 30)


class Dma(Block):
    """Transfer number i lies at ⌊i/rate⌋ after the block's start. The truth takes the guest's page for the machine's."""

    kind = "io"
    Params = DmaParams

    def __init__(self, params: Any, site: Site):
        super().__init__(params, site)
        self.mask = np.uint64((1 << params.reach) - 1)
        self._ways, self._copies = site.draws("direction"), np.zeros(site.pages, np.int64)
        self._used = np.zeros(site.pages, np.bool_)
        self._sums = dict.fromkeys(("transfers", "rows", "bytes", "bounced", "copied_bytes", "kept_bytes"), 0)

    @classmethod
    def length(cls, params: Any, pages: int) -> int | None:
        return -(-params.transfers * SECOND // params.rate) if params.transfers else None

    def rows(self, begins: int, ends: int) -> Rows | None:
        first, last = (self._before(t) for t in (begins, ends))
        number = last - first
        if number <= 0:
            return None
        transfer, index, size = self.place(first, number)
        way = self._ways.uniform(2 * number).reshape(number, 2)
        both, to_device = way[:, 0] < self.params.both_ways, way[:, 1] < self.params.to_device
        self._count(number, index, size, both[transfer])
        t = self.site.begins + times(first, number, self.params.rate)
        direction = np.where(both, -1, to_device)[transfer]
        about = {"to_device": direction, "bytes": size, "dma_mask": self.mask, "forced": self.params.forced}
        return Rows(t[transfer], index, direction < 1, about)

    def _before(self, t: int) -> int:
        found = -(-(t - self.site.begins) * self.params.rate // SECOND)
        return min(found, self.params.transfers) if self.params.transfers else found

    @abstractmethod
    def place(self, first: int, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows of transfers ``first`` … ``first + number − 1``: which of them (from 0), page of the region, bytes."""

    def _count(self, transfers: int, index: np.ndarray, size: np.ndarray, both: np.ndarray) -> None:
        beyond = (self.site.place(index).astype(np.uint64) + np.uint64(1)) * np.uint64(PAGE_BYTES) - np.uint64(1) > self.mask
        bounced = beyond | self.params.forced
        copied = size.astype(np.int64) * (1 + both) * bounced
        self._used[index] = True
        before = copies_before(index[bounced], 1 + both[bounced], self._copies)
        kept = copied if self.params.forced else copied[bounced][before <= self.params.threshold]
        found = (transfers, len(index), size.sum(), np.count_nonzero(bounced), copied.sum(), kept.sum())
        for name, value in zip(self._sums, found):
            self._sums[name] += int(value)

    def truth(self) -> dict[str, float]:
        forced = self.params.forced
        more = {
            "forced_bytes": self._sums["copied_bytes"] if forced else 0,
            "dma_pages": np.count_nonzero(self._used),
            "most_copies": self._copies.max(initial=0),
            "remapped": 0 if forced else np.count_nonzero(self._copies > self.params.threshold),
        }
        return {name: float(value) for name, value in (self._sums | more).items()}


@dataclass(frozen=True)
class RingParams(DmaParams):
    buffers: int = count(8, "buffers of the ring, each a page", low=1, high=1 << 20)
    least: int = count(60, "bytes of the smallest packet", low=1, high=PAGE_BYTES, unit="byte")
    most: int = count(1514, "bytes of the largest packet", low=1, high=PAGE_BYTES, unit="byte")


class Ring(Dma):
    """A network card's ring: few buffers, spread over the region, used over and over. Remapping saves nearly all copies."""

    name = "dma-ring"
    Params = RingParams

    def __init__(self, params: Any, site: Site):
        super().__init__(params, site)
        slot = site.pages // params.buffers
        self._ring = np.arange(params.buffers) * slot + site.draws("ring").below(slot, params.buffers)
        self._sizes = site.draws("bytes")

    @classmethod
    def check(cls, params: Any, pages: int) -> str:
        if params.most < params.least:
            return f"most = {params.most} is less than least = {params.least}: raise it"
        return f"a region of {pages} pages cannot hold a ring of {params.buffers}: enlarge memory" if pages < params.buffers else ""

    def place(self, first: int, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        turn = np.arange(first, first + number)
        size = self.params.least + self._sizes.below(self.params.most - self.params.least + 1, number)
        return turn - first, self._ring[turn % len(self._ring)], size


@dataclass(frozen=True)
class StreamParams(DmaParams):
    segment: int = count(128 * 1024, "bytes of a transfer", low=512, high=1 << 24, unit="byte")
    sector: int = count(512, "a transfer begins at a random multiple of this within a page", low=1, high=PAGE_BYTES, unit="byte")


class Stream(Dma):
    """A disk that streams through the region in order, as reads of large files fill the page cache.

    A page comes round again only when the region is used up: remapping saves nothing before. A row is a page of a transfer.
    """

    name = "dma-stream"
    Params = StreamParams

    def __init__(self, params: Any, site: Site):
        super().__init__(params, site)
        self._starts = site.draws("start")

    @classmethod
    def rate(cls, params: Any, pages: int) -> float:
        return float(params.rate * _stride(params))

    @classmethod
    def check(cls, params: Any, pages: int) -> str:
        if PAGE_BYTES % params.sector:
            return f"sector = {params.sector} does not divide a page of {PAGE_BYTES}: take 512 or {PAGE_BYTES}"
        over = pages < _stride(params)
        return f"a region of {pages} pages holds no transfer of {params.segment} bytes: enlarge memory" if over else ""

    def place(self, first: int, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        stride = _stride(self.params)
        offset = self._starts.below(PAGE_BYTES // self.params.sector, number) * self.params.sector
        at = np.arange(first, first + number) % (self.site.pages // stride) * stride
        return split_pages(at * PAGE_BYTES + offset, np.full(number, self.params.segment))


def _stride(params: Any) -> int:
    """Pages that a transfer may touch."""
    return -(-params.segment // PAGE_BYTES) + (params.sector < PAGE_BYTES)


@dataclass(frozen=True)
class ScatterParams(DmaParams):
    size: int = count(PAGE_BYTES, "bytes of a transfer", low=1, high=PAGE_BYTES, unit="byte")


class Scatter(Dma):
    """Transfers to and from pages anywhere in the region, all alike."""

    name = "dma-scatter"
    Params = ScatterParams

    def __init__(self, params: Any, site: Site):
        super().__init__(params, site)
        self._picks = site.draws("page")

    def place(self, first: int, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.arange(number), self._picks.below(self.site.pages, number), np.full(number, self.params.size)


def copies_before(page: np.ndarray, copies: np.ndarray, by_page: np.ndarray) -> np.ndarray:
    """How many copies each row's page has had before it (int64); adds the rows' ``copies`` to ``by_page``."""
    order = np.argsort(page, kind="stable")
    found, first, rows = np.unique(page[order], return_index=True, return_counts=True)
    running = np.concatenate([[0], np.cumsum(copies[order])])
    before = np.empty(len(page), np.int64)
    before[order] = running[:-1] + np.repeat(by_page[found] - running[first], rows)
    by_page[found] += running[first + rows] - running[first]
    return before
