"""Digests of pages against xxhash, one page at a time."""

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from tracekit.digest import key_seed, page_digests
from tracekit.schema import ZERO_DIGEST


def by_xxhash(data: bytes, page_bytes: int, seed: int = 0) -> list[int]:
    return [xxhash.xxh3_64_intdigest(data[i : i + page_bytes], seed) for i in range(0, len(data), page_bytes)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(241, 9000), st.integers(0, 5), st.none() | st.binary(max_size=40), st.integers(0, 255))
def test_equals_xxhash_for_pages_of_all_lengths(seed, page_bytes, count, key, mask):
    data = (np.random.default_rng(seed).integers(0, 256, page_bytes * count, np.uint8) & mask).tobytes()
    expected = by_xxhash(data, page_bytes, 0 if key is None else key_seed(key))
    assert page_digests(data, page_bytes, key).tolist() == expected


@pytest.mark.parametrize("threads", [1, 2, 3, None])
def test_threads_and_owners_of_the_memory_make_no_difference(threads):
    pages = np.random.default_rng(1).integers(0, 1 << 62, 1000 * 512, np.uint64)
    expected = by_xxhash(pages.tobytes(), 4096)
    assert page_digests(pages, threads=threads).tolist() == expected
    assert page_digests(memoryview(pages.tobytes()), threads=threads).tolist() == expected
    odd = memoryview(bytes(1) + pages.tobytes())[1:]  # not aligned
    assert page_digests(odd, threads=threads).tolist() == expected
    assert page_digests(pages.reshape(1000, 512)[::2], threads=threads).tolist() == expected[::2]


def test_the_zero_page_has_the_digest_of_the_schema():
    assert page_digests(bytes(8192)).tolist() == [ZERO_DIGEST, ZERO_DIGEST]
    assert page_digests(bytes(4096), key=b"secret")[0] != ZERO_DIGEST


def test_what_is_no_whole_number_of_pages_is_refused():
    with pytest.raises(ValueError, match="5000 bytes are no whole number"):
        page_digests(bytes(5000))
    with pytest.raises(ValueError, match="at least 241"):
        page_digests(bytes(240), 240)
    assert page_digests(b"").tolist() == []
