"""A heat map: accesses, and distinct pages used, by bands of a VM's addresses and periods of time."""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit


class Heat(NamedTuple):
    """Counts of the running period. A band of VM v has ``1 << shift[v]`` pages."""

    used_in: np.ndarray  # uint32 by page: the period that it was last used in, counted from 1
    period: np.ndarray  # int64 [1]: the running period
    base: np.ndarray  # int64 by VM: its first page
    shift: np.ndarray  # int64 by VM
    first: np.ndarray  # int64 by VM: its first band
    accesses: np.ndarray  # int64 by band
    pages: np.ndarray  # int64 by band: distinct pages used


def heat(base: np.ndarray, pages: np.ndarray, bands: int) -> Heat:
    """A map before its first period, with at most so many bands a VM; ``base`` and ``pages`` are by VM."""
    shift = np.array([max(0, (-(-int(n) // bands) - 1).bit_length()) for n in pages], np.int64)
    each = -(-pages >> shift)
    number = int(each.sum())
    return Heat(
        used_in=np.zeros(int(pages.sum()), np.uint32),
        period=np.ones(1, np.int64),
        base=base,
        shift=shift,
        first=np.cumsum(each) - each,
        accesses=np.zeros(number, np.int64),
        pages=np.zeros(number, np.int64),
    )


@jit
def see(s, vm, page):
    """A page is used."""
    band = s.first[vm] + ((np.int64(page) - s.base[vm]) >> s.shift[vm])
    s.accesses[band] += 1
    if s.used_in[page] != s.period[0]:
        s.used_in[page] = s.period[0]
        s.pages[band] += 1


def end_period(s: Heat) -> list[tuple[int, int, int, int, int]]:
    """End the running period; returns (VM, first PPN, pages of a band, accesses, pages used) of each band that was used."""
    used = np.flatnonzero(s.accesses)
    vm = np.searchsorted(s.first, used, "right") - 1
    wide = np.int64(1) << s.shift[vm]
    rows = np.column_stack([vm, (used - s.first[vm]) * wide, wide, s.accesses[used], s.pages[used]]).tolist()
    s.period[0] += 1
    s.accesses[:] = s.pages[:] = 0
    return rows
