"""Counting equal contents: by VM for the sharing tables, and fast over very many digests.

Fast means: values are first spread over parts that fit a core's cache, then each part is counted in a table with open
addressing. Kernels release the GIL, so parts are counted on all cores.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tracekit.kernel import entry, jit

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)
#: Values of a part: a table of its distinct values fits a core's second-level cache.
_PART = 1 << 16
#: Slots of the table to begin with.
_SLOTS = 1 << 10

#: Columns of ``by_vm``.
GROUPED = ("pages", "zero", "distinct", "shared", "reclaimed_zero", "reclaimed_within", "reclaimed_between")


@jit
def mixed(value):
    """A value spread over 64 bits, also where values are small numbers."""
    z = np.uint64(value) * _SPREAD
    return z ^ (z >> np.uint64(32))


def by_vm(digest: np.ndarray, told: np.ndarray, vm: np.ndarray, vms: int, zero: int) -> dict[str, np.ndarray]:
    """What sharing every two equal pages would do, by VM (int64): see ``GROUPED``.

    ``told`` says which pages count, ``vm`` whose they are, pages of a VM standing together. Of several equal pages the
    first one's VM is charged for the frame; what others save counts as zero pages, within their VM (not its first
    such page) or between VMs.
    """
    slots = 1 << max(2 * int(np.count_nonzero(told)), 2).bit_length()
    counts = np.zeros((len(GROUPED), vms), np.int64)
    table = np.zeros(slots, np.uint64), np.zeros(slots, np.uint32), np.zeros(slots, np.uint32), np.zeros(slots, np.uint16)
    _group(digest, told, vm, np.uint64(zero), *table, counts)
    return dict(zip(GROUPED, counts, strict=True))


@entry
def _group(digest, told, page_vm, zero, slot, first, count, last, out):
    mask = np.uint64(slot.size - 1)
    for page in range(digest.size):
        if not told[page]:
            continue
        vm, value = page_vm[page], digest[page]
        out[0, vm] += 1
        if value == zero:
            out[1, vm] += 1
        i = mixed(value) & mask
        while count[i] and slot[i] != value:
            i = (i + _ONE) & mask
        if count[i] == 0:
            slot[i] = value
            first[i] = page
            out[2, vm] += 1
        else:
            if count[i] == 1:
                out[3, page_vm[first[i]]] += 1
            out[3, vm] += 1
            out[4 if value == zero else 5 if last[i] == vm else 6, vm] += 1
        last[i] = vm
        count[i] += 1


def count_values(values: np.ndarray, threads: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(distinct values, how often each occurs), in no particular order; ``values`` is uint64."""
    threads = threads or os.cpu_count() or 1
    bits = max(0, (len(values) // _PART).bit_length())
    if bits == 0:
        bounds, spread = np.array([0, len(values)], np.int64), values
    else:
        bounds, spread = _partition(values, bits, threads)
    distinct, counts = np.empty(len(values), np.uint64), np.empty(len(values), np.uint32)
    found = np.zeros(len(bounds) - 1, np.int64)
    cuts = np.linspace(0, len(bounds) - 1, threads + 1).astype(np.int64)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda a, b: _count_parts(spread, bounds, a, b, distinct, counts, found), cuts[:-1], cuts[1:]))
    kept_distinct, kept_counts = np.empty(int(found.sum()), np.uint64), np.empty(int(found.sum()), np.uint32)
    _gather(distinct, counts, bounds, found, kept_distinct, kept_counts)
    return kept_distinct, kept_counts


def _partition(values: np.ndarray, bits: int, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Values in 2^bits parts by the top bits of their mix: (bounds of the parts, the values by part)."""
    parts, shift = 1 << bits, np.uint64(64 - bits)
    edges = np.linspace(0, len(values), threads + 1).astype(np.int64)
    starts = np.zeros((threads, parts), np.int64)
    spread = np.empty_like(values)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda i: _histogram(values, edges[i], edges[i + 1], shift, starts[i]), range(threads)))
        sizes = starts.sum(axis=0)
        bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        starts[:] = bounds[:-1] + np.cumsum(starts, axis=0) - starts
        list(pool.map(lambda i: _scatter(values, edges[i], edges[i + 1], shift, starts[i], spread), range(threads)))
    return bounds, spread


@entry
def _histogram(values, begin, end, shift, sizes):
    for i in range(begin, end):
        sizes[mixed(values[i]) >> shift] += 1


@entry
def _scatter(values, begin, end, shift, at, spread):
    for i in range(begin, end):
        part = mixed(values[i]) >> shift
        spread[at[part]] = values[i]
        at[part] += 1


def _count_parts(spread, bounds, begin, end, distinct, counts, found):
    """Count the parts ``begin`` … ``end − 1``; what they find stands where their values stood."""
    most = int(np.diff(bounds).max(initial=0))
    slots = 1 << max(2 * most, _SLOTS).bit_length()
    table = np.empty(slots, np.uint64), np.zeros(slots, np.uint32), np.empty(most, np.uint32)
    _count(spread, bounds, begin, end, *table, distinct, counts, found)


@entry
def _count(spread, bounds, begin, end, slot, count, used, distinct, counts, found):
    size = _SLOTS  # of the table: grows with the distinct values of a part, of which parts have about as many
    for part in range(begin, end):
        first, last = bounds[part], bounds[part + 1]
        kept = 0
        k = first
        while k < last:
            mask = np.uint64(size - 1)
            value = spread[k]
            i = mixed(value) & mask
            while count[i] and slot[i] != value:
                i = (i + _ONE) & mask
            if count[i] == 0:
                slot[i] = value
                used[kept] = i
                kept += 1
            count[i] += np.uint32(1)
            k += 1
            if 2 * kept > size:  # begin again with a larger table
                for j in range(kept):
                    count[used[j]] = 0
                size, kept, k = 2 * size, 0, first
        for j in range(kept):
            i = np.uint64(used[j])
            distinct[first + j], counts[first + j] = slot[i], count[i]
            count[i] = 0
        found[part] = kept


@entry
def _gather(distinct, counts, bounds, found, kept_distinct, kept_counts):
    at = 0
    for part in range(found.size):
        for k in range(bounds[part], bounds[part] + found[part]):
            kept_distinct[at], kept_counts[at] = distinct[k], counts[k]
            at += 1
