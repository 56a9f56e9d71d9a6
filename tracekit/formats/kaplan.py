"""Kaplan's page-image sequences: of a program under LRU, each page that is fetched and the page that must leave for it, as images.

A record: ``C`` (first touch) or ``F``, the number of the fetched page (four hexadecimal digits), its 4096 bytes; then ``W``
(the page that leaves was written to), ``R`` (it was not) or ``N`` (memory is not full yet: none leaves), and that page's
number and bytes. Whether ``N`` is followed by these at all is not told where the layout is: the file's first such record shows.
Layout: README of the traces, S. F. Kaplan, Amherst College, 1999.
"""

import re
from collections.abc import Iterator

import numpy as np

from tracekit.formats import images
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.source import Source, Stream
from tracekit.units import PAGE_BYTES

_FETCH, _LEAVES = re.compile(rb"[CF]([0-9a-fA-F]{4})"), re.compile(rb"[WR]([0-9a-fA-F]{4})")
_HALF = 5 + PAGE_BYTES
#: Pages that are hashed at a time.
_PAGES = 1 << 10


def recognise(source: Source) -> bool:
    return _FETCH.match(source.head) is not None and source.head[_HALF : _HALF + 1] in (b"W", b"R", b"N")


def _n_stands_alone(source: Source) -> bool:
    """Whether nothing follows an ``N``, by what comes after the file's first one; if it is none in the first records, it is full."""
    head, at = source.head, 0
    while at + _HALF < len(head):
        if head[at + _HALF] == ord("N"):
            return _FETCH.match(head, at + _HALF + 1) is not None and head[at + 2 * _HALF + 1 : at + 2 * _HALF + 2] in (b"W", b"R", b"N")
        at += 2 * _HALF
    return False


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    alone = _n_stands_alone(source)
    held, memory = list[tuple[int, int, int]](), bytearray()
    with source.open() as stream:
        for record, page, tag, image in _pages(stream, alone, tally):
            held.append((record, page, tag))
            memory += image
            if len(held) == _PAGES:
                yield from _batches(held, memory, tally)
                held, memory = [], bytearray()
        if held:
            yield from _batches(held, memory, tally)
        if stream.cut:
            tally.drop(stream.cut)


def _pages(stream: Stream, alone: bool, tally: Tally) -> Iterator[tuple[int, int, int, bytes]]:
    """Record, page, tag and bytes of each page that is fetched or leaves."""
    record = 0
    while fetch := stream.read(_HALF):
        found = _FETCH.match(fetch)
        if not found or len(fetch) < _HALF:
            tally.drop("record that is cut off, or damaged, and what comes after it")
            return
        yield record, int(found[1], 16), fetch[0], fetch[5:]
        leaves = stream.read(1)
        if leaves != b"N" or not alone:
            leaves += stream.read(_HALF - 1)
            found = _LEAVES.match(leaves)
            if len(leaves) < _HALF or not (found or leaves[:1] == b"N"):
                tally.drop("page that leaves, cut off, or damaged, and what comes after it")
                return
            if found:
                yield record, int(found[1], 16), leaves[0], leaves[5:]
        record += 1


def _batches(held: list[tuple[int, int, int]], memory: bytearray, tally: Tally) -> Iterator[Columns]:
    record, page, tag = (np.array(column, np.uint64) for column in zip(*held))
    if tally.kind == "access":
        leaves = np.isin(tag, (ord("W"), ord("R")))
        tally.drop("page that leaves", np.count_nonzero(leaves))
        yield {"t": record[~leaves], "page": page[~leaves]}
        return
    digest, begin, seen = images.hashed(0, memoryview(memory), tally)["digest"], 0, set[int]()
    for i, each in enumerate([*page.tolist(), -1]):
        if each < 0 or each in seen:  # a batch of contents has no page twice
            yield {"t": record[begin:i], "page": page[begin:i], "digest": digest[begin:i]}
            begin, seen = i, set()
        seen.add(each)


FORMAT = Format(
    "kaplan",
    ("content", "access"),
    "contents of pages as they are fetched and as they leave; or the fetches, in order; t counts records",
    recognise,
    read,
    lacks=frozenset({"exact"}),
    blind=(
        "only what misses in an LRU memory of some size is there; when a page was written to between is not told",
        "one program's own addresses",
    ),
)
