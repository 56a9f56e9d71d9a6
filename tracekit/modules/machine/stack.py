"""The LRU stack of each pool: how many other pages were used since a page was last used (Mattson et al. 1970).

Each access takes the next slot of its pool, and the slot of a page's last access has its bit set: the stack distance is
the number of bits behind it. Bits are counted by the word within a block of 512 and by a Fenwick tree over the blocks
(the newest block, which changes all the time, is left out of the tree). When the slots are used up the pages are
renumbered, which costs a step an access and bounds memory by pages, whatever the trace's length.
"""

from typing import NamedTuple

import numpy as np

from tracekit.bits import ones
from tracekit.kernel import jit

NEVER = np.uint32(0xFFFFFFFF)
BLOCK = 512
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_ALL = ~np.uint64(0)


class Stack(NamedTuple):
    """The stacks of all pools; slots are counted within a pool, blocks and words likewise."""

    last: np.ndarray  # uint32 by page: slot of its last access, or NEVER
    owner: np.ndarray  # uint32 by slot: the page that took it
    word: np.ndarray  # uint64: a bit a slot
    tree: np.ndarray  # int32: a Fenwick tree over the blocks before the newest
    first: np.ndarray  # int64 by pool: its first slot, a multiple of BLOCK
    slots: np.ndarray  # int64 by pool: how many it has
    now: np.ndarray  # int64 by pool: the next slot
    live: np.ndarray  # int64 by pool: pages on the stack
    fresh: np.ndarray  # int64 by pool: those in the newest block


def stacks(pages: int, members: np.ndarray) -> Stack:
    """Empty stacks for pages 0 … ``pages − 1``; ``members`` are the most pages that each pool can hold."""
    slots = (2 * np.asarray(members, np.int64) // BLOCK + 1) * BLOCK
    total = int(slots.sum())
    zero = np.zeros(len(slots), np.int64)
    return Stack(
        last=np.full(pages, NEVER),
        owner=np.zeros(total, np.uint32),
        word=np.zeros(total // 64, np.uint64),
        tree=np.zeros(total // BLOCK, np.int32),
        first=np.cumsum(slots) - slots,
        slots=slots,
        now=zero,
        live=zero.copy(),
        fresh=zero.copy(),
    )


@jit
def _add(s, pool, block, count):
    """Enter a change of a closed block."""
    base, blocks = (s.first[pool] >> 9) - 1, s.slots[pool] >> 9
    i = block + 1
    while i <= blocks:
        s.tree[base + i] += count
        i += i & -i


@jit
def _behind(s, pool, slot):
    """Bits set behind a slot."""
    block, base = slot >> 9, s.first[pool] >> 6
    word = base + (slot >> 6)
    count = ones((s.word[word] >> np.uint64(slot & 63)) >> _ONE)
    for i in range(word + 1, base + ((block + 1) << 3)):
        count += ones(s.word[i])
    if block == s.now[pool] >> 9:
        return count
    count += s.live[pool]  # with those in the newest block; less all up to this block
    tree = (s.first[pool] >> 9) - 1
    i = block + 1
    while i > 0:
        count -= s.tree[tree + i]
        i &= i - 1
    return count


@jit
def _clear(s, pool, slot):
    s.word[(s.first[pool] + slot) >> 6] &= ~(_ONE << np.uint64(slot & 63))
    s.live[pool] -= 1
    if slot >> 9 == s.now[pool] >> 9:
        s.fresh[pool] -= 1
    else:
        _add(s, pool, slot >> 9, -1)


@jit
def _renumber(s, pool):
    """Move the pages on the stack to the first slots, in their order."""
    first, slots = s.first[pool], s.slots[pool]
    kept = 0
    for i in range(slots):
        if (s.word[(first + i) >> 6] >> np.uint64(i & 63)) & _ONE != _ZERO:
            page = s.owner[first + i]
            s.owner[first + kept] = page
            s.last[page] = kept
            kept += 1
    for i in range(slots >> 6):
        left = kept - (i << 6)
        s.word[(first >> 6) + i] = _ALL if left >= 64 else (_ONE << np.uint64(left)) - _ONE if left > 0 else _ZERO
    for i in range(slots >> 9):
        s.tree[(first >> 9) + i] = 0
    for block in range(kept >> 9):
        _add(s, pool, block, BLOCK)
    s.now[pool] = kept
    s.fresh[pool] = kept & (BLOCK - 1)


@jit
def touch(s, pool, page):
    """Use a page. Returns how many others were used since it last was, or −1 if it was not on the stack."""
    others = np.int64(-1)
    slot = np.int64(s.last[page])
    if slot != np.int64(NEVER):
        if slot == s.now[pool] - 1:
            return np.int64(0)
        others = _behind(s, pool, slot)
        _clear(s, pool, slot)
    now, first = s.now[pool], s.first[pool]
    s.last[page] = now
    s.owner[first + now] = page
    s.word[(first + now) >> 6] |= _ONE << np.uint64(now & 63)
    s.live[pool] += 1
    s.fresh[pool] += 1
    s.now[pool] = now + 1
    if (now + 1) & (BLOCK - 1) == 0:
        _add(s, pool, now >> 9, s.fresh[pool])
        s.fresh[pool] = 0
        if now + 1 == s.slots[pool]:
            _renumber(s, pool)
    return others


@jit
def remove(s, pool, page):
    """Take a page off its stack."""
    _clear(s, pool, np.int64(s.last[page]))
    s.last[page] = NEVER
