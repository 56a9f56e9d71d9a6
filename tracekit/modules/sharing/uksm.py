"""UKSM: scanning where equal pages have been found before."""

from typing import NamedTuple

import numpy as np

from tracekit.host import JOINED, PAIRED
from tracekit.kernel import jit
from tracekit.module import Site
from tracekit.modules.sharing.sharing import Sharing
from tracekit.rng import below

#: Pages of an area.
AREA = 512


class Areas(NamedTuple):
    """What scanning each area of memory has been worth."""

    rng: np.ndarray  # uint64 (vm, 2)
    scans: np.ndarray  # int64 by area
    hits: np.ndarray  # int64 by area: scans that shared a page
    at: np.ndarray  # int64 by area: where its scan stands
    first: np.ndarray  # int64 by VM: its first area; one more at the end


class Uksm(Sharing):
    """After UKSM (Xia et al. 2018): areas in which equal pages were found are scanned more than others.

    Memory is cut into areas of 2 MiB. Of two areas drawn at random the one is scanned, from where its scan stands, in
    which more of the scans so far have shared a page; an area not yet scanned counts as promising. (UKSM's adaptive
    hash strength is not modelled: the cost of a page is the stated one.)
    """

    name = "uksm"

    def state(self, site: Site) -> Areas:
        areas = [-(-vm.pages // AREA) for vm in site.trace.vms]
        scans, hits, at = np.zeros((3, sum(areas)), np.int64)
        return Areas(site.streams(len(areas), "scan"), scans, hits, at, np.concatenate([[0], np.cumsum(areas)]).astype(np.int64))

    @staticmethod
    @jit
    def due(s, h, vm):
        areas = s.first[vm + 1] - s.first[vm]
        one, two = s.first[vm] + below(s.rng[vm], areas), s.first[vm] + below(s.rng[vm], areas)
        area = one if (s.hits[one] + 1) * (s.scans[two] + 1) >= (s.hits[two] + 1) * (s.scans[one] + 1) else two
        s.scans[area] += 1
        start = (area - s.first[vm]) * AREA
        size = min(AREA, h.vm[vm].pages - start)
        page = h.vm[vm].first + start + s.at[area]
        s.at[area] = (s.at[area] + 1) % size
        return page

    @staticmethod
    @jit
    def seen(s, h, page, frame, outcome):
        if outcome in (PAIRED, JOINED):
            vm = h.page_vm[page]
            s.hits[s.first[vm] + (np.int64(page) - h.vm[vm].first) // AREA] += 1
