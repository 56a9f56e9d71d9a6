"""Random draws that are the same on every machine and with every version of NumPy.

SplitMix64's finalizer (Steele, Lea & Flood 2014) over key + counter, as in ``tracekit.rng`` but over whole arrays: the
same key gives the same bits there and here. Only integer operations and exactly rounded float ones (+, −, ×, ÷, and
scaling by powers of two) are used, because ``np.log`` and its like differ in the last bit between builds.
"""

import numpy as np
import xxhash

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


def mix(key: int, counters: np.ndarray) -> np.ndarray:
    """Random 64-bit words, one a counter (uint64). Distinct counters give distinct words: the mixing is a bijection."""
    z = counters * _GOLDEN
    z += np.uint64(key)
    shifted = np.empty_like(z)  # large arrays are dear to allocate: everything else is done in place
    for shift, factor in ((_S30, _MIX1), (_S27, _MIX2)):
        z ^= np.right_shift(z, shift, out=shifted)
        z *= factor
    z ^= np.right_shift(z, _S31, out=shifted)
    return z


class Draws:
    """A stream of draws named by ``key`` (texts and ints). What it yields does not depend on how draws are grouped."""

    def __init__(self, *key: str | int):
        self.key = xxhash.xxh3_64_intdigest(repr(key).encode())
        self._drawn = 0

    def bits(self, n: int) -> np.ndarray:
        """The next ``n`` words of 64 random bits (uint64)."""
        first = self._drawn + 1
        self._drawn += n
        return mix(self.key, np.arange(first, first + n, dtype=np.uint64))

    def skip(self, n: int) -> int:
        """Pass over ``n`` words, for a kernel that draws them itself; returns how many were drawn before."""
        self._drawn += n
        return self._drawn - n

    def uniform(self, n: int) -> np.ndarray:
        """``n`` doubles in [0, 1), multiples of 2⁻⁵³."""
        return (self.bits(n) >> _S11).astype(np.float64) * 2.0**-53

    def below(self, limit: int, n: int) -> np.ndarray:
        """``n`` integers (int64) in 0 … limit − 1; ``limit`` up to 2⁶², in steps of limit/2⁵³."""
        return (self.uniform(n) * float(limit)).astype(np.int64)

    def chance(self, probability: float, n: int) -> np.ndarray:
        """``n`` booleans, each true with ``probability``."""
        return self.bits(n) < np.uint64(min(int(probability * 2.0**64), (1 << 64) - 1)) if probability < 1 else np.ones(n, np.bool_)

    def permutation(self, n: int) -> np.ndarray:
        """The integers 0 … n − 1 (int64) in random order."""
        return np.argsort(self.bits(n), kind="stable")


def times(first: int, rows: int, rate: int) -> np.ndarray:
    """Times in ns (int64) of events ``first`` … ``first + rows − 1`` at ``rate`` a second, rounded down."""
    second = 10**9
    whole, rest = divmod(first * second, rate)  # plain integers: the product may exceed 64 bits
    return whole + (rest + np.arange(rows, dtype=np.int64) * second) // rate
