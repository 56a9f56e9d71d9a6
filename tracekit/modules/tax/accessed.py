"""Accessed bits: which pages were touched since the bits were last cleared, all at once."""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit


class Accessed(NamedTuple):
    """Intervals are counted from 1. A page's bit is set if it carries the number of the running interval."""

    touched_in: np.ndarray  # uint32 by page: the interval that it was last touched in; 0 is never
    interval: np.ndarray  # int64 [1]: the running interval
    pages: np.ndarray  # int64 by VM: bits set


def accessed(pages: int, vms: int) -> Accessed:
    """No bit set."""
    return Accessed(np.zeros(pages, np.uint32), np.ones(1, np.int64), np.zeros(vms, np.int64))


@jit
def mark(s, vm, page):
    """A page is touched."""
    if s.touched_in[page] != s.interval[0]:
        s.touched_in[page] = s.interval[0]
        s.pages[vm] += 1


def clear(s: Accessed) -> np.ndarray:
    """Clear all bits; returns how many were set, by VM (int64)."""
    found = s.pages.copy()
    s.interval[0] += 1
    s.pages[:] = 0
    return found
