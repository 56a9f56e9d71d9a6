"""Records by address and length, split into rows of one page each, however long a record claims to be."""

from collections.abc import Iterator

import numpy as np

from tracekit.kernel import entry
from tracekit.units import PAGE_BYTES

#: Rows made at a time.
ROWS = 1 << 20
_PAGE, _ONE = np.uint64(PAGE_BYTES), np.uint64(1)


@entry
def _split(address, size, state, record, page, moved):
    """Fill in rows from record ``state[0]``, page ``state[1]`` of it on. Returns rows; ``state`` says where to go on."""
    rows = 0
    i, k = state[0], np.uint64(state[1])
    while i < address.size and rows < record.size:
        first, end = address[i], address[i] + size[i]
        if end <= first:
            i += 1
            continue
        number = first // _PAGE + k
        last = (end - _ONE) // _PAGE
        begin = max(first, number * _PAGE)
        record[rows], page[rows] = i, number
        moved[rows] = min(end - begin, (number + _ONE) * _PAGE - begin)
        rows += 1
        if number == last:
            i, k = i + 1, np.uint64(0)
        else:
            k += _ONE
    state[0], state[1] = i, np.int64(k)
    return rows


def split(address: np.ndarray, size: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The pages of records (uint64 bytes): number of the record, page, and bytes of it in that page, ``ROWS`` rows at a time.

    A record of no bytes, or one that wraps around 2⁶⁴, has no pages.
    """
    state = np.zeros(2, np.int64)
    while state[0] < len(address):
        room = int(min(ROWS, 2 * len(address) + 64))
        record, page, moved = np.empty(room, np.int64), np.empty(room, np.uint64), np.empty(room, np.uint64)
        rows = _split(address, size, state, record, page, moved)
        yield record[:rows], page[:rows], moved[:rows]
