"""Reuse times, and from them the mean working-set size s(τ) and its misses for all windows τ (Denning & Schwartz 1972).

A page is in W(t, τ) for min(τ, x) of the time x from one use to the next, or to the end, so s(τ) is the sum of these over the
time watched; a use misses if its page was not used within τ before (first uses miss). Reuse times are counted, and summed,
between the windows asked for, so that the curve is exact there.
"""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit

NEVER = np.int64(-(1 << 63))
#: Steps of a decade: the preferred numbers R10 (ISO 3).
_R10 = (100, 125, 160, 200, 250, 315, 400, 500, 630, 800)


class Reuses(NamedTuple):
    """Bin k holds reuse times above window k − 1 and at most window k."""

    last: np.ndarray  # int64 by page: t of its last use, or NEVER
    windows: np.ndarray  # int64 ns, rising from 0; the last holds every reuse time
    counts: np.ndarray  # int64 (vm, window)
    totals: np.ndarray  # float64 (vm, window): ns; exact below 2⁵³
    first: np.ndarray  # int64 by VM: first uses


def windows_up_to(span: int) -> np.ndarray:
    """0, then ten windows a decade from 1 µs, to the first that is no shorter than ``span`` ns."""
    found, scale = [0], 10
    while found[-1] < span or len(found) == 1:
        found += [number * scale for number in _R10]
        scale *= 10
    return np.array(found[: int(np.searchsorted(found, max(span, 1))) + 1], np.int64)


def reuses(pages: int, vms: int, span: int) -> Reuses:
    """Nothing used yet, of what will be used within ``span`` ns."""
    windows = windows_up_to(span)
    bins = (vms, len(windows))
    return Reuses(np.full(pages, NEVER), windows, np.zeros(bins, np.int64), np.zeros(bins), np.zeros(vms, np.int64))


@jit
def see(s, t, vm, page):
    """A page is used."""
    before = s.last[page]
    s.last[page] = t
    if before == NEVER:
        s.first[vm] += 1
        return
    passed = t - before
    low, high = 0, s.windows.size - 1
    while low < high:
        middle = (low + high) >> 1
        if passed <= s.windows[middle]:
            high = middle
        else:
            low = middle + 1
    s.counts[vm, low] += 1
    s.totals[vm, low] += passed


def in_windows(s: Reuses, base: np.ndarray, origin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """s(τ) in pages (float64; NaN if no time has passed) and misses (int64), by VM and window. ``base``: first pages of the VMs."""
    sizes = np.zeros(s.counts.shape)
    for vm, last in enumerate(np.split(s.last, base[1:])):
        ages = end - last[last != NEVER]
        k = np.searchsorted(s.windows, ages)
        ended, spent = (np.bincount(k, weights, len(s.windows) + 1)[:-1] for weights in (None, ages))
        longer = s.counts[vm].sum() + len(ages) - np.cumsum(s.counts[vm] + ended)
        sizes[vm] = np.cumsum(s.totals[vm] + spent) + s.windows.astype(np.float64) * longer
    misses = s.first[:, None] + s.counts.sum(1, keepdims=True) - np.cumsum(s.counts, 1)
    return sizes / (end - origin) if end > origin else sizes * np.nan, misses
