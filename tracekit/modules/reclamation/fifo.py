"""FIFO: the page that has been resident for the longest time leaves (Belady 1966)."""

from typing import NamedTuple

import numpy as np

from tracekit import arrays
from tracekit.kernel import jit, rare
from tracekit.modules.reclamation.replacement import Pools, Replacement

#: How far ahead of the page that leaves next the processor is told of one.
_AHEAD = 16
_FIRST_ROOM = 64
_BOOK = np.dtype([(name, np.int64) for name in ("first", "room", "head", "tail", "stale")])


class Arrivals(NamedTuple):
    """A ring of pages in order of arrival for each pool.

    A page that leaves by another's choice leaves its entry behind; only the latest entry of a page can be good, so it is
    enough to know how many of a page's entries are stale.
    """

    entry: np.ndarray  # uint32: pages
    stale: np.ndarray  # uint32 by page: its stale entries
    book: np.ndarray  # by pool, _BOOK: positions head and tail grow for ever; entry = first + position mod room


class Fifo(Replacement):
    """First in, first out. Belady 1966. Misses equal libCacheSim's FIFO exactly."""

    name = "fifo"

    def state(self, pools: Pools) -> Arrivals:
        most = [max(_FIRST_ROOM, 1 << int(2 * size - 1).bit_length()) for size in pools.size]
        book = np.zeros(pools.number, _BOOK).view(np.recarray)
        book["first"], book["room"] = np.cumsum(most) - most, _FIRST_ROOM
        return Arrivals(arrays.zeros(sum(most), np.uint32), arrays.zeros(pools.pages, np.uint32), book)

    @staticmethod
    @jit
    def admit(s, pool, page):
        b = s.book[pool]
        if b.head - b.tail == b.room:
            _make_room(s, pool)
        head = b.head
        s.entry[np.uint64(b.first + (head & (b.room - 1)))] = page
        b.head = head + 1

    @staticmethod
    @jit
    def remove(s, pool, page):
        s.stale[page] += 1
        s.book[pool].stale += 1

    @staticmethod
    @jit
    def victim(s, pool, page):
        b = s.book[pool]
        while True:
            tail = b.tail
            leaves = s.entry[np.uint64(b.first + (tail & (b.room - 1)))]
            b.tail = tail + 1
            if b.stale == 0 or not _is_stale(s, pool, leaves):
                return leaves

    @staticmethod
    @jit
    def upcoming(s, pool):
        b = s.book[pool]
        return s.entry[np.uint64(b.first + ((b.tail + _AHEAD) & (b.room - 1)))]


@jit
def _is_stale(s, pool, page):
    """Whether the entry of a page that the ring has come to is stale; then there is one less."""
    if s.stale[page] == 0:
        return False
    s.stale[page] -= 1
    s.book[pool].stale -= 1
    return True


@rare
def _make_room(s, pool):
    """Close up a ring that is full; where that would not gain half of it, move to a ring of twice the room."""
    b = s.book[pool]
    first, old = b.first, b.room
    start = to = b.tail
    if 2 * (old - b.stale) > old:  # the second half of the new ring is unused as yet
        b.room = 2 * old
        start = to = old
    for position in range(b.tail, b.head):
        page = s.entry[first + (position & (old - 1))]
        if not _is_stale(s, pool, page):
            s.entry[first + (to & (b.room - 1))] = page
            to += 1
    b.tail, b.head = start, to
