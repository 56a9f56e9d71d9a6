"""A counter-based random generator that lives in a module's own state.

SplitMix64's finalizer (Steele, Lea & Flood 2014) over key + counter. Streams are keyed by (run seed, stage, pool), so
results do not depend on chunks, threads, other stages or library versions.
"""

import numpy as np
import xxhash

from tracekit.kernel import callable_jit

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_ONE = np.uint64(1)


def stream(*key: object) -> np.ndarray:
    """State of the stream named by ``key``: uint64 [key, counter]."""
    return np.array([xxhash.xxh3_64_intdigest(repr(key).encode()), 0], np.uint64)


def streams(count: int, *key: object) -> np.ndarray:
    """States of ``count`` streams, one a row."""
    return np.stack([stream(*key, i) for i in range(count)]) if count else np.empty((0, 2), np.uint64)


@callable_jit
def bits(rng):
    """The stream's next 64 random bits."""
    rng[1] += _ONE
    return mixed(rng[0], rng[1])


@callable_jit
def mixed(key, counter):
    """The random bits at a place of the stream ``key``: always the same ones."""
    z = key + counter * _GOLDEN
    z = (z ^ (z >> _S30)) * _MIX1
    z = (z ^ (z >> _S27)) * _MIX2
    return z ^ (z >> _S31)


@callable_jit
def below(rng, n):
    """A random integer in 0 … n − 1 (n < 2⁵³; bias below n/2⁵³)."""
    return np.int64(np.float64(bits(rng) >> _S11) * (1.0 / 9007199254740992.0) * n)


def sample(rng: np.ndarray, population: int, n: int) -> np.ndarray:
    """``min(n, population)`` distinct integers below ``population``, each set equally likely (Floyd 1987)."""
    with np.errstate(over="ignore"):
        n = min(n, population)
        chosen: dict[int, None] = {}
        for j in range(population - n, population):
            pick = int(below(rng, j + 1))
            chosen[j if pick in chosen else pick] = None
    return np.fromiter(chosen, np.int64, n)
