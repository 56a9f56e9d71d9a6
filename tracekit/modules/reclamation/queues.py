"""Queues for policies that keep pages in order of arrival or use, ghosts included: a page is on one queue of its pool at most.

The queues of a pool are numbered from 0. Each is a ring of entries in order of arrival. A page knows its queue and its
place there, and an entry counts only if its page agrees: a page that leaves, or arrives anew, just leaves a stale entry
behind. A ring that is full is closed up, or doubled if more than a quarter of it counts, so a queue costs a sequential
write and one record of the page, whatever order page numbers come in. (A linked list would touch two neighbours somewhere
in memory each time.) Where a policy has to walk the queue or to insert into its middle, see ``lists``.
"""

from typing import NamedTuple

import numpy as np

from tracekit import arrays
from tracekit.host import NONE
from tracekit.kernel import jit, rare
from tracekit.modules.reclamation.replacement import Pools, Replacement
from tracekit.prefetch import prefetch

OFF = 255
#: How far behind the front of a queue the processor is told of a page; of its record it is at twice that.
AHEAD = 16
_FIRST_ROOM = 64
#: What a queue keeps of a page: its entry, counted from the first of its queue; its queue, or OFF; what the policy notes of it.
_PAGE = np.dtype([("place", np.uint32), ("on", np.uint8), ("note", np.uint8), ("", np.uint8, 2)])
_BOOK = np.dtype([(name, np.int64) for name in ("first", "room", "head", "tail", "scout", "length")])


class Queues(NamedTuple):
    """A fixed number of queues for each pool."""

    entry: np.ndarray  # uint32: pages
    page: np.ndarray  # by page: _PAGE
    book: np.ndarray  # (pool, queue) of _BOOK: positions head and tail grow for ever; entry = first + position mod room
    base: np.ndarray  # int64 by pool: its first page
    size: np.ndarray  # int64 by pool: its pages


def queues(pools: Pools, count: int) -> Queues:
    """``count`` empty queues for each pool, with memory for all pages of the pool on each, of which only what is used is taken."""
    page = arrays.zeros(pools.pages, _PAGE).view(np.recarray)
    page.on = OFF
    most = [max(_FIRST_ROOM, 1 << int(4 * size - 1).bit_length()) for size in pools.size for _ in range(count)]
    book = np.zeros((pools.number, count), _BOOK).view(np.recarray)
    book["first"] = (np.cumsum(most) - most).reshape(book.shape)
    book["room"] = _FIRST_ROOM
    return Queues(arrays.zeros(sum(most), np.uint32), page, book, pools.base, pools.size)


@jit
def length(q, pool, which):
    """How many pages are on a queue."""
    return q.book[pool, which].length


@jit
def _index(b, position):
    """The entry of a position."""
    return np.uint64(b.first + (position & (b.room - 1)))


@jit
def _counts(q, b, which, position, page):
    """Whether the entry at a position, of this page, is not stale."""
    record = q.page[page]
    return record.place == (position & (b.room - 1)) and record.on == which


@jit
def push(q, pool, which, page):
    """Put a page that is on no queue at the end of one."""
    q.book[pool, which].length += 1
    _append(q, pool, which, page)


@jit
def _append(q, pool, which, page):
    b = q.book[pool, which]
    if b.head - b.tail == b.room:
        _make_room(q, pool, which)
    head = b.head
    q.entry[_index(b, head)] = page
    record = q.page[page]
    record.place = head & (b.room - 1)
    record.on = which
    b.head = head + 1


@jit
def drop(q, pool, page):
    """Take a page off the queue that it is on."""
    record = q.page[page]
    q.book[pool, record.on].length -= 1
    record.on = OFF


@jit
def move(q, pool, which, page):
    """Move a page from the queue that it is on to the end of one."""
    on = q.page[page].on
    if on != which:
        q.book[pool, on].length -= 1
        q.book[pool, which].length += 1
    _append(q, pool, which, page)


@jit
def at(q, pool, which, position):
    """The page at a position between tail and head of a queue, or NONE if that entry is stale."""
    b = q.book[pool, which]
    page = q.entry[_index(b, position)]
    return page if _counts(q, b, which, position, page) else NONE


@jit
def oldest(q, pool, which):
    """The page at the front of a queue, or NONE."""
    b = q.book[pool, which]
    while b.tail < b.head:
        page = at(q, pool, which, b.tail)
        if page != NONE:
            return page
        _advance(q, b)
    return NONE


@jit
def _advance(q, b):
    """The front of a queue moves on by an entry."""
    b.tail += 1
    prefetch(q.page, q.entry[_index(b, b.tail + 2 * AHEAD)])


@jit
def newest(q, pool, which):
    """The page at the end of a queue, or NONE."""
    b = q.book[pool, which]
    while b.tail < b.head:
        page = at(q, pool, which, b.head - 1)
        if page != NONE:
            return page
        b.head -= 1
    return NONE


@jit
def pop(q, pool, which):
    """Take the page at the front off a queue that is not empty."""
    page = oldest(q, pool, which)
    b = q.book[pool, which]
    _advance(q, b)
    b.length -= 1
    q.page[page].on = OFF
    return page


@jit
def belongs(q, pool, page):
    """Whether a page, which may be another pool's or none at all, is one of this pool's."""
    return q.base[pool] <= page < q.base[pool] + q.size[pool]


@jit
def is_on(q, pool, which, page):
    """Whether a page, which may be another pool's or none at all, is on a queue of this pool."""
    return belongs(q, pool, page) and q.page[page].on == which


@jit
def upcoming(q, pool, which):
    """A page some way behind the front of a queue, or NONE, for the processor to fetch before its turn comes.

    Its record, which tells whether its entry is stale, has been fetched as the front moved on.
    """
    b = q.book[pool, which]
    scout = max(b.scout, b.tail + AHEAD)
    for _ in range(AHEAD):
        if scout >= b.head:
            break
        page = q.entry[_index(b, scout)]
        counts = _counts(q, b, which, scout, page)
        scout += 1
        if counts:
            b.scout = scout
            return page
    b.scout = scout
    return NONE


class Queued(Replacement):
    """A policy with queues as the field ``queue`` of its state."""

    @staticmethod
    @jit
    def soon(s, page):
        prefetch(s.queue.page, page)

    @staticmethod
    @jit
    def remove(s, pool, page):
        drop(s.queue, pool, page)


class OneQueue(NamedTuple):
    """State of a policy that keeps one queue a pool."""

    queue: Queues


@rare
def _make_room(q, pool, which):
    """Close up a ring that is full of stale entries; where less than three quarters are, move to a ring of twice the room."""
    b = q.book[pool, which]
    first, old = b.first, b.room
    to = b.tail
    if 4 * b.length > old:  # the second half of the new ring is unused as yet
        b.room = 2 * old
        to = old
    start = to
    for position in range(b.tail, b.head):
        prefetch(q.page, q.entry[first + ((position + 2 * AHEAD) & (old - 1))])
        page = q.entry[first + (position & (old - 1))]
        record = q.page[page]
        if record.place == (position & (old - 1)) and record.on == which:
            place = to & (b.room - 1)
            q.entry[first + place] = page
            record.place = place
            to += 1
    b.tail, b.head, b.scout = start, to, start
