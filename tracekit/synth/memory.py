"""A VM's memory as a recipe divides it: regions, where their pages lie, and what they hold.

Contents are numbers: 0 is the zero page, equal numbers are equal pages. A digest is a bijection of the number, so that
distinct contents have distinct digests and the truth about equal pages is exact.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tracekit.schema import ZERO_DIGEST
from tracekit.synth.blocks.base import NEW, OWN, ZERO
from tracekit.synth.draws import Draws, mix
from tracekit.synth.setup import Region, Vm

#: The content of a page that a blank VM has not written yet.
_UNKNOWN = -1


@dataclass(frozen=True)
class Layout:
    """PPNs of the pages of a VM's regions; ``order`` is None where they lie one after the other."""

    first: dict[str, int]
    order: np.ndarray | None

    def place(self, region: str, index: np.ndarray) -> np.ndarray:
        """PPNs (uint32) of pages of a region."""
        at = index + self.first[region]
        return at.astype(np.uint32) if self.order is None else self.order[at]


def lay_out(vm: Vm, seed: int) -> Layout:
    """Regions in the recipe's order; scattered over all of the memory where the VM asks for it."""
    starts = np.cumsum([0] + [region.pages for region in vm.regions])
    order = Draws(seed, vm.info.name, "place").permutation(vm.info.pages).astype(np.uint32) if vm.scatter else None
    return Layout({"": 0} | {region.name: int(start) for region, start in zip(vm.regions, starts)}, order)


class Contents:
    """What every page of every VM holds, and which pages have been written since the last snapshot."""

    def __init__(self, vms: Iterable[Vm], layouts: Iterable[Layout], seed: int):
        self._key, self._seed = Draws(seed, "digest").key, seed
        vms = list(vms)
        self._images, self._next = _number_images(vms)
        self._own = [self._initial(vm, layout) for vm, layout in zip(vms, layouts)]
        self._now = [np.full_like(own, _UNKNOWN) if vm.blank else own.copy() for vm, own in zip(vms, self._own)]
        self._written = [np.zeros(vm.info.pages, np.uint8) for vm in vms]
        self._equalled = [np.zeros(vm.info.pages, np.bool_) for vm in vms]
        self._told = [vm.blank for vm in vms]

    def write(self, vm: int, ppn: np.ndarray, leaves: np.ndarray) -> None:
        """Pages are written, in order; ``leaves`` says what with: NEW, ZERO or OWN."""
        self._written[vm][ppn] = leaves

    def snapshot(self, vm: int) -> tuple[np.ndarray, np.ndarray, int]:
        """(PPN, digest) of the pages that changed since the last snapshot, and how many of them equalled another one.

        The first snapshot tells all pages, unless the VM is blank.
        """
        now, written = self._now[vm], self._written[vm]
        before = now.copy()
        new = np.flatnonzero(written == NEW)
        now[new] = self._fresh(len(new))
        now[written == ZERO] = 0
        own = written == OWN
        now[own] = self._own[vm][own]
        ppn = np.flatnonzero(now != before) if self._told[vm] else np.arange(len(now))
        equalled = int(np.count_nonzero(self._equalled[vm][ppn])) if self._told[vm] else 0
        self._told[vm] = True
        written[:] = 0
        number = now[ppn]
        digest = np.where(number == 0, np.uint64(ZERO_DIGEST), mix(self._key, number.astype(np.uint64)))
        return ppn.astype(np.uint32), digest, equalled

    def sharing(self, vms: list[int]) -> "Sharing":
        """What is equal among these VMs now; remembered for the next snapshots' copies."""
        known = [self._now[vm] != _UNKNOWN for vm in vms]
        found = Sharing([self._now[vm][told] for vm, told in zip(vms, known)])
        for vm, told, equal in zip(vms, known, found.equal):
            self._equalled[vm][told] = equal
        return found

    def _fresh(self, number: int) -> np.ndarray:
        self._next += number
        return np.arange(self._next - number, self._next)

    def _initial(self, vm: Vm, layout: Layout) -> np.ndarray:
        """The content of each page of the VM by PPN (int64)."""
        held = np.zeros(vm.info.pages, np.int64)
        for region in vm.regions:
            if region.content != "zero":
                pages = np.arange(region.pages)
                held[layout.place(region.name, pages)] = self._held(vm, region, pages // region.copies)
        return held

    def _held(self, vm: Vm, region: Region, content: np.ndarray) -> np.ndarray:
        if region.content == "private":
            return self._fresh(int(content[-1]) + 1 if len(content) else 0)[content]
        number = self._images[region.image] + region.skip + content
        if vm.aslr:
            places = region.skip + content
            moved = Draws(self._seed, region.image, "relocated").chance(region.relocated, int(places.max(initial=-1)) + 1)[places]
            number[moved] = self._fresh(int(np.count_nonzero(moved)))
        return number


def _number_images(vms: list[Vm]) -> tuple[dict[str, int], int]:
    """The number of each image's first content, and the first number that is left."""
    sizes: dict[str, int] = {}
    for vm in vms:
        for region in vm.regions:
            if region.content == "image":
                sizes[region.image] = max(sizes.get(region.image, 0), region.skip + region.pages)
    starts, free = {}, 1
    for image, pages in sizes.items():
        starts[image] = free
        free += pages
    return starts, free


class Sharing:
    """Counts of equal pages of VMs, in their order: with the first of them alone, the first two, and so on."""

    def __init__(self, numbers: list[np.ndarray]):
        together = np.concatenate(numbers) if numbers else np.empty(0, np.int64)
        vm = np.repeat(np.arange(len(numbers)), [len(own) for own in numbers])
        order = np.argsort(together, kind="stable")
        value, vm = together[order], vm[order]
        begins = np.flatnonzero(np.concatenate([[True], value[1:] != value[:-1]])) if len(value) else np.empty(0, np.int64)
        copies = np.diff(np.append(begins, len(value)))
        nth = np.arange(len(value)) - np.repeat(begins, copies)  # of its content, from 0

        def upto(which: np.ndarray) -> np.ndarray:
            return np.cumsum(np.bincount(vm[which], minlength=len(numbers)))

        self.pages = np.cumsum([len(own) for own in numbers])
        self.zero = upto(value == 0)
        self.contents = upto(nth == 0)
        self.reclaimable = upto(nth > 0)
        self.shared = self.reclaimable + upto(nth == 1)
        several = np.empty(len(value), np.bool_)
        several[order] = np.repeat(copies > 1, copies)
        self.equal = np.split(several, np.cumsum([len(own) for own in numbers])[:-1]) if numbers else []
