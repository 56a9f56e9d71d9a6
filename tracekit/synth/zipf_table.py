"""Zipf's weights k^−α as integers, the same to the last bit everywhere.

The weights are computed in float64 with nothing but exactly rounded operations (+, −, ×, ÷, splitting off and adding
exponents), then fixed to integers, so that their sums are exact in any order.
"""

import math

import numpy as np

from tracekit.kernel import entry
from tracekit.rng import mixed
from tracekit.synth.draws import Draws

_LN2 = 0.6931471805599453
_SQRT_HALF = 0.7071067811865476


#: Parts that a slot of the alias table is divided in, as a power of two.
_BITS = 32


class Zipf:
    """Draws pages under Zipf's law, each by one look into a table: Walker's alias method, in integers.

    A page's slot has 2³² parts; those below its threshold are its own, the others belong to its alias. Weights are off by at
    most one part of a page's mean share, save the first rank's, which takes up the rounding of all.
    """

    def __init__(self, by_rank: np.ndarray, alpha: float):
        pages = len(by_rank)
        weights = np.diff(cumulative_weights(pages, alpha), prepend=0)
        self.share_of_first = float(weights[0]) / float(weights.sum())
        parts = np.maximum((weights / float(weights.sum()) * float(pages << _BITS)).astype(np.int64), 1)
        parts[0] += (pages << _BITS) - int(parts.sum())
        by_page = np.empty(pages, np.int64)
        by_page[by_rank] = parts
        self.table = np.zeros((pages, 2), np.uint32)  # threshold, alias
        _alias(by_page, np.empty(pages, np.uint32), self.table)

    def draw(self, draws: Draws, n: int) -> np.ndarray:
        """The next ``n`` pages (uint32)."""
        found = np.empty(n, np.uint32)
        with np.errstate(over="ignore"):
            _draw(np.uint64(draws.key), np.uint64(draws.skip(n)), self.table, found)
        return found


@entry
def _alias(parts, waiting, table):
    """Fill the table (Vose 1991): slots with too little are filled up by ones with too much, from page 0 on."""
    full = np.int64(1) << _BITS
    small, large = 0, parts.size  # two stacks in one array: too little from the front, too much from the back
    for page in range(parts.size):
        if parts[page] < full:
            waiting[small] = page
            small += 1
        else:
            large -= 1
            waiting[large] = page
    while small > 0 and large < parts.size:
        small -= 1
        page, rich = waiting[small], waiting[large]
        table[page, 0], table[page, 1] = parts[page], rich
        parts[rich] -= full - parts[page]
        if parts[rich] < full:
            large += 1
            waiting[small] = rich
            small += 1
    while large < parts.size:  # whole slots: nothing is the alias's, which is the page itself
        table[waiting[large], 1] = waiting[large]
        large += 1


@entry
def _draw(key, drawn, table, found):
    pages, half = np.uint64(table.shape[0]), np.uint64(_BITS)
    low_bits = (np.uint64(1) << half) - np.uint64(1)
    for i in range(found.size):
        bits = mixed(key, drawn + np.uint64(i + 1))
        low = (bits & low_bits) * pages
        high = (bits >> half) * pages + (low >> half)  # bits × pages / 2³²: the slot, then where in it
        slot = high >> half
        threshold, alias = table[slot, 0], np.uint64(table[slot, 1])  # both read first: then nothing need be guessed
        found[i] = slot if (high & low_bits) < threshold else alias


def cumulative_weights(pages: int, alpha: float) -> np.ndarray:
    """Cumulative integer weights (int64) of ranks 1 … pages under Zipf(alpha); the last is the total, below 2⁶².

    A weight is off by at most pages/2⁵⁹ of the first rank's; every rank has a weight of at least 1.
    """
    log2 = _log2(np.arange(1, pages + 1, dtype=np.float64))
    shift = 61 - pages.bit_length()
    weights = np.ldexp(_exp2(-alpha * log2), shift).astype(np.int64)
    return np.cumsum(np.maximum(weights, 1))


def _log2(x: np.ndarray) -> np.ndarray:
    """log₂ of x > 0 to about 1e-15: ln m = 2 artanh((m − 1)/(m + 1)) for the mantissa m in [√½, √2)."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < _SQRT_HALF
    mantissa = np.where(small, mantissa * 2.0, mantissa)
    exponent = exponent - small
    s = (mantissa - 1.0) / (mantissa + 1.0)
    square, series = s * s, np.zeros_like(s)
    for odd in range(25, 0, -2):  # |s| ≤ 0.172: the next term is below 1e-20
        series = series * square + 1.0 / odd
    return exponent + s * series * (2.0 / _LN2)


def _exp2(y: np.ndarray) -> np.ndarray:
    """2^y to about 1e-15 by Taylor's series of e^x about the nearest whole power."""
    whole = np.rint(y)
    x, series = (y - whole) * _LN2, np.zeros_like(y)
    for n in range(17, -1, -1):  # |x| ≤ 0.347: the next term is below 1e-23
        series = series * x + 1.0 / math.factorial(n)
    return np.ldexp(series, np.maximum(whole, -2000.0).astype(np.int32))
