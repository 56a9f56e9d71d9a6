"""Dials for policies whose hand takes the first page that has not been used since it last passed.

The pages of a pool have places in a row, with a bit each that tells whether the place is taken and one whether its page has
been used: a use sets a bit, and the hand passes over 64 places in one step, without a look at the pages.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tracekit import arrays
from tracekit.bits import lowest
from tracekit.kernel import jit
from tracekit.modules.reclamation.replacement import Pools, Replacement
from tracekit.prefetch import prefetch

#: How far ahead of the hand the processor is told of a page.
AHEAD = 16
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_BOOK = np.dtype([(name, np.int64) for name in ("first", "end", "room", "hand", "vacant", "length")])


class Dial(NamedTuple):
    """The places of all pools; those of a pool begin at a multiple of 64."""

    taken: np.ndarray  # uint64: a bit a place
    used: np.ndarray  # uint64: a bit a place; of places that are not taken it is not set
    page: np.ndarray  # uint32 by place
    place: np.ndarray  # uint32 by page
    book: np.ndarray  # by pool, _BOOK: first place, end of those in use, end of those there are, hand; the policy's own; pages


def dial(pools: Pools, places: Sequence[int]) -> Dial:
    """A dial for each pool, with memory for so many places, of which only what is used is taken."""
    words = [(most + 63) // 64 for most in places]
    book = np.zeros(pools.number, _BOOK).view(np.recarray)
    book["first"] = book["end"] = book["hand"] = 64 * (np.cumsum(words) - words)
    book["room"] = book["first"] + 64 * np.array(words)
    taken, used = (arrays.zeros(sum(words), np.uint64) for _ in range(2))
    return Dial(taken, used, arrays.zeros(64 * sum(words), np.uint32), arrays.zeros(pools.pages, np.uint32), book)


@jit
def bit_of(place):
    """The bit of a place in its word."""
    return _ONE << np.uint64(place & 63)


@jit
def use(d, page):
    """A page on the dial is used."""
    place = d.place[page]
    d.used[place >> np.uint32(6)] |= bit_of(place)


@jit
def put(d, pool, page, place):
    """Put a page at a place that is not taken."""
    d.page[np.uint64(place)] = page
    d.place[page] = place
    d.taken[np.uint64(place >> 6)] |= bit_of(place)
    d.book[pool].length += 1


@jit
def take_off(d, pool, place):
    """Take the page off a place."""
    word, bit = np.uint64(place >> 6), bit_of(place)
    d.taken[word] &= ~bit
    d.used[word] &= ~bit
    d.book[pool].length -= 1


@jit
def sweep(d, place, end):
    """Pass over used places from ``place`` on, which count as unused from then on, to the first that is unused; ``end`` if none is.

    ``end`` is where the places in use end.
    """
    word = place >> 6
    passed = bit_of(place) - _ONE  # bits of places before
    while word << 6 < end:
        w = np.uint64(word)
        unused = d.taken[w] & ~d.used[w] & ~passed
        if unused != _ZERO:
            bit = lowest(unused)
            d.used[w] &= passed | ~((_ONE << np.uint64(bit)) - _ONE)
            return (word << 6) + bit
        d.used[w] &= passed
        passed = _ZERO
        word += 1
    return end


@jit
def next_unused(d, pool):
    """The first unused place from the hand on, around the dial; used ones before it count as unused from then on."""
    b = d.book[pool]
    place = sweep(d, b.hand, b.end)
    while place == b.end:
        place = sweep(d, b.first, b.end)
    return place


@jit
def next_taken(d, place, end):
    """The first place that is taken from ``place`` on; ``end``, where the places in use end, if none is."""
    word = place >> 6
    passed = bit_of(place) - _ONE
    while word << 6 < end:
        taken = d.taken[np.uint64(word)] & ~passed
        if taken != _ZERO:
            return (word << 6) + lowest(taken)
        passed = _ZERO
        word += 1
    return end


class OnDial(Replacement):
    """A policy whose state is a dial."""

    @staticmethod
    @jit
    def soon(s, page):
        prefetch(s.place, page)

    @staticmethod
    @jit
    def touch(s, pool, page):
        use(s, page)

    @staticmethod
    @jit
    def upcoming(s, pool):
        b = s.book[pool]
        return s.page[np.uint64(min(b.hand + AHEAD, b.room - 1))]
