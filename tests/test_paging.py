"""Paging with one pool is the textbook cache: by published strings, by the slow twin, and by libCacheSim."""

from pathlib import Path
from tempfile import TemporaryDirectory

import libcachesim
import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference import Machine, agree, rows_of, save

import tracekit

TRACES = Path(__file__).parents[1] / "traces"
POLICIES = ("lru", "fifo", "optimal")
BELADY = (1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5)


def accesses(pages, vm="a"):
    return [{"kind": "access", "vm": vm, "ppn": ppn} for ppn in pages]


def paging(frames, policies=POLICIES):
    return {"paging": {"module": list(policies), "frames": list(frames)}}


def by_choice(results):
    """(policy, frames) → VM → counts."""
    params = results.params("paging.module", "paging.frames").collect()
    faults = results.table("faults").collect()
    return {
        (policy, int(frames)): {row["vm"]: row for row in faults.filter(pl.col("variant") == variant).to_dicts()}
        for variant, policy, frames in params.select("variant", "paging.module", "paging.frames").iter_rows()
    }


def misses(results):
    return {choice: sum(row["cold"] + row["major"] for row in vms.values()) for choice, vms in by_choice(results).items()}


def test_beladys_string(tmp_path):
    files = save(tmp_path, accesses(BELADY), {"a": 6})
    expected = {("fifo", 3): 9, ("fifo", 4): 10, ("lru", 3): 10, ("lru", 4): 8, ("optimal", 3): 7, ("optimal", 4): 6}
    assert misses(tracekit.replay(files, paging([3, 4]), auditing=True)) == expected
    assert {(p, f): Machine({"a": 6}, accesses(BELADY), f, p).run().misses() for p, f in expected} == expected


AWKWARD = {
    "one access": [("a", 0, 0)],
    "page 0 again and again": [("a", 0, 0)] * 5,
    "last page": [("a", 5, 0), ("c", 3, 0), ("a", 5, 0)],
    "ties": [("a", i % 4, 0) for i in range(24)],
    "a loop one page larger than memory": [("a", i % 4, 1) for i in range(40)],
    "each page once": [(vm, i, 1) for vm, n in (("a", 6), ("b", 1), ("c", 4)) for i in range(n)],
}
VMS = {"a": 6, "b": 1, "c": 4}
access_lists = st.lists(
    st.sampled_from(sorted(VMS)).flatmap(lambda vm: st.tuples(st.just(vm), st.integers(0, VMS[vm] - 1), st.integers(0, 1))),
    min_size=1,
    max_size=80,
)


@settings(max_examples=60, deadline=None)
@given(access_lists)
@example(AWKWARD["one access"])
@example(AWKWARD["page 0 again and again"])
@example(AWKWARD["last page"])
@example(AWKWARD["ties"])
@example(AWKWARD["a loop one page larger than memory"])
@example(AWKWARD["each page once"])
def test_faults_equal_the_twins(steps):
    t, rows = 0, []
    for vm, ppn, later in steps:
        t += later
        rows.append({"kind": "access", "vm": vm, "ppn": ppn, "t": t})
    frames = [1, 2, 3, 5, 11]
    with TemporaryDirectory() as folder:
        found = by_choice(tracekit.replay(save(folder, rows, VMS), paging(frames), auditing=True))
    for (policy, count), vms in found.items():
        expected = Machine(VMS, rows, count, policy).run().faults()
        if policy == "optimal":  # among pages that are never used again any may leave: whose it is does not matter
            free = ("page_outs", "mean_resident")
            expected = {vm: counts | {name: vms[vm][name] for name in free} for vm, counts in expected.items()}
        agree(vms, expected)
    total = {choice: sum(row["cold"] + row["major"] for row in vms.values()) for choice, vms in found.items()}
    for count in frames:
        assert total["optimal", count] <= min(total["lru", count], total["fifo", count])
    for policy in ("lru", "optimal"):  # inclusion: more memory never hurts
        curve = [total[policy, count] for count in frames]
        assert curve == sorted(curve, reverse=True)
    assert total["lru", 11] == len({(row["vm"], row["ppn"]) for row in rows})


def test_more_frames_than_pages_are_all_cold(tmp_path):
    results = tracekit.replay(save(tmp_path, accesses(BELADY), {"a": 6}), paging([100]), auditing=True)
    assert set(misses(results).values()) == {5}


def test_vms_share_one_pool(tmp_path):
    """Without targets VMs compete for all frames: a busy one takes those of an idle one."""
    rows = accesses([0, 1]) + accesses([0, 1, 2], "b") + accesses([0])
    found = rows_of(tracekit.replay(save(tmp_path, rows, {"a": 2, "b": 3}), paging([3], ["lru"]), auditing=True), "faults")
    assert (found["a"]["cold"], found["a"]["major"], found["a"]["page_outs"]) == (2, 1, 2)
    assert (found["b"]["cold"], found["b"]["major"], found["b"]["page_outs"]) == (3, 0, 1)
    assert (found["a"]["mean_resident"], found["b"]["mean_resident"]) == ((1 + 2 + 2 + 1 + 0 + 1) / 6, (0 + 0 + 1 + 2 + 3 + 2) / 6)


def test_random_pages_out_no_more_than_it_must_and_follows_the_seed(tmp_path):
    rng = np.random.default_rng(1)
    files = save(tmp_path, accesses(rng.integers(0, 64, 5000).tolist()), {"a": 64})
    runs = [misses(tracekit.replay(files, paging([16], ["random"]), seed=seed, auditing=True))["random", 16] for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]
    assert abs(runs[0] / 5000 - 0.75) < 0.02  # uniform accesses: any policy without foresight misses (64 − 16)/64


def oracle_file(path, pages):
    """An oracleGeneral trace for libCacheSim: every object of size 1, with the number of its next access."""
    record = np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])  # packed: <IQIq
    rows = np.zeros(len(pages), record)
    rows["id"], rows["size"], rows["next"] = pages, 1, -1
    order = np.argsort(pages, kind="stable")
    again = pages[order][1:] == pages[order][:-1]
    rows["next"][order[:-1][again]] = order[1:][again]
    rows.tofile(path)


def libcachesim_misses(path, accesses, frames):
    policies = {"lru": libcachesim.LRU, "fifo": libcachesim.FIFO, "optimal": libcachesim.Belady}
    found = {}
    for policy, cache in policies.items():
        for count in frames:
            options = libcachesim.ReaderInitParam(ignore_obj_size=True)
            reader = libcachesim.TraceReader(str(path), libcachesim.TraceType.ORACLE_GENERAL_TRACE, options)
            ratio, _ = cache(count).process_trace(reader)
            found[policy, count] = round(ratio * accesses)
    return found


def compare_with_libcachesim(capture, tmp_path):
    """Misses of a whole capture, as one pool over all its VMs, at 5, 20 and 50 % of the pages it touches."""
    trace = TRACES / f"{capture}.access.parquet"
    rows = pl.read_parquet(trace, columns=["vm", "ppn"])
    pages = (rows["vm"].to_physical().cast(pl.UInt64) * 2**32 + rows["ppn"].cast(pl.UInt64)).to_numpy()
    footprint = len(np.unique(pages))
    frames = [footprint * percent // 100 for percent in (5, 20, 50)]
    oracle_file(tmp_path / "oracle.bin", pages)
    assert misses(tracekit.replay(trace, paging(frames))) == libcachesim_misses(tmp_path / "oracle.bin", len(pages), frames)


@pytest.mark.parametrize("capture", ["balloon-workload", "three-vms"])
def test_misses_equal_libcachesims(capture, tmp_path):
    compare_with_libcachesim(capture, tmp_path)


@pytest.mark.slow
def test_misses_equal_libcachesims_on_the_longest_trace(tmp_path):
    compare_with_libcachesim("toucher-long", tmp_path)
