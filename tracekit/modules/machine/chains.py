"""Hash chains: numbered entries found by a key of 64 bits, linked from buckets, of which there are a power of two."""

import numpy as np

from tracekit.host import NONE
from tracekit.kernel import jit

#: An odd number that spreads others over 64 bits by multiplying them (2^64 over the golden ratio).
SPREAD = np.uint64(0x9E3779B97F4A7C15)


@jit
def bucket_of(bucket, key):
    """Number of the bucket whose chain holds the entry of a key."""
    return np.int64(((np.uint64(key) * SPREAD) >> np.uint64(32)) & np.uint64(bucket.size - 1))


@jit
def entry_of(bucket, chain, keys, key):
    """The entry of a key, or NONE."""
    e = bucket[bucket_of(bucket, key)]
    while e != NONE and keys[e] != key:
        e = chain[e]
    return e


@jit
def chain_in(bucket, chain, key, e):
    """Put an entry into the chain of its key."""
    b = bucket_of(bucket, key)
    chain[e] = bucket[b]
    bucket[b] = e


@jit
def chain_out(bucket, chain, key, e):
    """Take an entry out of the chain of its key."""
    b = bucket_of(bucket, key)
    if bucket[b] == e:
        bucket[b] = chain[e]
        return
    before = bucket[b]
    while chain[before] != e:
        before = chain[before]
    chain[before] = chain[e]
