"""SIEVE: a hand sweeps a FIFO queue from old to new and takes out the first page not used since it last passed.

Y. Zhang, J. Yang, Y. Yue, Y. Vigfusson and K. V. Rashmi, "SIEVE is Simpler than LRU: an Efficient Turn-Key Eviction
Algorithm for Web Caches", NSDI 2024. No parameters.
"""

import numpy as np

from tracekit.bits import lowest
from tracekit.kernel import jit, rare
from tracekit.modules.reclamation.dials import Dial, OnDial, bit_of, dial, next_taken, next_unused, put, take_off
from tracekit.modules.reclamation.replacement import Pools

_ZERO = np.uint64(0)
_FIRST_ROOM = 64


class Sieve(OnDial):
    """SIEVE: unlike CLOCK, survivors stay where they are in the queue, and new pages do not join behind the hand.

    A page that leaves leaves its place empty; when the row of places is used up, it is closed up. Zhang et al., NSDI 2024.
    Misses equal libCacheSim's Sieve exactly.
    """

    name = "sieve"

    def state(self, pools: Pools) -> Dial:
        row = dial(pools, [max(_FIRST_ROOM, 1 << (4 * size - 1).bit_length()) for size in pools.size.tolist()])
        row.book["room"] = row.book["first"] + _FIRST_ROOM
        return row

    @staticmethod
    @jit
    def admit(s, pool, page):
        b = s.book[pool]
        if b.end == b.room:
            _close_up(s, pool)
        put(s, pool, page, b.end)
        b.end += 1

    @staticmethod
    @jit
    def remove(s, pool, page):
        take_off(s, pool, np.int64(s.place[page]))
        _rest(s, pool, s.book[pool].hand)

    @staticmethod
    @jit
    def victim(s, pool, page):
        place = next_unused(s, pool)
        take_off(s, pool, place)
        _rest(s, pool, place + 1)
        return s.page[np.uint64(place)]


@jit
def _rest(s, pool, place):
    """The hand has come to a place; past the newest page it goes back to the oldest at once, so that a page which joins the
    queue now is not taken for one that the hand has come to."""
    b = s.book[pool]
    place = next_taken(s, place, b.end)
    b.hand = place if place < b.end else b.first


@rare
def _close_up(s, pool):
    """Close up the row of places; where more than a quarter of it is taken, it has twice the room from now on."""
    b = s.book[pool]
    to = b.first
    hand = b.hand
    for word in range(b.first >> 6, (b.end + 63) >> 6):
        taken, used = s.taken[word], s.used[word]
        s.taken[word] = s.used[word] = _ZERO
        while taken != _ZERO:
            place = (word << 6) + lowest(taken)
            if place == b.hand:
                hand = to
            page = s.page[place]
            s.page[to] = page
            s.place[page] = to
            s.taken[to >> 6] |= bit_of(to)
            if used & bit_of(place) != _ZERO:
                s.used[to >> 6] |= bit_of(to)
            taken &= taken - np.uint64(1)
            to += 1
    if 4 * b.length > b.room - b.first:
        b.room = b.first + 2 * (b.room - b.first)
    b.end, b.hand = to, hand
