"""Counting what is shared, and what could be: the two halves of the savings table."""

import numpy as np

from tracekit.duplicates import by_vm
from tracekit.host import HINT, KNOWN, NONE, SHARED, Host
from tracekit.kernel import entry

_FOUND = ("shared", "reclaimed_zero", "reclaimed_within", "reclaimed_between", "overflow")
_OVERFLOW = 1 << 16  # pages on a frame that its 16-bit count cannot tell


@entry
def _found(h, zero, last, out):
    """Follow the pages of frames with several mappers; a frame is charged to the VM of the first page on it."""
    for page in range(h.frame.size):
        f = h.frame[page]
        if f == NONE or h.refs[f] < 2:
            continue
        vm = h.page_vm[page]
        out[0, vm] += 1
        if last[f] == 0:
            if h.refs[f] >= _OVERFLOW:
                out[4, vm] += 1
        else:
            out[1 if h.digest[page] == zero else 2 if last[f] == vm + 1 else 3, vm] += 1
        last[f] = vm + 1


def count_found(h: Host, zero: int) -> dict[str, np.ndarray]:
    """By VM: pages shared, machine pages reclaimed and whose doing that is, and shared frames whose count exceeds 16 bits;
    hints, and those whose page holds something else by now."""
    vms = len(h.vm)
    counts = np.zeros((len(_FOUND), vms), np.int64)
    if (h.kind == SHARED).any():
        _found(h, np.uint64(zero), np.zeros(len(h.refs), np.uint32), counts)
    return dict(zip(_FOUND, counts, strict=True)) | {"reclaimed": counts[1:4].sum(axis=0)} | _hints(h, vms)


def _hints(h: Host, vms: int) -> dict[str, np.ndarray]:
    """Frames listed as hints, and those whose page holds something else by now, by VM of the page."""
    hints = np.flatnonzero((h.kind == HINT) & (h.refs > 0))
    page = h.owner[hints]
    vm = h.page_vm[page]
    label = h.digest[page] ^ h.domain[vm] ^ (h.kin[page] if len(h.kin) > 1 else np.uint64(0))
    return {"hints": np.bincount(vm, minlength=vms), "stale_hints": np.bincount(vm[label != h.hash[hints]], minlength=vms)}


def shared_frames(h: Host) -> int:
    """Shared frames in the table."""
    return int(np.count_nonzero((h.kind == SHARED) & (h.refs > 0)))


class Bound:
    """What sharing every two equal pages would save: a property of the trace at this moment, whatever is resident."""

    def __init__(self, host: Host, zero: int):
        self._host, self._zero = host, zero

    def count(self) -> dict[str, np.ndarray]:
        """By VM: known pages, zero pages, distinct contents, and the pages that could be shared and reclaimed."""
        host = self._host
        counts = by_vm(host.digest, (host.flags & KNOWN) != 0, host.page_vm, len(host.vm), self._zero)
        possible = {name.replace("reclaimed", "possible"): counts[name] for name in counts}
        possible["possible_shared"] = possible.pop("shared")
        possible["possible_reclaimed"] = counts["pages"] - counts["distinct"]
        return possible
