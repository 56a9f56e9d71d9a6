"""Replacement policies: misses equal libCacheSim's and those of readable twins, and each passes the check for modules."""

from pathlib import Path
from tempfile import TemporaryDirectory

import libcachesim
import make_trace
import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference import save
from reference_policies import POLICIES
from test_paging import accesses, misses, oracle_file

import tracekit
from tracekit import registry, testing

TRACES = Path(__file__).parents[1] / "traces"
#: Policies whose misses are libCacheSim's, from how many frames up, and where: below that it lets no page in, or stops.
PEERS = {
    "clock": (libcachesim.Clock, 1),
    "sieve": (libcachesim.Sieve, 1),
    "lfu": (libcachesim.LFU, 1),
    "arc": (libcachesim.ARC, 1),
    "2q": (libcachesim.TwoQ, 4),
}
#: Policies that have a variant with libCacheSim's misses; its SLRU, from 4 frames up and where they are a multiple of 4.
VARIANTS = {"s3fifo": (libcachesim.S3FIFO, 20), "slru": (libcachesim.SLRU, 4)}
AWKWARD = {
    "one page": [3] * 5,
    "a loop one page larger than memory": [i % 4 for i in range(40)],
    "each page once": list(range(12)),
    "back and forth": [*range(12), *range(11, -1, -1)] * 3,
    "hot pages and a scan": [0, 1, 0, 1, 2, 3, 4, 5, 0, 1, 6, 7, 8, 9, 0, 1] * 3,
}


def generated(name, count=30_000):
    rng = np.random.default_rng(1)
    if name == "zipf":
        return rng.zipf(1.2, count) % 1000
    if name == "loop":
        return np.arange(count) % 700
    if name == "scan":
        return np.concatenate([np.arange(3000), rng.integers(0, 200, count - 6000), np.arange(3000)])
    mixed = np.where(rng.random(count) < 0.3, 2000 + np.arange(count) % 500, rng.zipf(1.1, count) % 2000)
    mixed[10_000:15_000] = 3000 + np.arange(5000)
    return mixed


def sizes(pages):
    footprint = len(np.unique(pages))
    return sorted({1, 2, 3, 10, *(max(1, footprint * percent // 100) for percent in (1, 5, 20, 50))})


def libcachesim_misses(cache, path, count, frames):
    options = libcachesim.ReaderInitParam(ignore_obj_size=True)
    reader = libcachesim.TraceReader(str(path), libcachesim.TraceType.ORACLE_GENERAL_TRACE, options)
    ratio, _ = cache(frames).process_trace(reader)
    return round(ratio * count)


def compare(file, pages, tmp_path):
    """Misses of all policies that libCacheSim has, as one pool, at all sizes."""
    oracle_file(tmp_path / "oracle.bin", pages)
    frames = sizes(pages)
    found = misses(tracekit.replay(file, {"paging": {"module": list(PEERS), "frames": frames}}))
    for policy, (cache, least) in PEERS.items():
        for count in frames:
            if count >= least:
                expected = libcachesim_misses(cache, tmp_path / "oracle.bin", len(pages), count)
                assert found[policy, count] == expected, (policy, count)
    for policy, (cache, least) in VARIANTS.items():
        frames = sorted({count // 4 * 4 for count in (*sizes(pages), 24) if count >= least})
        found = misses(tracekit.replay(file, {"paging": {"module": policy, "variant": "libcachesim", "frames": frames}}))
        for count in frames:
            assert found[policy, count] == libcachesim_misses(cache, tmp_path / "oracle.bin", len(pages), count), (policy, count)


@pytest.mark.parametrize("name", ["zipf", "loop", "scan", "mixed"])
def test_misses_equal_libcachesims_on_generated_accesses(name, tmp_path):
    pages = generated(name)
    columns = {"vm": ["a"] * len(pages), "ppn": pages.astype(np.uint32)}
    file = make_trace.write(tmp_path / "test.access.parquet", "access", len(pages), {"a": int(pages.max()) + 1}, **columns)
    compare(file, pages, tmp_path)


@pytest.mark.parametrize("capture", ["balloon-workload", pytest.param("three-vms", marks=pytest.mark.slow)])
def test_misses_equal_libcachesims_on_real_accesses(capture, tmp_path):
    file = TRACES / f"{capture}.access.parquet"
    rows = pl.read_parquet(file, columns=["vm", "ppn"])
    pages = (rows["vm"].to_physical().cast(pl.UInt64) * 2**32 + rows["ppn"].cast(pl.UInt64)).to_numpy()
    compare(file, pages, tmp_path)


def compare_with_twins(pages, frames):
    with TemporaryDirectory() as folder:
        files = save(folder, accesses(pages), {"a": max(pages) + 1})
        found = misses(tracekit.replay(files, {"paging": {"module": [*POLICIES, "optimal"], "frames": frames}}, auditing=True))
    for count in frames:
        for policy, twin in POLICIES.items():
            assert found[policy, count] == twin(count).run(pages), (policy, count)
            assert found[policy, count] >= found["optimal", count], (policy, count)


def awkward(test):
    for pages in AWKWARD.values():
        test = example(pages)(test)
    return test


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 11), min_size=1, max_size=150))
@awkward
def test_misses_equal_the_twins(pages):
    compare_with_twins(pages, [1, 2, 3, 4, 7, 12])


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(20, 200))
def test_misses_equal_the_twins_with_larger_memory(seed, pages):
    rng = np.random.default_rng(seed)
    drawn = np.where(rng.random(1500) < 0.7, rng.zipf(1.3, 1500) % pages, np.arange(1500) % pages)
    compare_with_twins(drawn.tolist(), [10, 21, max(22, pages // 2)])


@pytest.mark.parametrize(("policy", "least"), [("s3fifo", 20), ("slru", 4), ("lirs", 3)])
def test_what_libcachesim_does_otherwise_is_all_that_differs(policy, least, tmp_path):
    """The twin that follows libCacheSim has its misses; so the distance stated for a policy has the cause stated."""
    cache = {"s3fifo": libcachesim.S3FIFO, "slru": libcachesim.SLRU, "lirs": libcachesim.LIRS}[policy]
    for name in ("zipf", "scan", "mixed"):
        pages = generated(name, 20_000)
        oracle_file(tmp_path / "oracle.bin", pages)
        for count in (4, 12, 24, 100, 500, 1000):
            if count >= least:
                expected = libcachesim_misses(cache, tmp_path / "oracle.bin", len(pages), count)
                assert POLICIES[policy](count, libcachesim=True).run(pages.tolist()) == expected, (name, count)


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
def test_passes_the_check_for_modules(policy):
    testing.check(registry.load("paging", policy))


@pytest.mark.slow
@pytest.mark.parametrize("policy", VARIANTS)
def test_the_variant_passes_the_check_for_modules(policy):
    testing.check(registry.load("paging", policy), variant="libcachesim")
