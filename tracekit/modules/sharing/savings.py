"""Counting what is shared, and what could be: the two halves of the savings table."""

import numpy as np

from tracekit.host import KNOWN, NONE, SHARED, Host
from tracekit.kernel import entry

_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@entry
def _found(h, seen, shared, charged, overflow):
    """Pages on frames with several mappers, and the frames, charged to the VM of the first page on each."""
    for page in range(h.frame.size):
        f = h.frame[page]
        if f == NONE or h.refs[f] < 2:
            continue
        vm = h.page_vm[page]
        shared[vm] += 1
        if not seen[f]:
            seen[f] = True
            charged[vm] += 1
            if h.refs[f] > 65535:
                overflow[vm] += 1


def count_found(h: Host) -> dict[str, np.ndarray]:
    """By VM: pages shared, machine pages reclaimed, and shared frames whose count exceeds 16 bits."""
    vms = len(h.vm)
    shared, charged, overflow = np.zeros((3, vms), np.int64)
    if (h.kind == SHARED).any():
        _found(h, np.zeros(len(h.refs), bool), shared, charged, overflow)
    return {"shared": shared, "reclaimed": shared - charged, "overflow": overflow}


@entry
def _possible(h, zero, slot, first, count, pages, zeros, distinct, shared):
    """Group the known pages by content in a hash table of slots; contents are charged to their first page's VM."""
    mask = np.uint64(slot.size - 1)
    for page in range(h.digest.size):
        if not h.flags[page] & KNOWN:
            continue
        vm = h.page_vm[page]
        pages[vm] += 1
        if h.digest[page] == zero:
            zeros[vm] += 1
        i = ((h.digest[page] * _SPREAD) >> np.uint64(20)) & mask
        while count[i] and slot[i] != h.digest[page]:
            i = (i + np.uint64(1)) & mask
        if count[i] == 0:
            slot[i] = h.digest[page]
            first[i] = page
            distinct[vm] += 1
        elif count[i] == 1:
            shared[h.page_vm[first[i]]] += 1
        if count[i]:
            shared[vm] += 1
        count[i] += 1


class Bound:
    """What sharing every two equal pages would save: a property of the trace at this moment, whatever is resident."""

    def __init__(self, host: Host, zero: int):
        self._host, self._zero = host, np.uint64(zero)

    def count(self) -> dict[str, np.ndarray]:
        """By VM: known pages, zero pages, distinct contents, and the pages that could be shared and reclaimed."""
        vms = len(self._host.vm)
        known = int(np.count_nonzero(self._host.flags & KNOWN))
        slots = 1 << max(2 * known, 2).bit_length()
        pages, zeros, distinct, shared = np.zeros((4, vms), np.int64)
        tables = np.zeros(slots, np.uint64), np.zeros(slots, np.uint32), np.zeros(slots, np.uint32)
        _possible(self._host, self._zero, *tables, pages, zeros, distinct, shared)
        return {
            "pages": pages,
            "zero": zeros,
            "distinct": distinct,
            "possible_shared": shared,
            "possible_reclaimed": pages - distinct,
        }
