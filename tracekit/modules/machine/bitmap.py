"""Sets of whole numbers, one a pool, that tell their largest at once: bitmaps with summaries above them.

A set has one bit a number; a bit of a level above says that a word below is not zero. The largest number is found in a
handful of steps, without a heap. The functions take any state that has the arrays ``words`` and ``level``.
"""

import numpy as np

from tracekit.bits import highest
from tracekit.kernel import jit

_ONE = np.uint64(1)
_ZERO = np.uint64(0)


def bitmaps(count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Empty sets of numbers below ``count`` (by pool): ``words`` (uint64) and ``level`` (int64 (pool, levels + 1)), which
    tells where each level begins in words, and the end.
    """
    levels = max(1, *(_levels(int(n)) for n in count))
    level = np.zeros((len(count), levels + 1), np.int64)
    end = 0
    for pool in range(len(count)):
        words = int(count[pool])
        for k in range(levels):
            words = (words >> 6) + 1
            level[pool, k] = end
            end += words
        level[pool, levels] = end
    return np.zeros(end, np.uint64), level


def _levels(numbers: int) -> int:
    levels = 1
    while numbers >> (6 * levels):
        levels += 1
    return levels


@jit
def mark(s, pool, number):
    """Enter a number."""
    i = number
    for level in range(s.level.shape[1] - 1):
        word = s.level[pool, level] + (i >> 6)
        before = s.words[word]
        s.words[word] = before | (_ONE << np.uint64(i & 63))
        if before != _ZERO:
            return
        i >>= 6


@jit
def clear(s, pool, number):
    """Take a number out."""
    i = number
    for level in range(s.level.shape[1] - 1):
        word = s.level[pool, level] + (i >> 6)
        s.words[word] &= ~(_ONE << np.uint64(i & 63))
        if s.words[word] != _ZERO:
            return
        i >>= 6


@jit
def largest(s, pool):
    """The largest number entered."""
    i = 0
    for level in range(s.level.shape[1] - 2, -1, -1):
        i = (i << 6) | highest(s.words[s.level[pool, level] + i])
    return i
