"""Where paged-out pages go: the tiers against a readable twin, their accounts, watermarks, sizes and costs."""

from pathlib import Path
from tempfile import TemporaryDirectory

import make_trace
import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference_swap import ZERO_DIGEST, Swap, classes

import tracekit
from tracekit import testing
from tracekit.errors import ScenarioError
from tracekit.modules.reclamation.zsmalloc import frames_of, growth, size_classes
from tracekit.modules.reclamation.zswap import Zswap

TRACES = Path(__file__).parents[1] / "traces"
VMS = {"a": 9, "b": 5}
PAGES = sum(VMS.values())
PAGE = 4096
TICK = 10**8


# ------------------------------------------------------------------------------------------------- size classes


@pytest.mark.parametrize(("chain", "size", "frames", "fit"), [(4, 1632, 2, 5), (8, 1568, 5, 13)])
def test_classes_are_those_of_the_kernels_documentation(chain, size, frames, fit):
    """An object of 1568 bytes, as the documentation of zsmalloc works it out for two longest chains."""
    q = size_classes(chain)
    which = q.of[1568 - 8]
    assert (q.size[which], q.frames[which], q.fit[which]) == (size, frames, fit)


@pytest.mark.parametrize("chain", [1, 4, 8])
def test_classes_equal_the_twins(chain):
    q = size_classes(chain)
    assert list(zip(q.size, q.frames, q.fit, strict=True)) == classes(chain)
    for size in range(PAGE + 1):
        assert q.size[q.of[size]] >= min(size + 8, PAGE) and (q.of[size] == 0 or q.size[q.of[size] - 1] < size + 8)


def test_a_class_grows_by_a_frame_at_most_and_wastes_less_than_one():
    q = size_classes(8)
    for which in range(len(q.size)):
        for objects in range(2 * int(q.fit[which]) + 1):
            frames = frames_of(q, which, objects)
            q.objects[which] = objects
            assert growth(q, which) in (0, 1)
            tails = objects // q.fit[which] * (q.frames[which] * PAGE % q.size[which])
            assert 0 <= frames * PAGE - objects * q.size[which] - tails < PAGE


# ------------------------------------------------------------------------------------------------- against the twin


def write(folder, rows):
    """Rows of the twin as trace files."""
    files = []
    for kind in ("content", "access"):
        mine = [(seq, row) for seq, row in enumerate(rows) if row[1] == kind]
        if mine:
            columns = {"t": [row[0] for _, row in mine], "seq": [seq for seq, _ in mine]}
            columns |= {"vm": [row[2] for _, row in mine], "ppn": [row[3] for _, row in mine]}
            if kind == "content":
                columns |= {"digest": np.array([row[4] for _, row in mine], np.uint64), "compressed": [row[5] for _, row in mine]}
            files.append(make_trace.write(Path(folder) / f"test.{kind}.parquet", kind, len(mine), VMS, **columns))
    return files


def last(results):
    """The host's last row of the table swap by variant."""
    frame = results.swap.filter((pl.col("vm") == "*") & (pl.col("t") == pl.col("t").max().over("variant"))).collect()
    return {row["variant"]: row for row in frame.to_dicts()}


def compare(rows, module, frames, pool=0.0, accept=90.0, remote=0, disk=0, start=100, margin=5, batch=8192):
    own = {"module": module, "start": start, "margin": margin, "batch": batch}
    if module == "zswap":
        own |= {"pool": pool, "accept": accept, "mean": 32, "incompressible": 0.0}
    if module != "disk":
        own["remote"] = remote * PAGE
    tables = {"host": {"swap": disk * PAGE}, "paging": {"module": "lru", "frames": frames}, "swap": own}
    with TemporaryDirectory() as folder:
        results = tracekit.replay(write(folder, rows), tables, auditing=True, chunk=7)
    (found,) = last(results).values()
    frames = min(frames, PAGES)
    limit = int(min(frames * pool / 100, frames - 1))
    twin = Swap(frames, limit, int(limit * accept / 100), remote=remote, disk=disk or 10**9, start=start, margin=margin, batch=batch)
    if module != "zswap":
        twin.size = dict.fromkeys(((vm, ppn) for vm, n in VMS.items() for ppn in range(n)), PAGE)
        rows = [row for row in rows if row[1] == "access"]
    expected = twin.run(rows, end=max(row[0] for row in rows)).table()
    if module != "zswap":  # without a pool nobody looks at sizes
        expected |= {"incompressible": 0}
    assert {name: found[name] for name in expected} == expected
    assert found["pool"] <= limit
    return found


SIZES = (10, 900, 1560, 2000, 2800, 3300, 4095, 4096)
page_of = st.sampled_from(sorted(VMS)).flatmap(lambda vm: st.tuples(st.just(vm), st.integers(0, VMS[vm] - 1)))
touches = st.tuples(st.just("access"), page_of)
contents = st.tuples(st.just("content"), page_of, st.sampled_from([1, 2, ZERO_DIGEST]), st.sampled_from(SIZES))
steps = st.lists(st.tuples(st.integers(0, 2), st.one_of(touches, touches, contents)), min_size=1, max_size=120)


def timed(steps):
    """Rows with times in half ticks; the first is an access, so that both kinds' clocks begin there."""
    t, rows = 0, [(0, "access", "a", 0)]
    for later, (kind, (vm, ppn), *more) in steps:
        t += later * TICK // 2
        rows.append((t, kind, vm, ppn, *more))
    return [*rows, (t, "access", "a", 1)]


def told(size, pages=range(9)):
    return [(0, ("content", ("a", ppn), 5, size)) for ppn in pages]


def loop(times=3, later=0):
    return [(later, ("access", ("a", ppn))) for _ in range(times) for ppn in range(9)]


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(1, 15), st.sampled_from([0, 25, 50, 90]), st.sampled_from([0, 50, 90]), st.integers(0, 3), st.integers(0, 4),
       st.sampled_from([(100, 5), (80, 5), (60, 30), (0, 0)]), st.sampled_from([1, 8192]))  # fmt: skip
@example(loop(), 1, 90, 90, 0, 0, (100, 5), 8192)
@example(told(900) + loop(), 4, 50, 50, 0, 0, (100, 5), 8192)
@example(told(4096) + loop(later=1), 4, 50, 50, 1, 2, (60, 30), 1)
@example([(0, ("content", ("a", ppn), ZERO_DIGEST, 20)) for ppn in range(9)] + loop(), 2, 0, 90, 0, 0, (100, 5), 8192)
@example(told(3300) + loop(5, later=2), 6, 90, 90, 2, 0, (80, 5), 8192)
def test_the_pool_and_its_tiers_equal_the_twins(steps, frames, pool, accept, remote, disk, mark, batch):
    compare(timed(steps), "zswap", frames, pool, accept, remote, disk, *mark, batch)


@pytest.mark.uncompiled
@settings(max_examples=15, deadline=None)
@given(steps, st.integers(1, 15), st.integers(0, 3), st.sampled_from([(100, 5), (80, 5)]))
def test_remote_memory_equals_the_twins(steps, frames, remote, mark):
    compare(timed(steps), "remote", frames, remote=remote, start=mark[0], margin=mark[1])


# ------------------------------------------------------------------------------------------------- laws


@pytest.mark.slow
def test_modules_keep_the_rules():
    """With sharing, balloon, tax and remapping: audited after every chunk, and independent of chunks."""
    testing.check(Zswap, start="80", remote="16KiB", pool="40")


def replay(module, frames=60, folder=None, **own):
    files = testing.write_traces(folder)[:2]
    tables = {"paging": {"module": "lru", "frames": frames}}
    return tracekit.replay(files, tables | ({"swap": {"module": module} | own} if module else {}), auditing=True)


def test_disk_without_limits_changes_no_fault(tmp_path):
    with_it, without = replay("disk", folder=tmp_path), replay(None, folder=tmp_path)
    assert with_it.faults.drop("variant").collect().equals(without.faults.drop("variant").collect())
    (row,) = last(with_it).values()
    faults = without.faults.sum().collect().to_dicts()[0]
    assert (row["to_disk"], row["from_disk"], row["waited"]) == (faults["page_outs"], faults["major"], faults["page_outs"])


def test_the_pool_takes_memory_from_the_guests(tmp_path):
    """So with sizes drawn without any compression gain there are more page-ins than with a disk alone."""
    (disk,) = last(replay("disk", folder=tmp_path)).values()
    (bad,) = last(replay("zswap", folder=tmp_path, incompressible=0, mean=2048, pool=50, largest=4096)).values()
    ins = sum(bad[f"from_{tier}"] for tier in ("zero", "compressed", "disk"))
    assert bad["pool"] > 10 and ins > disk["from_disk"]
    assert bad["pool"] * PAGE >= bad["compressed_bytes"] > 0 and bad["ratio"] == pytest.approx(
        bad["compressed"] * PAGE / bad["compressed_bytes"]
    )


def test_watermarks_spare_the_wait(tmp_path):
    (full,) = last(replay("zswap", folder=tmp_path)).values()
    (early,) = last(replay("zswap", folder=tmp_path, start=60, margin=20)).values()
    assert early["waited"] < full["waited"] / 2
    assert full["wait_ns"] > early["wait_ns"]


def test_times_are_counts_times_stated_costs(tmp_path):
    own = {"pool": 10, "remote": 5 * PAGE, "local": 90, "fault": 700, "page_in": 80_000, "page_out": 20_000, "compress": 9000}
    results = replay("zswap", 40, tmp_path, decompress=5000, ratio=2.5, copy=300, **own)
    (row,) = last(results).values()
    assert min(row[f"from_{tier}"] for tier in ("compressed", "remote", "disk")) > 0
    ins = {"zero": 700, "compressed": 5700, "remote": 1450, "disk": 80_700}
    assert row["load_ns"] == pytest.approx(sum(row[f"from_{tier}"] * ns for tier, ns in ins.items()))
    tried = row["to_compressed"] + row["incompressible"]  # nothing is paged out ahead of need: a fault waits for all of it
    assert row["wait_ns"] == pytest.approx(tried * 9000 + row["to_remote"] * 750 + row["to_disk"] * 20_000)
    assert row["access_ns"] == pytest.approx(90 + (row["load_ns"] + row["wait_ns"]) / 4000)
    vms = results.swap.filter((pl.col("t") == pl.col("t").max()) & (pl.col("vm") != "*")).sum().collect().to_dicts()[0]
    assert all(vms[name] == pytest.approx(row[name]) for name in ("disk", "to_disk", "full", "load_ns", "wait_ns", "compressed_bytes"))


def test_drawn_sizes_follow_the_content_and_the_stated_distribution(tmp_path):
    """A scan of many contents, each on two pages, through two frames: all are paged out."""
    n = 6000
    vms = {"a": 2 * n}
    ppn, digest = np.arange(2 * n), np.tile(np.arange(1, n + 1), 2).astype(np.uint64)
    files = [make_trace.write(tmp_path / "test.content.parquet", "content", 2 * n, vms, t=[0] * 2 * n, ppn=ppn, digest=digest)]
    files.append(make_trace.write(tmp_path / "test.access.parquet", "access", 2 * n, vms, t=[1] * 2 * n, ppn=ppn))
    tables = {
        "paging": {"module": "lru", "frames": 2 * n - 1},
        "swap": {"module": "zswap", "pool": 90, "start": 0, "margin": 0, "tick": "1s"},
    }
    tables["replay"] = {"until": "2s"}
    files.append(make_trace.write(tmp_path / "test2.access.parquet", "access", 1, vms, "test", t=[2 * 10**9], seq=[0], ppn=[0]))
    (row,) = last(tracekit.replay(files, tables)).values()
    assert row["incompressible"] % 2 == 0 and row["unknown"] == 0
    assert row["incompressible"] / (2 * n) == pytest.approx(0.3, abs=0.02)
    assert row["compressed_bytes"] / row["compressed"] == pytest.approx(1365, abs=30)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"module": "zswap", "pool": 95}, "swap.pool"),
        ({"module": "zswap", "start": 4, "margin": 5}, "memory cannot be that empty"),
        ({"module": "disk", "pool": 5}, "unknown parameter swap.pool"),
        ({"module": "remote", "ratio": 0.5}, "swap.ratio"),
        ({"module": "zram"}, "zswap"),
    ],
)
def test_bad_parameters_are_refused_in_one_sentence(own, said):
    with pytest.raises(ScenarioError, match=said) as error:
        tracekit.replay(TRACES / "balloon-workload.access.parquet", {"paging": {"module": "lru"}, "swap": own})
    assert "\n" not in str(error.value)


@pytest.mark.uncompiled
def test_targets_leave_room_for_the_pool(tmp_path):
    """With an allocation stage, what the targets add up to shrinks by the frames that the pool holds."""
    tables = testing._scenario(Zswap, {"pool": 50, "start": 60, "incompressible": 0})
    tables["sharing"]["rate"] = 0
    tables["paging"]["frames"] = 40
    tables["tax"]["reallocate"] = "1s"
    results = tracekit.replay(testing.write_traces(tmp_path), tables, auditing=True)
    targets = results.allocation.group_by("t").agg(target=pl.col("target").sum())
    both = results.swap.filter(pl.col("vm") == "*").join(targets, on="t").collect()
    assert both["pool"].min() > 10
    # 40 frames less 6 % are for targets and pool together; the pool may have changed since the targets were last set
    assert (both["target"] + both["pool"]).mean() == pytest.approx(38, abs=1.5)
    assert both["target"].max() < 38 - 10
