"""Sharing without comparing everything with everything: what is known to be equal from where it came from, or is zero."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.errors import ScenarioError
from tracekit.kernel import jit
from tracekit.module import Site, param
from tracekit.modules.machine.chains import SPREAD
from tracekit.modules.sharing.orders import Sequential
from tracekit.modules.sharing.sharing import Sharing
from tracekit.stream import NO_BLOCK


class Zeros(NamedTuple):
    """Where each VM's scan stands, and what a zero page looks like."""

    at: np.ndarray  # int64 by VM
    zero: np.ndarray  # uint64 [1]: its digest


class ZeroOnly(Sharing):
    """Only zero pages are shared, found in order of their numbers: no table of contents, no risk of telling what others hold."""

    name = "zero-only"
    shares_victims = False

    def state(self, site: Site) -> Zeros:
        return Zeros(np.zeros(len(site.trace.vms), np.int64), np.array([site.trace.zero_digest], np.uint64))

    due = staticmethod(Sequential.due)

    @staticmethod
    @jit
    def trust(s, h, page):
        return h.digest[page] == s.zero[0]


class Blocks(NamedTuple):
    """What each page was read from."""

    block: np.ndarray  # uint64 by page: disk block, or NO_BLOCK
    whole: np.ndarray  # bool by page: the page holds what was read


class Disco(Sharing):
    """Disco's copy-on-write disks (Bugnion et al. 1997): pages read from the same disk block are shared as they are read.

    The monitor intercepts disk reads, so nothing is scanned or compared. A page written since is shared no more.
    """

    name = "disco"
    shares_victims = False
    needs = Sharing.needs | {"blocks"}
    writes = (*Sharing.writes, "kin")
    kin = True

    def state(self, site: Site) -> Blocks:
        return Blocks(np.full(site.trace.pages, NO_BLOCK, np.uint64), np.zeros(site.trace.pages, np.bool_))

    @staticmethod
    @jit
    def on_content(s, h, page, block):
        s.whole[page] = block != NO_BLOCK
        s.block[page] = block

    @staticmethod
    @jit
    def on_access(s, page, write):
        if write:
            s.whole[page] = False

    @staticmethod
    @jit
    def changed(s, h, page):
        # Not where the page is still on a shared frame: what it is listed under must not change.
        if not s.whole[page]:
            return False
        h.kin[page] = (s.block[page] + np.uint64(1)) * SPREAD
        return True


class Satori(Sharing):
    """Satori (Milos et al. 2009): a page is looked up the moment it has been read from a sharing-aware disk.

    So short-lived sharing is found too; pages that were never read from a disk are never looked at. Contents are
    compared, not block numbers.
    """

    name = "satori"
    shares_victims = False
    needs = Sharing.needs | {"blocks"}

    def state(self, site: Site) -> Blocks:
        return Blocks(np.full(site.trace.pages, NO_BLOCK, np.uint64), np.zeros(site.trace.pages, np.bool_))

    @staticmethod
    @jit
    def on_content(s, page, block):
        s.whole[page] = block != NO_BLOCK

    @staticmethod
    @jit
    def changed(s, h, page):
        return s.whole[page]


class Hints(NamedTuple):
    """Which pages the guest has named."""

    named: np.ndarray  # bool by page


class GuestHinted(Sharing):
    """Paravirtual hints: the guest names pages worth sharing, and these alone are looked up, when named and when they change.

    The guest knows what it has read from files or will keep (collaborative memory management, Schwidefsky et al. 2006,
    tells the host such states of pages); nothing is scanned. Its hints are ``madvise`` events.
    """

    name = "guest-hinted"
    shares_victims = False
    needs = Sharing.needs | {"share_hints"}

    def state(self, site: Site) -> Hints:
        return Hints(np.zeros(site.trace.pages, np.bool_))

    @staticmethod
    @jit
    def advised(s, h, page, mergeable):
        s.named[page] = mergeable

    @staticmethod
    @jit
    def changed(s, h, page):
        return s.named[page]


class Ranges(NamedTuple):
    """Which pages are of a declared segment, and how many segments and pages there are."""

    segment: np.ndarray  # uint64 by page: number of its place in the segments, 0 for none


class Segments(Sharing):
    """z/VM's named saved segments: page ranges that every VM has at the same place are shared, page by page, from the start.

    ``ranges`` declares them as PPNs, such as ``256-1023 4096-8191``. A page is shared with the same page of other VMs,
    while both hold the same; whoever writes gets its own copy and keeps it.
    """

    name = "segments"
    shares_victims = False
    writes = (*Sharing.writes, "kin")
    kin = True

    @dataclass(frozen=True)
    class Params(Sharing.Params):
        ranges: str = param("", "declared PPN ranges, first-last, separated by spaces")

    def state(self, site: Site) -> Ranges:
        segment = np.zeros(site.trace.pages, np.uint64)
        for text in self.params.ranges.split():
            first, dash, last = text.partition("-")
            if not (dash and first.isdigit() and last.isdigit() and int(first) <= int(last)):
                raise ScenarioError(f"sharing.ranges: {text!r} is not a range of PPNs; write for example 256-1023")
            for vm in site.trace.vms:
                ppn = np.arange(int(first), min(int(last) + 1, vm.pages))
                segment[vm.base + ppn] = ppn + 1
        site.host.kin[:] = segment * SPREAD
        return Ranges(segment)

    @staticmethod
    @jit
    def changed(s, h, page):
        return s.segment[page] != 0
