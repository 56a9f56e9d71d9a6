"""Replacement policies: misses equal libCacheSim's and those of readable twins, and each passes the check for modules."""

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import libcachesim
import make_trace
import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference import rows_of, save
from reference_policies import POLICIES, Optimal
from reference_virtual_memory import FIXED, VARIABLE, Mglru, WorkingSet
from test_paging import accesses, by_choice, misses, oracle_file

import tracekit
from tracekit import registry, testing

TRACES = Path(__file__).parents[1] / "traces"
#: Policies whose misses are libCacheSim's, from how many frames up, and where: below that it lets no page in, or stops.
PEERS = {
    "lru": (libcachesim.LRU, 1),
    "fifo": (libcachesim.FIFO, 1),
    "optimal": (libcachesim.Belady, 1),
    "clock": (libcachesim.Clock, 1),
    "sieve": (libcachesim.Sieve, 1),
    "lfu": (libcachesim.LFU, 1),
    "arc": (libcachesim.ARC, 1),
    "mq": (libcachesim.MQ, 1),
    "2q": (libcachesim.TwoQ, 4),
    "s4lru": (libcachesim.SLRU, 4),
}
#: Policies that have a variant with libCacheSim's misses.
VARIANTS = {"s3fifo": (libcachesim.S3FIFO, 20)}
#: Policies whose twins are tried with several parameters each.
TRIED = FIXED | VARIABLE | {"mq": (POLICIES["mq"], [{"lifetime": 5, "queues": 3, "qout": 0.5}])}
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
        frames = [count for count in (*sizes(pages), 24) if count >= least]
        found = misses(tracekit.replay(file, {"paging": {"module": policy, "variant": "libcachesim", "frames": frames}}))
        for count in frames:
            assert found[policy, count] == libcachesim_misses(cache, tmp_path / "oracle.bin", len(pages), count), (policy, count)


def compare_numbered(pages, tmp_path):
    """The same of accesses given by page numbers alone."""
    columns = {"vm": ["a"] * len(pages), "ppn": pages.astype(np.uint32)}
    file = make_trace.write(tmp_path / "test.access.parquet", "access", len(pages), {"a": int(pages.max()) + 1}, **columns)
    compare(file, pages, tmp_path)


def accesses_of(capture):
    """Page of each access of a real capture, over all its VMs."""
    rows = pl.read_parquet(TRACES / f"{capture}.access.parquet", columns=["vm", "ppn"])
    return (rows["vm"].to_physical().cast(pl.UInt64) * 2**32 + rows["ppn"].cast(pl.UInt64)).to_numpy()


@pytest.mark.parametrize("name", ["zipf", "loop", "scan", "mixed"])
def test_misses_equal_libcachesims_on_generated_accesses(name, tmp_path):
    compare_numbered(generated(name), tmp_path)


@pytest.mark.parametrize("capture", ["balloon-workload", "three-vms"])
def test_misses_equal_libcachesims_on_a_part_of_real_accesses(capture, tmp_path):
    pages = accesses_of(capture)
    middle = pages[len(pages) // 2 :][:200_000]
    compare_numbered(np.unique(middle, return_inverse=True)[1], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("capture", ["balloon-workload", "three-vms", "toucher-long"])
def test_misses_equal_libcachesims_on_real_accesses(capture, tmp_path):
    compare(TRACES / f"{capture}.access.parquet", accesses_of(capture), tmp_path)


def compare_with_twins(policies, pages, frames, **params):
    """Misses and mean resident pages of policies and their twins; OPT misses no more."""
    with TemporaryDirectory() as folder:
        files = save(folder, accesses(pages), {"a": max(pages) + 1})
        results = tracekit.replay(files, {"paging": {"module": list(policies), "frames": frames, **params}}, auditing=True)
    least = {count: Optimal(count).run(pages) for count in frames}
    for (policy, count), vms in by_choice(results).items():
        twin, row = policies[policy](count, **params), vms["a"]
        assert row["cold"] + row["major"] == twin.run(pages), (policy, count, params)
        assert row["mean_resident"] == pytest.approx(twin.space / len(pages)), (policy, count, params)
        assert row["cold"] + row["major"] >= least[count], (policy, count, params)


def awkward(test):
    for pages in AWKWARD.values():
        test = example(pages)(test)
    return test


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 11), min_size=1, max_size=150))
@awkward
def test_misses_equal_the_twins(pages):
    compare_with_twins(POLICIES, pages, [1, 2, 3, 4, 7, 12])


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(20, 200))
def test_misses_equal_the_twins_with_larger_memory(seed, pages):
    compare_with_twins(POLICIES, drawn(seed, pages), [10, 21, max(22, pages // 2)])


@pytest.mark.parametrize("policy", TRIED)
@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 11), min_size=1, max_size=120))
@awkward
def test_misses_equal_the_twins_with_parameters(policy, pages):
    twin, tried = TRIED[policy]
    for params in tried:
        compare_with_twins({policy: twin}, pages, [1, 2, 3, 7], **params)


@pytest.mark.parametrize("policy", TRIED)
@settings(max_examples=2, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(20, 200))
def test_misses_equal_the_twins_with_parameters_and_larger_memory(policy, seed, pages):
    twin, tried = TRIED[policy]
    for params in tried:
        compare_with_twins({policy: twin}, drawn(seed, pages), [10, max(22, pages // 2)], **params)


def drawn(seed, pages, count=1500):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(count) < 0.7, rng.zipf(1.3, count) % pages, np.arange(count) % pages).tolist()


def test_a_tier_that_is_refaulted_more_is_protected():
    """Pages used twice come back and those used once do not, so the controller of the multi-gen LRU spares the former."""
    pages = [page for i in range(2000) for page in (i % 100, i % 100, 1000 + i)]
    compare_with_twins({"mglru": Mglru}, pages, [80], access="descriptors")
    twin = Mglru(80, access="descriptors")
    assert twin.run(pages) < 3800 and twin.protected > 500


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 11), min_size=1, max_size=100))
@awkward
def test_working_sets_and_vmin_are_as_defined(pages):
    """Denning's W(t, τ) counted directly; VMIN has its faults in less space, and a longer window fewer faults in more space."""
    windows = [1, 2, 5, 20, 200]
    found = {}
    with TemporaryDirectory() as folder:
        files = save(folder, accesses(pages), {"a": max(pages) + 1})
        for policy in ("working-set", "vmin"):
            results = tracekit.replay(files, {"paging": {"module": policy, "frames": 100, "tau": windows}}, auditing=True)
            table = results.faults.join(results.params("paging.tau"), on="variant").collect()
            for row in table.to_dicts():
                found[policy, int(row["paging.tau"])] = row["cold"] + row["major"], row["mean_resident"]
    for tau in windows:
        sets = [set(pages[max(0, t + 1 - tau) : t + 1]) for t in range(len(pages))]
        faults = sum(page not in pages[max(0, t - tau) : t] for t, page in enumerate(pages))
        assert found["working-set", tau] == (faults, pytest.approx(sum(map(len, sets)) / len(pages)))
        assert found["vmin", tau][0] == faults and found["vmin", tau][1] <= found["working-set", tau][1] + 1e-9
    for shorter, longer in pairwise(windows):
        assert found["working-set", shorter][0] >= found["working-set", longer][0]
        assert found["working-set", shorter][1] <= found["working-set", longer][1] + 1e-9


def test_the_working_set_of_each_vm_is_its_own(tmp_path):
    """With a pool for each VM the window is counted in the VM's own accesses, and so is the mean."""
    a, b = drawn(1, 30, 300), drawn(2, 30, 900)
    rows = [row for i in range(300) for row in accesses(a[i : i + 1]) + accesses(b[3 * i : 3 * i + 3], "b")]
    tables = {"paging": {"module": "working-set", "tau": 12}, "tax": {"module": "shares", "overhead": 0}, "host": {"memory": "1MiB"}}
    found = rows_of(tracekit.replay(save(tmp_path, rows, {"a": 30, "b": 30}), tables, auditing=True), "faults")
    for vm, pages in (("a", a), ("b", b)):
        twin = WorkingSet(30, tau=12)
        assert found[vm]["cold"] + found[vm]["major"] == twin.run(pages)
        assert found[vm]["mean_resident"] == pytest.approx(twin.space / len(pages))


@pytest.mark.parametrize(("policy", "cache", "least"), [("s3fifo", libcachesim.S3FIFO, 20), ("lirs", libcachesim.LIRS, 3)])
def test_what_libcachesim_does_otherwise_is_all_that_differs(policy, cache, least, tmp_path):
    """The twin that follows libCacheSim has its misses; so the distance stated for a policy has the cause stated."""
    for name in ("zipf", "scan", "mixed"):
        pages = generated(name, 16_000)
        oracle_file(tmp_path / "oracle.bin", pages)
        for count in (3, 4, 10, 24, 500):
            if count >= least:
                expected = libcachesim_misses(cache, tmp_path / "oracle.bin", len(pages), count)
                assert POLICIES[policy](count, libcachesim=True).run(pages.tolist()) == expected, (name, count)


def test_libcachesims_lirs_holds_more_pages_than_it_has_frames(tmp_path):
    """It takes a page that it paged out for resident: here it misses less than any policy can. So no variant has its misses."""
    pages = [4, 1, 3, 1, 0, 4, 3, 1, 0, 1, 5, 2, 0, 3, 5, 1, 1]
    oracle_file(tmp_path / "oracle.bin", np.array(pages))
    found = {cache: libcachesim_misses(cache, tmp_path / "oracle.bin", len(pages), 4) for cache in (libcachesim.LIRS, libcachesim.Belady)}
    assert found == {libcachesim.LIRS: 6, libcachesim.Belady: 7}
    ours = misses(tracekit.replay(save(tmp_path, accesses(pages), {"a": 6}), {"paging": {"module": ["lirs", "optimal"], "frames": 4}}))
    assert ours == {("lirs", 4): 8, ("optimal", 4): 7}


@pytest.mark.parametrize(("cache", "frames"), [("TwoQ", 3), ("SLRU", 3), ("LIRS", 1), ("S3FIFO", 19), ("S3FIFO", 10)])
def test_where_libcachesim_lets_no_page_in(cache, frames, tmp_path):
    """Sizes that are not compared: a page that is used again and again misses each time."""
    oracle_file(tmp_path / "oracle.bin", np.zeros(50, np.int64))
    assert libcachesim_misses(getattr(libcachesim, cache), tmp_path / "oracle.bin", 50, frames) == 50


@pytest.mark.slow
@pytest.mark.parametrize("policy", [*POLICIES, *FIXED, *VARIABLE])
def test_passes_the_check_for_modules(policy):
    short = {"working-set": {"tau": "40"}, "vmin": {"tau": "40"}, "wsclock": {"tau": "40"}, "pff": {"interval": "3"}}
    testing.check(registry.load("paging", policy), **short.get(policy, {}))


@pytest.mark.slow
@pytest.mark.parametrize("policy", VARIANTS)
def test_the_variant_passes_the_check_for_modules(policy):
    testing.check(registry.load("paging", policy), variant="libcachesim")
