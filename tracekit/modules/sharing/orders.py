"""Which pages are scanned when: orders other than at random, to be compared at the same rate."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit import rng
from tracekit.host import NONE, SHARED
from tracekit.kernel import jit
from tracekit.module import Site, param
from tracekit.modules.sharing.sharing import Sharing
from tracekit.stream import NO_BLOCK, NO_PAGE


class Hands(NamedTuple):
    """Where each VM's scan stands."""

    at: np.ndarray  # int64 by VM


class Sequential(Sharing):
    """Each VM's pages by number, round and round: every page once in P/r seconds."""

    name = "sequential"

    def state(self, site: Site) -> Hands:
        return Hands(np.zeros(len(site.trace.vms), np.int64))

    @staticmethod
    @jit
    def due(s, h, vm):
        page = h.vm[vm].first + s.at[vm]
        s.at[vm] = (s.at[vm] + 1) % h.vm[vm].pages
        return page


class Ages(NamedTuple):
    """A moment for every page, and the streams that candidates are drawn from."""

    rng: np.ndarray  # uint64 (vm, 2)
    last: np.ndarray  # int64 by page
    clock: np.ndarray  # int64 [1]: what stands for time
    tries: np.ndarray  # int64 [1]


@jit
def is_open(h, page):
    """Whether a scan of the page could come to anything: it is resident and not shared."""
    f = h.frame[page]
    return f != NONE and h.kind[f] != SHARED


class Oldest(Sharing):
    """Base: of some pages drawn at random, shared ones left out, the one that something happened to longest ago."""

    @dataclass(frozen=True)
    class Params(Sharing.Params):
        tries: int = param(8, "pages drawn for each that is scanned", "page", low=1, high=1024)

    def state(self, site: Site) -> Ages:
        draws, never = site.streams(len(site.trace.vms), "scan"), np.full(site.trace.pages, -1, np.int64)
        return Ages(draws, never, np.zeros(1, np.int64), np.array([self.params.tries], np.int64))

    @staticmethod
    @jit
    def due(s, h, vm):
        best = h.vm[vm].first + rng.below(s.rng[vm], h.vm[vm].pages)
        for _ in range(s.tries[0] - 1):
            page = h.vm[vm].first + rng.below(s.rng[vm], h.vm[vm].pages)
            if is_open(h, page) and (not is_open(h, best) or s.last[page] < s.last[best]):
                best = page
        return best


class HashAge(Oldest):
    """The page whose hash is oldest, pages never hashed first: no page twice while others wait."""

    name = "hash-age"

    @staticmethod
    @jit
    def seen(s, h, page, frame, outcome):
        s.clock[0] += 1
        s.last[page] = s.clock[0]


class IdleFirst(Oldest):
    """The page that has been left alone for longest, by the guest and by the scan: its content will last."""

    name = "idle-first"
    needs = Sharing.needs | {"access"}

    @staticmethod
    @jit
    def on_access(s, page, t):
        s.last[page] = s.clock[0] = t

    @staticmethod
    @jit
    def seen(s, h, page, frame, outcome):
        s.last[page] = s.clock[0]


class Queue(NamedTuple):
    """A ring of pages of each VM that I/O has just filled."""

    at: np.ndarray  # int64 by VM: where the scan by number stands
    ring: np.ndarray  # uint32 (vm, size)
    first: np.ndarray  # int64 by VM: entries taken so far
    end: np.ndarray  # int64 by VM: entries added so far
    blocks: np.ndarray  # bool [1]: the trace names disk blocks


class IoHinted(Sharing):
    """XLH (Miller et al. 2013): pages that I/O has just filled are scanned first, then pages by number.

    A page counts as just filled when a device writes it (``io`` rows) or the trace names the disk block that it was
    read from (``block``). Where hints come faster than pages are scanned the oldest are dropped.
    """

    name = "io-hinted"

    @dataclass(frozen=True)
    class Params(Sharing.Params):
        queue: int = param(1024, "hints kept a VM", "page", low=1, high=1 << 24)

    def state(self, site: Site) -> Queue:
        vms = len(site.trace.vms)
        at, first, end = np.zeros((3, vms), np.int64)
        blocks = np.array(["blocks" in site.trace.capabilities])
        return Queue(at, np.zeros((vms, self.params.queue), np.uint32), first, end, blocks)

    @staticmethod
    @jit
    def due(s, h, vm):
        size = s.ring.shape[1]
        s.first[vm] = max(s.first[vm], s.end[vm] - size)
        if s.first[vm] < s.end[vm]:
            page = np.int64(s.ring[vm, s.first[vm] % size])
            s.first[vm] += 1
            return page
        page = h.vm[vm].first + s.at[vm]
        s.at[vm] = (s.at[vm] + 1) % h.vm[vm].pages
        return page

    @staticmethod
    @jit
    def on_io(s, vm, page, to_device):
        if to_device != 1 and page != NO_PAGE:
            add(s, vm, page)

    @staticmethod
    @jit
    def on_content(s, vm, page, block):
        if s.blocks[0] and block != NO_BLOCK:
            add(s, vm, page)


@jit
def add(s, vm, page):
    """Add a hint for a page."""
    s.ring[vm, s.end[vm] % s.ring.shape[1]] = page
    s.end[vm] += 1
