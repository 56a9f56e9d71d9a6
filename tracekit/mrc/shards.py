"""SHARDS: the LRU curve of a sample of pages, chosen by a hash (Waldspurger et al., FAST 2015).

A page is sampled if its hash lies below a threshold, so at rate R either all of its accesses are or none. Among sampled
pages a stack distance is R times what it is among all: d sampled pages in between stand for d/R to (d + 1)/R pages (a
number drawn evenly from there is taken, but no more than there were accesses in between), an access for 1/R accesses.
*Fixed rate* keeps the threshold. *Fixed size* keeps the pages with the smallest hashes seen so far: when there are too
many the largest is dropped and the threshold falls below its hash. *-adj*: where the sample stands for more or fewer
accesses than there were, popular pages are the reason, and the difference is hits (or no hits) at distance 0. The hash
stratifies the sample (``tracekit.spatial``), which the paper's does not: a cliff of the curve, such as a loop makes, stays
where it is.

The 95 % interval adds up two errors. (1) Popularity: the sample falls into GROUPS parts, each a SHARDS sample of rate
R/GROUPS with a curve of its own, from the same pass, and Student's t of their spread (less the part 1 − R that a sample
without replacement leaves) is the error of their mean. (2) Distance: were pages sampled one by one, of c pages a binomial
number would be, so the size c may really be c ± (1.96 √(c (1 − R)/R) + 1/R − 1); the curve's values there are taken. As the
sample is stratified this is more than enough where pages near one another are used alike.

Memory is 16 bytes a page of the trace, and some 30 a page sampled.
"""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import entry, jit
from tracekit.modules.machine.stack import NEVER, remove, stacks, touch
from tracekit.mrc.bins import BINS, below, bin_of
from tracekit.mrc.pools import Pools
from tracekit.mrc.table import Curve
from tracekit.spatial import ALL, hash_page, key_of, limit

GROUPS = 10
_T = 2.262  # 97.5 % of Student's t with GROUPS − 1 degrees of freedom
_Z = 1.96
_GOLDEN, _MIX1, _MIX2 = (np.uint64(m) for m in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_LOW = np.uint64(0xFFFF)


class Sample(NamedTuple):
    """What is sampled of each pool, and what it says."""

    key: np.ndarray  # uint64 [1]
    slice: np.ndarray  # float64 [1]: hashes of a group (fixed rate only)
    threshold: np.ndarray  # uint64 by pool: the largest hash that is sampled
    heap: np.ndarray  # uint64 (pool, size): hashes of the pages sampled, largest first (fixed size only)
    held: np.ndarray  # uint32 (pool, size): their pages
    taken: np.ndarray  # int64 by pool: how many
    accesses: np.ndarray  # int64 by pool
    sampled: np.ndarray  # int64 by pool
    when: np.ndarray  # int64 by page: number of its last access in its pool
    cold: np.ndarray  # float64 (pool, 1 + GROUPS): first uses that the sample and its groups stand for
    hits: np.ndarray  # float64 (pool, 1 + GROUPS, BINS): accesses that they stand for, by the size that they hit in


@jit
def _mix(x):
    """SplitMix64's finalizer."""
    x = (x ^ (x >> _S30)) * _MIX1
    x = (x ^ (x >> _S27)) * _MIX2
    return x ^ (x >> _S31)


@jit
def _group(s, hashed):
    """Which part of the sample: at a fixed rate a slice of the hashes, stratified as the sample is, else by chance."""
    if s.heap.shape[1] == 0:
        return min(np.int64(np.float64(hashed) / s.slice[0]), GROUPS - 1)
    return np.int64(_mix(hashed) & _LOW) % GROUPS


@entry
def _members(s, first, pages, members):
    """Count the pages that can be sampled, by pool and group."""
    for pool in range(first.size):
        for page in range(first[pool], first[pool] + pages[pool]):
            hashed = hash_page(s.key[0], page)
            if hashed <= s.threshold[pool]:
                members[pool * GROUPS + _group(s, hashed)] += 1


@jit
def _enter(s, pool, hashed, page):
    """Put a page in the heap. Returns the page that leaves it for that, or NEVER."""
    heap, held, size, n = s.heap[pool], s.held[pool], s.heap.shape[1], s.taken[pool]
    if n < size:
        s.taken[pool] = n + 1
        while n > 0 and heap[(n - 1) >> 1] < hashed:
            heap[n], held[n] = heap[(n - 1) >> 1], held[(n - 1) >> 1]
            n = (n - 1) >> 1
        heap[n], held[n] = hashed, page
        return NEVER
    if hashed > heap[0]:
        s.threshold[pool] = hashed - np.uint64(1)
        return np.uint32(page)
    leaves = held[0]
    s.threshold[pool] = heap[0] - np.uint64(1)
    i = 0
    while True:
        child = 2 * i + 1
        if child + 1 < size and heap[child + 1] > heap[child]:
            child += 1
        if child >= size or heap[child] <= hashed:
            break
        heap[i], held[i] = heap[child], held[child]
        i = child
    heap[i], held[i] = hashed, page
    return leaves


@jit
def _record(s, pool, part, others, reuse, weight, spread):
    if others < 0:
        s.cold[pool, part] += weight
    else:
        s.hits[pool, part, bin_of(min(np.int64(1.0 + (others + spread) * weight), reuse))] += weight


@entry
def _see(s, whole, parts, pool, page):
    for i in range(page.size):
        p, x = np.int64(pool[i]), page[i]
        s.accesses[p] += 1
        hashed = hash_page(s.key[0], x)
        if hashed > s.threshold[p]:
            continue
        if whole.last[x] == NEVER and s.heap.shape[1] > 0:
            leaves = _enter(s, p, hashed, x)
            if leaves == x:
                continue
            if leaves != NEVER:
                remove(whole, p, leaves)
                remove(parts, p * GROUPS + _group(s, hash_page(s.key[0], leaves)), leaves)
        s.sampled[p] += 1
        weight = ALL / (np.float64(s.threshold[p]) + 1.0)
        spread = np.float64(_mix(np.uint64(s.sampled[p]) * _GOLDEN) >> _S11) * (1.0 / 9007199254740992.0)
        group = _group(s, hashed)
        reuse = s.accesses[p] - s.when[x]
        s.when[x] = s.accesses[p]
        _record(s, p, 0, touch(whole, p, x), reuse, weight, spread)
        _record(s, p, 1 + group, touch(parts, p * GROUPS + group, x), reuse, weight * GROUPS, spread)


def shards(pools: Pools, rate: float, size: int, seed: int) -> list[Curve]:
    """The curves of all pools, from pages sampled at ``rate``, or at most ``size`` (if not 0) a pool."""
    n, pages = len(pools), pools.trace.pages
    size = min(size, int(pools.pages.max()))
    zero = np.zeros(n, np.int64)
    s = Sample(
        key=key_of(seed),
        slice=np.array([rate * ALL / GROUPS]),
        threshold=np.full(n, limit(rate)),
        heap=np.zeros((n, size), np.uint64),
        held=np.zeros((n, size), np.uint32),
        taken=zero,
        accesses=zero.copy(),
        sampled=zero.copy(),
        when=np.zeros(pages, np.int64),
        cold=np.zeros((n, 1 + GROUPS)),
        hits=np.zeros((n, 1 + GROUPS, BINS)),
    )
    members = np.zeros(n * GROUPS, np.int64)
    _members(s, pools.first, pools.pages, members)
    most = size + 1 if size else pages
    whole = stacks(pages, np.minimum(members.reshape(n, GROUPS).sum(1), most))
    parts = stacks(pages, np.minimum(members, most))
    for pool, page in pools.rows():
        _see(s, whole, parts, pool, page)
    named = zip(pools.names, pools.pages.tolist())
    return [_curve(s, pool, name, most) for pool, (name, most) in enumerate(named) if s.accesses[pool]]


def _curve(s: Sample, pool: int, vm: str, pages: int) -> Curve:
    accesses, sampled, cold, hits = int(s.accesses[pool]), int(s.sampled[pool]), s.cold[pool], s.hits[pool]
    rate = (float(s.threshold[pool]) + 1.0) / ALL
    missing = accesses - cold - hits.sum(1)  # -adj

    def ratio(part: slice, sizes: np.ndarray) -> np.ndarray:
        found = below(hits[part], np.floor(sizes) + 1) + np.where(sizes >= 1, missing[part, None], 0.0)
        return 1.0 - found / accesses

    def at(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        nothing = np.zeros(len(sizes))
        if not sampled:
            return nothing + np.nan, nothing, nothing + 1.0
        whole = slice(0, 1)
        found = ratio(whole, sizes)[0]
        error = _T * np.sqrt(ratio(slice(1, None), sizes).var(0, ddof=1) / GROUPS * (1.0 - rate))
        reach = _Z * np.sqrt(sizes * (1.0 - rate) / rate) + 1.0 / rate - 1.0
        low = np.minimum(found, ratio(whole, sizes + reach)[0]) - error
        high = np.maximum(found, ratio(whole, sizes - reach)[0]) + error
        found, low, high = np.clip((found, low, high), 0.0, 1.0)
        return found, low, high

    return Curve(vm, min(round(float(cold[0])), pages), accesses, sampled, at)
