"""Remapping: which pages bounce, what that copies, and moving hot ones into the device's reach (paper section 7).

A policy answers whether a page is hot. Where pages lie, what bounces and what is copied is counted here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import Module, NoState, Out, Site, Size, pages_of, param
from tracekit.schema import COPIES
from tracekit.stream import NO_PAGE
from tracekit.units import PAGE_BYTES

# Columns of Zones.tally, in the order of the table.
TRANSFERS, BYTES, BOUNCED, COPIED, FORCED, REMAPPED, BASELINE, UNKNOWN = range(8)
_COUNTS = ("transfers", "bytes", "bounced", "copied_bytes", "forced_bytes", "remapped", "baseline_bytes", "unknown")


class Zones(NamedTuple):
    """Where the guest's pages lie in machine memory, and what was copied.

    ``moved`` is the machine page a page was moved to, or NO_PAGE; until then it lies at its PPN + ``place`` of its VM.
    """

    moved: np.ndarray  # uint32 by page
    copies: np.ndarray  # uint32 by page: unforced copies so far
    place: np.ndarray  # int64 by VM: machine page of PPN 0
    base: np.ndarray  # int64 by VM
    low: np.ndarray  # int64 [used, size]: low machine pages for remapped pages, filled from 0
    tally: np.ndarray  # int64 (vm, device, 8)


class Remap(Module):
    """A remapping policy. Subclasses give ``hot(s, page, copies)`` with ``@staticmethod @jit``: whether a page that has
    been copied so often, this time included, is moved into the device's reach.
    """

    family = "remap"
    needs = frozenset({"io", "dma_masks"})
    tables = (COPIES,)

    @dataclass(frozen=True)
    class Params:
        low: Size = param(Size(4 << 30), "low machine memory that remapped pages may fill", "byte", low=0, high=1 << 44)

    hot: ClassVar[Any]

    def state(self, site: Site) -> Any:
        """The policy's arrays, as a NamedTuple."""
        return NoState(np.zeros(1, np.int64))

    def setup(self, site: Site) -> Any:
        self.site = site
        pages, vms = site.trace.pages, len(site.trace.vms)
        self.zones = Zones(
            moved=np.full(pages, NO_PAGE, np.uint32),
            copies=np.zeros(pages, np.uint32),
            place=site.vm_options["place"].astype(np.int64),
            base=site.host.vm.first.copy(),
            low=np.array([0, min(pages_of(self.params.low), NO_PAGE - 1)], np.int64),
            tally=np.zeros((vms, max(len(site.trace.devices), 1), len(_COUNTS)), np.int64),
        )
        return self.state(site)

    def further_states(self) -> Mapping[str, Any]:
        return {"zones": self.zones}

    def finish(self, now: int, out: Out) -> None:
        for i, vm in enumerate(self.site.trace.vms):
            for j, device in enumerate(self.site.trace.devices):
                count = self.zones.tally[i, j]
                if count[TRANSFERS]:
                    out.row("copies", now, vm.name, device=device, **dict(zip(_COUNTS, map(int, count), strict=True)))


# Kernels on the zones ``s``, called by the driver for each row:


@jit
def bounce(s, vm, page, device, to_device, bytes, dma_mask, forced):
    """Account for one transfer of a page. Returns whether the page was copied and may be moved for the next time."""
    count = s.tally[vm, device]
    count[TRANSFERS] += 1
    count[BYTES] += bytes
    copied = np.int64(bytes) * (2 if to_device < 0 else 1)
    if page == NO_PAGE:
        count[UNKNOWN] += 1
        if not forced:
            return False
    if forced:
        count[BOUNCED] += 1
        count[COPIED] += copied
        count[FORCED] += copied
        count[BASELINE] += copied
        return False
    first = np.int64(page) - s.base[vm] + s.place[vm]
    if out_of_reach(first, dma_mask):
        count[BASELINE] += copied
    here = first if s.moved[page] == NO_PAGE else np.int64(s.moved[page])
    if not out_of_reach(here, dma_mask):
        return False
    count[BOUNCED] += 1
    count[COPIED] += copied
    s.copies[page] += 2 if to_device < 0 else 1
    return True


@jit
def out_of_reach(machine_page, dma_mask):
    """Whether the end of a machine page lies beyond the highest address that the device reaches."""
    return np.uint64(machine_page * PAGE_BYTES + PAGE_BYTES - 1) > dma_mask


@jit
def move_low(s, vm, page, device, dma_mask):
    """Move a page to the next free low machine page, if there is one within the device's reach."""
    if s.low[0] < s.low[1] and not out_of_reach(s.low[0], dma_mask):
        s.moved[page] = s.low[0]
        s.low[0] += 1
        s.tally[vm, device, REMAPPED] += 1
