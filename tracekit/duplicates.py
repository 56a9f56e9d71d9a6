"""Counting equal contents: by VM for the sharing tables, and fast over very many digests.

Fast means: values are first spread over parts that fit a core's cache, then each part is counted in a table with open
addressing. Kernels release the GIL, so parts are counted on all cores.

A value is spread by a mix that can be undone. Within a part the mix's top bits are the same for all, so their room in a
slot of the table holds the count: a value costs one word, and one line of cache. Counts beyond that overflow into a
second array, which is seldom looked at.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tracekit.kernel import entry, jit

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_GATHER = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))
_HALF = np.uint64(32)
_ONE = np.uint64(1)
_EMPTY = np.uint64(0)
#: Bits of values per part: a table of its distinct values fits a core's second-level cache. More parts would be
#: written to faster than a core can keep their ends in its cache.
_PART_BITS = 16
#: There are at least 2^8 parts, so that counts have 8 bits in a slot.
_LEAST_BITS = 8
#: Bits of slots of the table to begin with.
_SLOT_BITS = 10
#: Pieces of work a thread: parts differ in size where values do in number.
_PIECES = 8

#: Columns of ``by_vm``.
GROUPED = ("pages", "zero", "distinct", "shared", "reclaimed_zero", "reclaimed_within", "reclaimed_between")


@jit
def mixed(value):
    """A value spread over 64 bits, also where values are small numbers."""
    z = np.uint64(value) * _SPREAD
    return z ^ (z >> np.uint64(32))


def one_word(digest: np.ndarray, digest_hi: np.ndarray) -> np.ndarray:
    """Digests of 128 bits as numbers of 64: of equal lower halves they differ where the upper ones do; 0 changes nothing."""
    return digest ^ (digest_hi * _SPREAD)


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
    bits = max(_LEAST_BITS, (len(values) >> _PART_BITS).bit_length())
    with ThreadPoolExecutor(threads) as pool:
        bounds, spread = _partition(values, bits, threads, pool)
        # What is found in a part stands where its values stood.
        counts, found = np.empty(len(values), np.uint32), np.zeros(1 << bits, np.int64)
        most = int(np.diff(bounds).max())
        pieces = np.linspace(0, 1 << bits, _PIECES * threads + 1).astype(np.int64).tolist()
        list(pool.map(lambda a, b: _count_parts(spread, bounds, bits, most, a, b, counts, found), pieces[:-1], pieces[1:]))
        starts = np.concatenate([[0], np.cumsum(found)]).astype(np.int64)
        kept = np.empty(int(starts[-1]), np.uint64), np.empty(int(starts[-1]), np.uint32)
        list(pool.map(lambda a, b: _gather(spread, counts, bounds, starts, a, b, *kept), pieces[:-1], pieces[1:]))
    return kept


def mixes(values: np.ndarray) -> np.ndarray:
    """Values (uint64) spread evenly over 64 bits, each to another one."""
    with np.errstate(over="ignore"):
        return (values ^ (values >> _HALF)) * _SPREAD


def _partition(values: np.ndarray, bits: int, threads: int, pool: ThreadPoolExecutor) -> tuple[np.ndarray, np.ndarray]:
    """The mixes of values in 2^bits parts by their top bits: (bounds of the parts, the mixes by part)."""
    parts, shift = 1 << bits, np.uint64(64 - bits)
    edges = np.linspace(0, len(values), threads + 1).astype(np.int64)
    starts = np.zeros((threads, parts), np.int64)
    spread = np.empty_like(values)
    list(pool.map(lambda i: _histogram(values, edges[i], edges[i + 1], shift, starts[i]), range(threads)))
    bounds = np.concatenate([[0], np.cumsum(starts.sum(axis=0))]).astype(np.int64)
    starts[:] = bounds[:-1] + np.cumsum(starts, axis=0) - starts
    list(pool.map(lambda i: _scatter(values, edges[i], edges[i + 1], shift, starts[i], spread), range(threads)))
    return bounds, spread


@jit
def _mix(value):
    """A value spread over 64 bits, small numbers and multiples too; another one for every other value."""
    return (value ^ (value >> _HALF)) * _SPREAD


@jit
def _unmix(mix):
    value = mix * _GATHER
    return value ^ (value >> _HALF)


@entry
def _histogram(values, begin, end, shift, sizes):
    for i in range(begin, end):
        sizes[_mix(values[i]) >> shift] += 1


@entry
def _scatter(values, begin, end, shift, at, spread):
    for i in range(begin, end):
        mix = _mix(values[i])
        part = mix >> shift
        spread[at[part]] = mix
        at[part] += 1


def _count_parts(spread, bounds, bits, most, begin, end, counts, found):
    """Count the parts ``begin`` … ``end − 1``, of at most ``most`` values; tables are as large as they may have to grow."""
    slots = max(1 << _SLOT_BITS, 4 << (most - 1).bit_length() if most else 0)
    table = np.zeros(slots, np.uint64), np.zeros(slots, np.uint32), np.empty(most + 1, np.uint32)
    _count(spread, bounds, np.uint64(bits), begin, end, *table, counts, found)


@entry
def _count(spread, bounds, bits, begin, end, slot, over, used, counts, found):
    full = (_ONE << bits) - _ONE  # the largest count in a slot, and the bits that it takes
    slot_bits = np.uint64(_SLOT_BITS)  # of the table: grows with the distinct values of a part, of which parts have about as many
    for part in range(begin, end):
        first, last = bounds[part], bounds[part + 1]
        kept, has_overflow = 0, False
        k = first
        while k < last:
            shift, mask = np.uint64(64) - slot_bits, (_ONE << slot_bits) - _ONE
            most = (_ONE << slot_bits) // np.uint64(4)
            while k < last and np.uint64(kept) < most:
                value = spread[k] << bits  # what tells it from others of its part
                i = value >> shift
                held = slot[i]
                while held != _EMPTY and (held ^ value) > full:
                    i = (i + _ONE) & mask
                    held = slot[i]
                used[kept] = i
                kept += np.int64(held == _EMPTY)
                if held & full == full:
                    over[i] += np.uint32(1)
                    has_overflow = True
                    held = value
                slot[i] = max(held, value) + _ONE
                k += 1
            if k < last:  # begin again with a larger table
                for j in range(kept):
                    slot[used[j]], over[used[j]] = _EMPTY, 0
                slot_bits, kept, k = slot_bits + _ONE, 0, first
        top = np.uint64(part) << (np.uint64(64) - bits)
        for j in range(kept):
            i = used[j]
            held = slot[i]
            spread[first + j] = _unmix(top | (held >> bits))
            counts[first + j] = np.uint32(held & full)
            slot[i] = _EMPTY
            if has_overflow:
                counts[first + j] += np.uint32(full) * over[i]
                over[i] = 0
        found[part] = kept


@entry
def _gather(distinct, counts, bounds, starts, begin, end, kept_distinct, kept_counts):
    for part in range(begin, end):
        at, first = starts[part], bounds[part]
        for k in range(starts[part + 1] - at):
            kept_distinct[at + k], kept_counts[at + k] = distinct[first + k], counts[first + k]
