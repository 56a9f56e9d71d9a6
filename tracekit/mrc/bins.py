"""Histograms of large counts in constant memory: bins of width 1 up to 512, then 256 a power of two.

A bin is at most 1/256 of its value wide; within it values are taken to be spread evenly.
"""

import numpy as np

from tracekit.kernel import jit

_SUB = 256
_SHIFT = 8
_POWERS = 35
#: Bins for values below 2⁴³; larger ones fall into the last.
BINS = _POWERS * _SUB + _SUB


@jit
def bin_of(value):
    """The bin of a value ≥ 0."""
    power = 0
    while value >> power >= 2 * _SUB:
        power += 1
    return min((power << _SHIFT) + (value >> power), BINS - 1)


def edges() -> np.ndarray:
    """Where each bin begins, and the end of the last (int64)."""
    number = np.arange(BINS + 1, dtype=np.int64)
    power = np.maximum(number // _SUB - 1, 0)
    return (number - power * _SUB) << power


def below(counts: np.ndarray, value: np.ndarray) -> np.ndarray:
    """How much of ``counts`` (…, BINS) lies below each value."""
    sums = np.concatenate([np.zeros((*counts.shape[:-1], 1)), np.cumsum(counts, axis=-1)], axis=-1)
    at = edges()
    value = np.clip(value, 0, at[-1])
    i = np.minimum(np.searchsorted(at, value, "right") - 1, BINS - 1)
    part = (value - at[i]) / (at[i + 1] - at[i])
    return sums[..., i] + part * (sums[..., i + 1] - sums[..., i])
