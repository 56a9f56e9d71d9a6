"""What lies ahead: for each access, the number of the next access to the same page, from one pass over the trace.

The arrays lie in temporary files mapped into memory, 12 bytes an access, so that a long trace needs disk, not memory.
"""

import tempfile
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tracekit.kernel import entry
from tracekit.trace import Trace

#: Next use of a page that is not used again.
NEVER = np.int64(1) << 62


@entry
def _look_back(vm, page, per_vm, first, seen, last, next_use, at, first_use):
    """Number the accesses of a chunk within their pool, and write each under the page's previous access."""
    for i in range(vm.size):
        pool = vm[i] if per_vm else 0
        number = seen[pool]
        slot = first[pool] + number
        at[slot] = page[i]
        next_use[slot] = NEVER
        if last[page[i]] >= 0:
            next_use[first[pool] + last[page[i]]] = number
        else:
            first_use[page[i]] = number
        last[page[i]] = number
        seen[pool] += 1


@entry
def _next_uses(vm, per_vm, first, seen, next_use, out):
    """The next uses of a chunk's accesses, in their order."""
    for i in range(vm.size):
        pool = vm[i] if per_vm else 0
        out[i] = next_use[first[pool] + seen[pool]]
        seen[pool] += 1


@entry
def _count(vm, counts):
    for i in range(vm.size):
        counts[vm[i]] += 1


class Future:
    """Next uses of all accesses of a trace, numbered within each VM (``per_vm``) or over all of them.

    ``count`` and ``first`` are accesses of each pool and where they begin; ``page`` is the page of each access;
    ``first_use`` (int64 by page) is the number of a page's first access, or NEVER. Several futures of one opened trace
    share what they know (and must not write it), so that a sweep looks ahead once.
    """

    def __init__(self, trace: Trace, per_vm: bool):
        known = _KNOWN.setdefault(trace, {})
        if per_vm not in known:
            known[per_vm] = _look_ahead(trace, per_vm)
        self._per_vm = per_vm
        self.count, self.first, self.page, self._next, self.first_use = known[per_vm]
        self._seen = np.zeros(len(self.count), np.int64)

    def next_uses(self, vm: np.ndarray) -> np.ndarray:
        """int64: next uses of the following accesses, whose VMs are given; call it chunk after chunk."""
        out = np.empty(len(vm), np.int64)
        _next_uses(vm, self._per_vm, self.first, self._seen, self._next, out)
        out.flags.writeable = False
        return out


#: What lies ahead in traces that are open: by trace, then by whether VMs are numbered apart.
_KNOWN: WeakKeyDictionary[Trace, dict[bool, tuple[np.ndarray, ...]]] = WeakKeyDictionary()


def _look_ahead(trace: Trace, per_vm: bool) -> tuple[np.ndarray, ...]:
    """One pass over the accesses (two if per VM): count, first, page, next uses and first uses, as ``Future`` has them."""
    vms = np.zeros(len(trace.vms), np.int64)
    if per_vm:
        for chunk in trace.chunks({"access": ["vm"]}):
            _count(chunk.columns["access"]["vm"], vms)
    count = vms if per_vm else np.array([trace.rows["access"]], np.int64)
    first = np.cumsum(count) - count
    total = int(count.sum())
    page = _mapped(np.uint32, total)
    next_use = _mapped(np.int64, total)
    first_use = np.full(trace.pages, NEVER, np.int64)
    last, seen = np.full(trace.pages, -1, np.int64), np.zeros(len(count), np.int64)
    for chunk in trace.chunks({"access": ["vm", "page"]}):
        rows = chunk.columns["access"]
        _look_back(rows["vm"], rows["page"], per_vm, first, seen, last, next_use, page, first_use)
    return count, first, page, next_use, first_use


def _mapped(dtype: Any, size: int) -> np.ndarray:
    """Zeros in a temporary file, which goes when the array does."""
    with tempfile.TemporaryFile(prefix="tracekit-future-") as file:
        file.truncate(max(size, 1) * np.dtype(dtype).itemsize)
        return np.frombuffer(np.memmap(file, dtype, "r+", shape=(max(size, 1),)), dtype)
