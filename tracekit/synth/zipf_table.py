"""Zipf's weights k^−α as integers, the same to the last bit everywhere.

The weights are computed in float64 with nothing but exactly rounded operations (+, −, ×, ÷, splitting off and adding
exponents), then fixed to integers, so that their sums are exact in any order.
"""

import math

import numpy as np

_LN2 = 0.6931471805599453
_SQRT_HALF = 0.7071067811865476


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
