"""The pool of bounce buffers, as Linux's swiotlb keeps it (kernel documentation, core-api/swiotlb).

Memory in slots of 2 KiB, in sets of 128. A segment of n bytes needs ⌈n / 2048⌉ adjacent slots of one set, so at most
256 KiB; from 4 KiB on it begins at an even slot, that is at a page. The search goes on from where the last one ended.
A trace does not tell when a mapping ends, so slots are held for a fixed time, a parameter. A segment that finds no
room is counted and holds nothing: the kernel would fail the mapping and the driver try again or drop it.
"""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit

SLOT_BYTES = 2048
SET_SLOTS = 128
SEGMENT_BYTES = SLOT_BYTES * SET_SLOTS

# Entries of Pool.counts.
USED, PEAK, SEGMENTS, EXHAUSTED, FRAGMENTED, NEXT, HEAD, QUEUED = range(8)


class Pool(NamedTuple):
    """State of the pool. Held segments form a queue, as they are released in the order in which they were taken."""

    run: np.ndarray  # uint8 by slot: free slots from here to the end of its set, without a gap
    held: np.ndarray  # int64 (slots, 3): the queue: first slot, slots, when they are released
    counts: np.ndarray  # int64 [8]
    hold: np.ndarray  # int64, one: ns that a segment is held


def pool(size: int, hold: int) -> Pool:
    """An empty pool of ``size`` bytes, a whole number of sets."""
    slots = size // SEGMENT_BYTES * SET_SLOTS
    run = (SET_SLOTS - np.arange(slots) % SET_SLOTS).astype(np.uint8)
    return Pool(run, np.zeros((slots, 3), np.int64), np.zeros(8, np.int64), np.array([hold], np.int64))


@jit
def claim(p, t, size):
    """Take slots at ``t`` for a segment of ``size`` bytes. Returns whether there was room."""
    release(p, t)
    slots = (size + SLOT_BYTES - 1) // SLOT_BYTES
    p.counts[SEGMENTS] += 1
    first = -1
    if p.counts[USED] + slots <= p.run.size:
        first = search(p, slots)
    if first < 0:
        p.counts[EXHAUSTED] += 1
        if p.counts[USED] + slots <= p.run.size:
            p.counts[FRAGMENTED] += 1
        return False
    for i in range(first, first + slots):
        p.run[i] = 0
    recount(p, first, 0)
    p.counts[NEXT] = (first + slots) % p.run.size
    p.counts[USED] += slots
    p.counts[PEAK] = max(p.counts[PEAK], p.counts[USED])
    entry = (p.counts[HEAD] + p.counts[QUEUED]) % p.run.size
    p.held[entry, 0] = first
    p.held[entry, 1] = slots
    p.held[entry, 2] = t + p.hold[0]
    p.counts[QUEUED] += 1
    return True


@jit
def search(p, slots):
    """The first slot, from where the last search ended, that begins enough free ones; −1 if there is none."""
    step = 1 if slots == 1 else 2
    start = p.counts[NEXT] // step * step
    for tried in range(0, p.run.size, step):
        i = (start + tried) % p.run.size
        if p.run[i] >= slots:
            return i
    return -1


@jit
def release(p, t):
    """Give back the slots whose time has come by ``t``."""
    while p.counts[QUEUED] > 0 and p.held[p.counts[HEAD], 2] <= t:
        first, slots = p.held[p.counts[HEAD], 0], p.held[p.counts[HEAD], 1]
        end = first + slots
        free = 0 if end % SET_SLOTS == 0 else np.int64(p.run[end])
        for i in range(end - 1, first - 1, -1):
            free += 1
            p.run[i] = free
        recount(p, first, free)
        p.counts[USED] -= slots
        p.counts[HEAD] = (p.counts[HEAD] + 1) % p.run.size
        p.counts[QUEUED] -= 1


@jit
def recount(p, end, free):
    """Count anew for the free slots of a set that lie before ``end``; from there on ``free`` are free."""
    i = end - 1
    while (i + 1) % SET_SLOTS != 0 and p.run[i] != 0:
        free += 1
        p.run[i] = free
        i -= 1
