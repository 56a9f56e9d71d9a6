"""A hash that samples pages: at rate R a page is in the sample if its hash lies below R · 2⁶⁴ (Waldspurger et al., FAST 2015).

Either all accesses of a page are sampled or none. Every page has the same chance, but neighbours do not fall in or out of
the sample together by chance: of each aligned block of 2ᵏ pages exactly one lies below 2⁻ᵏ, any of them alike. That is
stratified sampling (Cochran, *Sampling Techniques*, chapter 5), at all rates at once. Pages near one another are used alike,
so that it errs less than sampling each page by itself, and nowhere more: of a loop over 16 384 neighbours a tenth is
sampled to within a page or two, where ± 38 would be chance.

The hash is a nested uniform scramble of the page's bits in reverse (Owen 1995, in the form of Laine & Karras 2011): adding,
multiplying by odd numbers and x ^= x · even carry bits upward only, so each bit of the hash is a bit of the page number,
flipped or not as the page's higher bits and the key decide.
"""

import numpy as np

from tracekit.kernel import entry, jit
from tracekit.rng import stream

#: Hashes are below this.
ALL = 2.0**64
# Multipliers of N. Vegdahl, "Building a Better LK Hash" (2021).
_EVEN1, _EVEN2, _EVEN3 = np.uint64(0x3D20ADEA), np.uint64(0x05526C56), np.uint64(0x53A22864)
_ONE, _S16, _S32 = np.uint64(1), np.uint64(16), np.uint64(32)
_SWAPS = tuple((np.uint64(s), np.uint64(m)) for s, m in ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F), (8, 0x00FF00FF), (16, 0xFFFF)))
(_R1, _M1), (_R2, _M2), (_R4, _M4), (_R8, _M8), (_R16, _M16) = _SWAPS


@jit
def hash_page(key, page):
    """The hash of a page (uint64), given a key (uint64). No two pages have the same."""
    x = np.uint64(page)
    x = ((x >> _R1) & _M1) | ((x & _M1) << _R1)
    x = ((x >> _R2) & _M2) | ((x & _M2) << _R2)
    x = ((x >> _R4) & _M4) | ((x & _M4) << _R4)
    x = ((x >> _R8) & _M8) | ((x & _M8) << _R8)
    x = ((x >> _R16) & _M16) | ((x & _M16) << _R16)
    x = x << _S32
    x = x ^ (x * _EVEN1)
    x = (x + key) * ((key >> _S16) | _ONE)
    x = x ^ (x * _EVEN2)
    return x ^ (x * _EVEN3)


@entry
def _hash_pages(key, hashes):
    for page in range(hashes.size):
        hashes[page] = hash_page(key[0], page)


def key_of(seed: int) -> np.ndarray:
    """The key that a seed stands for (uint64 [1])."""
    return stream("spatial", seed)[:1]


def limit(rate: float) -> np.uint64:
    """The largest hash that is sampled at a rate from above 0 to 1."""
    return np.uint64(min(int(rate * ALL), 2**64 - 1))


def hashes(pages: int, seed: int) -> np.ndarray:
    """The hashes of pages 0 … ``pages − 1``."""
    found = np.empty(pages, np.uint64)
    with np.errstate(over="ignore"):  # they wrap around when not compiled
        _hash_pages(key_of(seed), found)
    return found
