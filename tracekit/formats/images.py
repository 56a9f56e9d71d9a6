"""Pages of memory images, hashed as they are read: what all readers of images share."""

from collections.abc import Iterator

import numpy as np

from tracekit.digest import page_digests
from tracekit.formats.format import Columns, Tally
from tracekit.formats.pages import ROWS
from tracekit.formats.source import WINDOW_BYTES, Stream
from tracekit.units import PAGE_BYTES

#: No more memory than this is taken to be zero on an image's word alone.
MOST_ZERO_PAGES = (64 << 30) // PAGE_BYTES
CUT = "page beyond the end of the file"
PART = "part of a page at the edge of a range"


def hashed(first: int, memory: memoryview | bytes | np.ndarray, tally: Tally) -> Columns:
    """Records of the whole pages of some memory, of which page ``first`` is the first."""
    digests = page_digests(memory, key=tally.key)
    return {"page": np.arange(first, first + len(digests), dtype=np.uint64), "digest": digests}


def pages(stream: Stream, address: int, size: int, tally: Tally) -> Iterator[Columns]:
    """Records of ``size`` bytes from where a stream is, which lie at ``address`` of the guest's memory.

    Pages that the range holds in part, and those that the file ends before, are dropped.
    """
    ahead = min(-address % PAGE_BYTES, size)
    if ahead:
        tally.drop(PART)
        stream.read(ahead)
    tail = (size - ahead) % PAGE_BYTES
    first, left = (address + ahead) // PAGE_BYTES, (size - ahead - tail) // PAGE_BYTES
    while left:
        memory = stream.view(min(left * PAGE_BYTES, WINDOW_BYTES))
        whole = len(memory) // PAGE_BYTES
        if whole:
            yield hashed(first, memory[: whole * PAGE_BYTES], tally)
        first, left = first + whole, left - whole
        if len(memory) < WINDOW_BYTES and left:
            tally.drop(stream.cut or CUT, min(left, 1 << 62))
            return
    if tail:
        tally.drop(PART)
        stream.read(tail)


def zeros(first: int, count: int, tally: Tally) -> Iterator[Columns]:
    """Records of pages that an image says are zero without holding them."""
    if count > MOST_ZERO_PAGES:
        tally.drop("page said to be zero beyond 64 GiB of such", count - MOST_ZERO_PAGES)
        count = MOST_ZERO_PAGES
    zero = page_digests(bytes(PAGE_BYTES), key=tally.key)[0]
    for begin in range(first, first + count, ROWS):
        page = np.arange(begin, min(begin + ROWS, first + count), dtype=np.uint64)
        yield {"page": page, "digest": np.full(len(page), zero, np.uint64)}
