"""Numbers for page ids of any width: each pair of a VM and a 64-bit id gets the next page number of that VM at its first touch.

An open-addressing table that doubles; ids are hashed and looked up a block at a time, so that the processor fetches the
next entries while it compares. Memory is at most 48 bytes a distinct page.
"""

import numpy as np

from tracekit.kernel import entry, jit
from tracekit.prefetch import prefetch

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FREE = np.uint32(0xFFFFFFFF)
_ENTRY = np.dtype([("key", np.uint64), ("vm", np.int32), ("number", np.uint32)])
_AHEAD = 16


@jit
def _slot(key, vm, mask):
    mixed = (np.uint64(key) + np.uint64(vm) * np.uint64(0xD1B54A32D192ED03)) * _GOLDEN
    mixed ^= mixed >> np.uint64(32)
    return np.int64(mixed * _GOLDEN >> np.uint64(20)) & mask


@jit
def _find(table, key, vm):
    """The slot of a key: its own, or the free one where it belongs."""
    mask = table.size - 1
    i = _slot(key, vm, mask)
    while table[i].number != _FREE and (table[i].key != key or table[i].vm != vm):
        i = (i + 1) & mask
    return i


@entry
def _number(table, counts, filled, key, vm, out, first):
    """Number ids from ``first`` on, until half of the slots are filled. Returns how many ids have been numbered."""
    mask = table.size - 1
    for i in range(first, key.size):
        ahead = min(i + _AHEAD, key.size - 1)
        prefetch(table, _slot(key[ahead], vm[ahead], mask))
        at = _find(table, key[i], vm[i])
        if table[at].number == _FREE:
            if 2 * filled[0] >= table.size:
                return i
            filled[0] += 1
            table[at].key = key[i]
            table[at].vm = vm[i]
            table[at].number = counts[vm[i]]
            counts[vm[i]] += 1
        out[i] = table[at].number
    return key.size


@entry
def _move(table, old):
    for i in range(old.size):
        if old[i].number != _FREE:
            table[_find(table, old[i].key, old[i].vm)] = old[i]


class Numbering:
    """Page numbers by first touch. ``counts`` (int64 by VM) are the pages numbered so far."""

    def __init__(self, vms: int):
        self.counts = np.zeros(vms, np.int64)
        self._filled = np.zeros(1, np.int64)
        self._table = _empty(1 << 12)

    def number(self, ids: np.ndarray, vm: np.ndarray) -> np.ndarray:
        """uint32: the numbers of ``ids`` (uint64) of the VMs ``vm`` (int32 index), row by row."""
        out = np.empty(len(ids), np.uint32)
        done = 0
        while True:
            done = _number(self._table, self.counts, self._filled, ids, vm, out, done)
            if done == len(ids):
                return out
            old, self._table = self._table, _empty(2 * len(self._table))
            _move(self._table, old)


def _empty(slots: int) -> np.ndarray:
    table = np.zeros(slots, _ENTRY).view(np.recarray)
    table["number"] = _FREE
    return table
