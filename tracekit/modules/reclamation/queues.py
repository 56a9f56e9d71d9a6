"""Queues for policies that keep pages in order of arrival or use, ghosts included: a page is on one queue of its pool at most.

The queues of a pool are numbered from 0. Each is a ring of entries in order of arrival: a page that leaves from the
middle leaves a hole, and a page that is used again leaves a hole and arrives anew. A ring that is full is closed up, or
doubled if it is more than half full of pages, so a queue costs a sequential write and no more, whatever order page
numbers come in. (A linked list would touch two neighbours somewhere in memory each time.) Where a policy has to walk the
queue or to insert into its middle, see ``lists``.
"""

from typing import NamedTuple

import numpy as np

from tracekit import arrays
from tracekit.host import NONE
from tracekit.kernel import jit, rare
from tracekit.modules.reclamation.replacement import Pools, Replacement
from tracekit.prefetch import prefetch

OFF = 255
#: How far ahead of the front of a queue the processor is told of a page.
AHEAD = 16
_FIRST_ROOM = 64
_PAGE = np.dtype([("place", np.uint32), ("on", np.uint8), ("note", np.uint8), ("", np.uint8, 2)])
_BOOK = np.dtype([(name, np.int64) for name in ("first", "room", "head", "tail", "hand", "scout", "length")])


class Queues(NamedTuple):
    """A fixed number of queues for each pool."""

    entry: np.ndarray  # uint32: pages, or NONE for a hole
    place: np.ndarray  # uint32 by page: its entry, counted from the first of its queue
    on: np.ndarray  # uint8 by page: the queue that it is on, or OFF
    note: np.ndarray  # uint8 by page: what the policy notes of it
    book: np.ndarray  # (pool, queue) of _BOOK: positions head and tail grow for ever; entry = first + position mod room
    length: np.ndarray  # int64 (pool, queue): pages on it
    base: np.ndarray  # int64 by pool: its first page
    size: np.ndarray  # int64 by pool: its pages


def queues(pools: Pools, count: int) -> Queues:
    """``count`` empty queues for each pool, with memory for all pages of the pool on each, of which only what is used is taken."""
    page = arrays.zeros(pools.pages, _PAGE)
    page["on"] = OFF
    most = [max(_FIRST_ROOM, 1 << int(2 * size - 1).bit_length()) for size in pools.size for _ in range(count)]
    book = np.zeros((pools.number, count), _BOOK).view(np.recarray)
    book["first"] = (np.cumsum(most) - most).reshape(book.shape)
    book["room"], book["hand"] = _FIRST_ROOM, -1
    return Queues(arrays.zeros(sum(most), np.uint32), page["place"], page["on"], page["note"], book, book["length"], pools.base, pools.size)


@jit
def push(q, pool, which, page):
    """Put a page that is on no queue at the end of one."""
    b = q.book[pool, which]
    if b.head - b.tail == b.room:
        _make_room(q, pool, which)
    place = b.head & (b.room - 1)
    q.entry[b.first + place] = page
    q.place[page] = place
    q.on[page] = which
    b.head += 1
    b.length += 1


@jit
def drop(q, pool, page):
    """Take a page off the queue that it is on."""
    b = q.book[pool, q.on[page]]
    q.entry[b.first + q.place[page]] = NONE
    q.on[page] = OFF
    b.length -= 1


@jit
def move(q, pool, which, page):
    """Move a page from the queue that it is on to the end of one."""
    b = q.book[pool, which]
    if q.entry[b.first + ((b.head - 1) & (b.room - 1))] != page or q.on[page] != which:
        drop(q, pool, page)
        push(q, pool, which, page)


@jit
def oldest(q, pool, which):
    """The page at the front of a queue, or NONE."""
    b = q.book[pool, which]
    while b.tail < b.head:
        page = q.entry[b.first + (b.tail & (b.room - 1))]
        if page != NONE:
            return page
        b.tail += 1
    return NONE


@jit
def newest(q, pool, which):
    """The page at the end of a queue, or NONE."""
    b = q.book[pool, which]
    while b.tail < b.head:
        page = q.entry[b.first + ((b.head - 1) & (b.room - 1))]
        if page != NONE:
            return page
        b.head -= 1
    return NONE


@jit
def pop(q, pool, which):
    """Take the page at the front off a queue that is not empty."""
    page = oldest(q, pool, which)
    b = q.book[pool, which]
    b.tail += 1
    b.length -= 1
    q.on[page] = OFF
    return page


@jit
def is_on(q, pool, which, page):
    """Whether a page, which may be another pool's or none at all, is on a queue of this pool."""
    return q.base[pool] <= page < q.base[pool] + q.size[pool] and q.on[page] == which


@jit
def upcoming(q, pool, which, front):
    """A page some way behind the position ``front`` of a queue, or NONE; the processor fetches it for when its turn comes."""
    b = q.book[pool, which]
    front = max(front, b.tail) + AHEAD
    if b.scout < front or b.scout > front + 4 * AHEAD:
        b.scout = front
    for _ in range(AHEAD):
        if b.scout >= b.head:
            break
        page = q.entry[b.first + (b.scout & (b.room - 1))]
        b.scout += 1
        if page != NONE:
            prefetch(q.place, page)
            return page
    return NONE


class Queued(Replacement):
    """A policy with queues as the field ``queue`` of its state."""

    @staticmethod
    @jit
    def soon(s, page):
        prefetch(s.queue.place, page)

    @staticmethod
    @jit
    def remove(s, pool, page):
        drop(s.queue, pool, page)


class OneQueue(NamedTuple):
    """State of a policy that keeps one queue a pool."""

    queue: Queues


@rare
def _make_room(q, pool, which):
    """Close up the holes of a ring that is full; where that would not gain half of it, move to a ring of twice the room."""
    b = q.book[pool, which]
    first, old = b.first, b.room
    to = b.tail
    if 2 * b.length > old:  # the second half of the new ring is unused as yet
        b.room = 2 * old
        to = old
    hand, start = np.int64(-1), to
    for position in range(b.tail, b.head):
        if position == b.hand:
            hand = to
        page = q.entry[first + (position & (old - 1))]
        if page != NONE:
            place = to & (b.room - 1)
            q.entry[first + place] = page
            q.place[page] = place
            to += 1
    b.tail, b.head, b.hand, b.scout = start, to, hand, start
