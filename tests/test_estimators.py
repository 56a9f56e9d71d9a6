"""Estimators of the working set: each against its twin, the laws of sampling and of DAMON, and what real traces show."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
import reference_estimators as reference
import reference_working_set
from hypothesis import example, given, settings
from hypothesis import strategies as st
from make_trace import write, write_static
from run_cli import captured, run

import tracekit
from tracekit import rng
from tracekit.errors import ScenarioError, TraceError
from tracekit.modules.tax.damon import Damon
from tracekit.modules.tax.dirty_log import DirtyLog
from tracekit.modules.tax.estimator import lag_of
from tracekit.modules.tax.esx_estimator import EsxEstimator
from tracekit.modules.tax.idle_bitmap import IdleBitmap
from tracekit.modules.tax.kstaled import Kstaled
from tracekit.modules.tax.miss_curve import MissCurve
from tracekit.modules.tax.regions import regions, split
from tracekit.modules.tax.sampling import Averages, interval, standard_error
from tracekit.run import Run
from tracekit.scenario import variants
from tracekit.testing import check
from tracekit.trace import open_trace

MS, SECOND = 10**6, 10**9
SIZES = {"a": 30, "b": 1, "c": 7}
STEPS = st.tuples(
    st.sampled_from([0, 1, 3, 9]), st.sampled_from([(vm, page) for vm, pages in SIZES.items() for page in range(pages)]), st.booleans()
)
WINDOW, EVERY = 12 * MS, 4 * MS
#: Every estimator beside the others, with short times.
SCENARIO = {
    "estimate_esx": {"module": "esx", "sample": 5, "period": "8ms"},
    "estimate_bitmap": {"module": "idle-bitmap", "period": "6ms"},
    "estimate_kstaled": {"module": "kstaled", "period": "5ms"},
    "estimate_damon": {"module": "damon", "sampling": "1ms", "samples": 4, "min_regions": 3, "max_regions": 12},
    "estimate_dirty": {"module": "dirty-log", "period": "6ms"},
    "estimate_curve": {"module": "miss-curve", "period": "7ms", "rate": 0.5, "cutoff": 0.2},
}


def estimate(rows, chunk=1 << 18):
    """The tables of rows (t, vm, page, write) under all estimators."""
    t, vm, ppn, stores = map(list, zip(*rows, strict=True))
    scenario = {stage: table | {"window": WINDOW, "every": EVERY} for stage, table in SCENARIO.items()}
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "x.access.parquet", "access", len(rows), dict(SIZES), t=t, vm=vm, ppn=ppn, write=stores)
        return tracekit.replay(path, scenario, chunk=chunk, auditing=True)


def rows_of(steps):
    times = 5 * MS + MS * np.cumsum([gap for gap, _, _ in steps])
    return [(int(t), *page, store) for t, (_, page, store) in zip(times, steps, strict=True)]


def loops(pages, rounds):
    return [(1 if page == 0 else 0, ("a", page % 30), page % 3 == 0) for _ in range(rounds) for page in range(pages)]


@settings(max_examples=20, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=60))
@example([(0, ("a", 0), True)])
@example([(1, ("b", 0), False)] * 50)
@example(loops(3, 40) + loops(20, 10) + [(9, ("c", 1), True)] * 9 + loops(30, 30))
@example([(3, ("a", i % 30), i % 2 == 0) for i in range(60)])
def test_each_says_what_its_twin_says(steps):
    rows = rows_of(steps)
    results = estimate(rows)
    again = estimate(rows, 1)
    for name in set(results.names) - {"runs"}:
        assert results.table(name).collect().rows() == again.table(name).collect().rows(), name
    found = results.estimators.collect()
    streams = {name: rng.streams(len(SIZES), 0, f"estimate_{stage}", name) for stage, name in (("esx", "sample"), ("damon", "regions"))}
    common = {"window": WINDOW, "every": EVERY}
    for i, (vm, size) in enumerate(SIZES.items()):
        with np.errstate(over="ignore"):
            damon, regions = reference.damon(rows, vm, size, WINDOW, EVERY, MS, 4, 3, 12, streams["regions"][i])
            esx = reference.sampled(rows, vm, size, WINDOW, EVERY, 8 * MS, 5, (0.2, 0.6), streams["sample"][i])
        expected = {
            "esx": esx,
            "bitmap": reference.bitmap(rows, vm, period=6 * MS, **common),
            "kstaled": reference.kstaled(rows, vm, size, period=5 * MS, **common),
            "damon": damon,
            "dirty": reference.bitmap(rows, vm, period=6 * MS, written=True, **common),
            "curve": reference.miss_curve(rows, vm, SIZES, period=7 * MS, rate=0.5, cutoff=0.2, seed=0, **common),
        }
        plain = [row[:3] for row in rows]
        for name, estimates in expected.items():
            mine = found.filter(vm=vm, estimator=name)
            assert mine["t"].to_list() == [t for t, _ in estimates]
            assert mine["truth"].to_list() == [pages for _, pages in reference_working_set.sizes(plain, WINDOW, EVERY, vm)]
            assert mine["estimate"].to_list() == pytest.approx([pages for _, pages in estimates], rel=1e-12), name
        histogram = results.estimator_ages.filter(vm=vm).select("t", "age", "pages", "promoted").collect().rows()
        scans = reference.ages(rows, vm, size, 5 * MS)
        assert histogram == [
            (t, age, list(now).count(age), promoted.get(age, 0)) for t, now, promoted in scans for age in sorted({*now, *promoted})
        ]
        told = results.damon.filter(vm=vm).collect()
        for t, number, age in told.select("t", "regions", "age").rows():
            assert (number, age) == pytest.approx(next((n, a) for at, _, n, a in reversed(regions) if at <= t))


@pytest.mark.slow
@pytest.mark.parametrize("cls", [EsxEstimator, IdleBitmap, Kstaled, Damon, DirtyLog, MissCurve])
def test_they_keep_the_rules_of_a_module(cls):
    check(cls, window="4s")


def test_costs_are_counted():
    """200 ms of one VM that uses 10 of its 30 pages, over and over, and writes every third."""
    rows = [(i // 10 * MS, "a", i % 10, i % 10 % 3 == 0) for i in range(2001)]
    cost = {row["estimator"]: row for row in estimate(rows).estimator_summary.filter(vm="a").collect().iter_rows(named=True)}
    assert (cost["bitmap"]["faults"], cost["bitmap"]["scans"]) == (0, 200 // 6 * 2 * 30)
    assert (cost["kstaled"]["faults"], cost["kstaled"]["scans"]) == (0, 200 // 5 * 30)
    assert cost["dirty"]["faults"] == cost["dirty"]["scans"] == 200 // 6 * 4
    assert cost["esx"]["scans"] == (200 // 8 + 1) * 5
    assert 0 < cost["esx"]["faults"] <= cost["esx"]["scans"]
    assert cost["damon"]["faults"] == 0
    assert 3 * 200 <= cost["damon"]["scans"] <= 12 * 200
    assert cost["curve"]["scans"] == 0
    assert cost["curve"]["faults"] % (200 // 7 * 7) == 0  # each watched page is used each ms


def test_the_lag_is_the_shift_of_least_error():
    truth = np.repeat([10.0, 50.0, 20.0, 80.0], 25)
    assert lag_of(truth, truth) == (0, 0.0)
    assert lag_of(truth, np.concatenate([truth[:7], truth[:-7]])) == (7, 0.0)
    assert lag_of(truth[:20], truth[:20]) == (None, None)


def test_what_observers_keep_counts_before_memory_is_promised(tmp_path, monkeypatch):
    """A machine with 300 bytes a page holds a replay with one observer, and not with six."""
    path = write(tmp_path / "x.access.parquet", "access", 20, {"a": 1000}, t=np.arange(20) * SECOND)
    sysconf = {"SC_PHYS_PAGES": 300 + 36, "SC_PAGE_SIZE": 1000}
    monkeypatch.setattr("os.sysconf", lambda name: sysconf[name])
    stages = {f"estimate_{name}": {"module": "idle-bitmap"} for name in "abcdef"}
    (one,), (six,) = variants({"estimate": {"module": "idle-bitmap"}}), variants(stages)
    Run(open_trace(path), one)
    with pytest.raises(TraceError, match="takes about"):
        Run(open_trace(path), six)


# ------------------------------------------------------------------------------------------------- how sampling errs


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    """200 seeds of the sampler on two VMs whose active sets never change: 160 and 800 of 1024 pages, 30 periods."""
    access = write_static(tmp_path_factory.mktemp("static") / "x.access.parquet", 1024, {"idle": 160, "busy": 800}, 30, SECOND)
    esx = {"module": "esx", "period": "1s", "window": "1s", "every": "1s"}
    return tracekit.replay(access, {"estimate": esx, "replay": {"seed": list(range(200))}}).sampling.collect()


def test_intervals_cover_in_95_of_100_periods(static):
    covered = static.group_by("vm").agg(((pl.col("low") <= pl.col("active")) & (pl.col("active") <= pl.col("high"))).mean())
    assert len(covered) == 2 and covered["low"].is_between(0.93, 0.97).all()


def test_errors_are_those_of_the_closed_form(static):
    """Of single periods √(f(1−f)/n · (P−n)/(P−1)), of averages that times √(α/(2−α)); 200 seeds, 30 and 15 periods."""
    for vm, active in (("idle", 160), ("busy", 800)):
        mine = static.filter(vm=vm).with_columns(sampled=pl.col("touched") / pl.col("n") * 1024)
        assert mine["active"].unique().to_list() == [active]
        expected = standard_error(active, 100, 1024)
        assert mine["error"].unique().to_list() == [expected]
        assert mine["sampled"].std() == pytest.approx(expected, rel=0.05)
        assert mine["sampled"].mean() == pytest.approx(active, abs=expected / 20)
        late = mine.with_columns(k=pl.col("t").rank("dense").over("variant")).filter(pl.col("k") > 15)
        for name, gain in (("slow", 0.2), ("fast", 0.6)):
            assert late[name].var() == pytest.approx(expected**2 * gain / (2 - gain), rel=0.1)
        # The maximum of two normal averages is above their mean by the spread of their difference over √2π.
        slow, fast = 0.2, 0.6
        spread = slow / (2 - slow) + fast / (2 - fast) - 2 * slow * fast / (1 - (1 - slow) * (1 - fast))
        assert (late["estimate"] - active).mean() == pytest.approx(expected * np.sqrt(spread / (2 * np.pi)), rel=0.25)


def test_a_sample_larger_than_the_vm_is_the_truth(tmp_path):
    rows = 4000
    vms = {"a": 7, "b": 1}
    ppn = np.where(np.arange(rows) % 2, 0, np.arange(rows) // 500 % 7)
    path = write(tmp_path / "x.access.parquet", "access", rows, vms, t=np.arange(rows) * MS, vm=["a", "b"] * (rows // 2), ppn=ppn)
    sampling = tracekit.replay(path, {"estimate": {"module": "esx", "period": "200ms"}}).sampling.collect()
    assert sampling["n"].unique().sort().to_list() == [1, 7]
    for name in ("touched", "low", "high"):
        assert (sampling[name] == sampling["active"]).all()
    assert (sampling["error"] == 0).all()


@given(st.integers(1, 400), st.integers(1, 500), st.data())
def test_intervals_hold_what_the_sample_has_seen(n, pages, data):
    n = min(n, pages)
    hits = data.draw(st.integers(0, n))
    low, high = interval(hits, n, pages)
    assert hits <= low <= high <= pages - (n - hits)
    assert low <= hits / n * pages * (1 + 1e-12) and hits / n * pages <= high * (1 + 1e-12)
    assert low == 0 or hits > 0
    assert high == pages or hits < n


def test_a_vm_that_does_not_execute_keeps_its_estimate(tmp_path):
    """Its clock stands still from 20 to 60 s: no period ends meanwhile, and when it goes on one period has been long."""
    t = np.arange(0, 100) * SECOND
    executed = np.minimum(t, 20 * SECOND) + np.maximum(t - 60 * SECOND, 0)
    events = write(tmp_path / "x.event.parquet", "event", 100, {"a": 50}, t=t, what=["clock"] * 100, a=executed)
    runs = np.flatnonzero((t < 20 * SECOND) | (t >= 60 * SECOND))
    access = write(
        tmp_path / "x.access.parquet", "access", 10 * len(runs), {"a": 50}, t=np.repeat(t[runs], 10), ppn=np.tile(np.arange(10), len(runs))
    )
    results = tracekit.replay([access, events], {"estimate": {"module": "esx", "period": "8s", "sample": 50, "window": "10s"}})
    sampling = results.sampling.collect()
    idle = sampling.filter(pl.col("t").is_between(23 * SECOND, 60 * SECOND))
    assert idle.is_empty()
    assert (sampling["active"] == 10).all() and (sampling["touched"] == 10).all()
    assert sampling["length"].max() > 40 * SECOND
    assert results.estimators.filter(pl.col("t") > 10 * SECOND).collect()["estimate"].unique().to_list() == [10]
    assert results.estimators.filter(pl.col("t") == 50 * SECOND).collect()["truth"].to_list() == [0]


def test_a_clock_that_jumps_makes_one_long_period(tmp_path):
    t = np.array([0, 1, 2, 3, 50, 51, 52, 53]) * SECOND
    executed = np.array([0, 0, 0, 0, 50, 51, 52, 53]) * SECOND
    events = write(tmp_path / "x.event.parquet", "event", 8, {"a": 50}, t=t, what=["clock"] * 8, a=executed)
    access = write(tmp_path / "x.access.parquet", "access", 530, {"a": 50}, t=np.arange(530) * (SECOND // 10), ppn=np.arange(530) % 10)
    sampling = tracekit.replay([access, events], {"estimate": {"module": "esx", "period": "2s", "sample": 50}}).sampling.collect()
    assert (sampling["active"] == 10).all()
    assert sampling["length"].max() > 40 * SECOND and sampling["length"].min() >= 1.9 * SECOND


def test_what_devices_write_is_counted_apart(tmp_path):
    """Pages 0–9 by the VM, 5–14 by a device that writes, 20–24 by one that reads; one transfer of an unknown page."""
    t = np.arange(0, 6) * SECOND
    access = write(
        tmp_path / "x.access.parquet", "access", 60, {"a": 50}, t=np.repeat(t, 10), seq=np.arange(60) + 1000, ppn=np.tile(np.arange(10), 6)
    )
    ppn = np.tile([*range(5, 15), *range(20, 25), 0], 6)
    known = np.tile([True] * 15 + [False], 6)
    into = np.tile([False] * 10 + [True] * 5 + [False], 6)
    ppn = [int(page) if good else None for page, good in zip(ppn, known)]
    io = write(tmp_path / "x.io.parquet", "io", 96, {"a": 50}, t=np.repeat(t, 16), ppn=ppn, to_device=into)
    sampling = tracekit.replay([access, io], {"estimate": {"module": "esx", "period": "2s", "sample": 50}}).sampling.collect()
    assert sampling["device"].to_list() == [5, 5]
    assert sampling["active"].to_list() == [10, 10]


@pytest.mark.slow
def test_sampled_pages_that_the_host_takes_are_counted_apart(tmp_path):
    """A memory of 20 pages for 39 in use: what is paged out was remapped, and what the balloon holds cannot be touched."""
    rows = 8000
    path = write(tmp_path / "x.access.parquet", "access", rows, {"a": 64}, t=np.arange(rows) * MS, ppn=np.arange(rows) % 39)
    esx = {"module": "esx", "sample": 64, "period": "2s"}
    balloon = {"module": "esx", "targets": "3s=128KiB", "inflate": "1GiB", "kernel": 0}
    results = tracekit.replay(path, {"estimate": esx, "balloon": balloon, "paging": {"module": "fifo", "frames": 20}}, auditing=True)
    sampling = results.sampling.collect()
    assert sampling["remapped"][1:].min() > 0
    assert sampling["ballooned"].to_list() == [0, 32, 32] and results.balloon.collect()["ballooned"][-1] == 32


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0, 1), st.floats(0.1, 1), st.floats(0.1, 1))
def test_the_estimate_is_the_largest_of_three(fractions, running, slow, fast):
    averages = Averages(slow, fast)
    assert averages.estimate(running) == 1.0
    for fraction in fractions:
        averages.add(fraction)
    assert averages.estimate(running) == max(averages.slow, averages.fast, averages.fast + fast * (running - averages.fast))


# ------------------------------------------------------------------------------------------------- DAMON


@pytest.fixture(scope="module")
def hot_and_cold(tmp_path_factory):
    """8192 pages, of which 24 stretches of 64 are touched every 5 ms for 20 s (synthetic), watched with ever more regions."""
    hot = np.concatenate([np.arange(64) + 340 * i for i in range(24)])
    ticks = 1000
    path = tmp_path_factory.mktemp("map") / "x.access.parquet"
    t, ppn = np.repeat(np.arange(ticks) * 5 * MS, len(hot)), np.tile(hot, ticks)
    write(path, "access", len(t), {"a": 8192}, t=t, ppn=ppn)
    damon = {"module": "damon", "min_regions": 5, "max_regions": [20, 80, 320, 1280], "window": "1s", "every": "100ms"}
    return tracekit.replay(path, {"estimate": damon, "replay": {"seed": [1, 2, 3]}})


def test_more_regions_err_less(hot_and_cold):
    params = hot_and_cold.params("estimate.max_regions").with_columns(most=pl.col("estimate.max_regions").cast(int))
    late = hot_and_cold.estimators.filter(pl.col("t") > 2 * SECOND).join(params, on="variant")
    error = late.group_by("most").agg((pl.col("estimate") - pl.col("truth")).abs().mean()).sort("most").collect()
    assert error["estimate"].is_sorted(descending=True)
    assert error["estimate"][-1] < 0.1 * error["estimate"][0]
    assert late.collect()["truth"].unique().to_list() == [24 * 64]


def test_regions_stay_within_their_limits(hot_and_cold):
    params = hot_and_cold.params("estimate.max_regions").with_columns(limit=pl.col("estimate.max_regions").cast(int))
    damon = hot_and_cold.damon.join(params, on="variant").collect()
    assert damon["least"].min() >= 5
    assert (damon["most"] <= damon["limit"]).all()
    assert damon.filter(pl.col("limit") > 300)["most"].max() > 96  # two for each stretch, hot or cold


def test_three_parts_when_the_number_is_that_of_the_last_split():
    """Four regions split in two; nine are too many to split, and are forgotten; then four again split in three, as in the kernel."""
    r = regions(np.array([900]), 4, 16, rng.streams(1, 0, "test"))
    with np.errstate(over="ignore"):
        split(r, 0)
        assert (r.number[0], r.before[0]) == (8, 4)
        for number, after in ((9, 9), (4, 12), (3, 6)):
            r.number[0] = number
            r.start[0, : number + 1] = np.arange(number + 1) * 100
            split(r, 0)
            assert r.number[0] == after


# ------------------------------------------------------------------------------------------------- scenarios, real traces


def test_observers_stand_beside_each_other_under_labels():
    (variant,) = variants({"estimate_damon": {"module": "damon"}, "estimate": {"module": "esx"}, "watch_wide": {"module": "working-set"}})
    assert list(variant.stages) == ["estimate_damon", "estimate", "watch_wide"]
    for stage in ("paging_two", "estimate_", "estimate_a-b", "estimate_host"):
        with pytest.raises(ScenarioError, match="unknown table or stage"):
            variants({stage: {"module": "lru"}})
    with pytest.raises(ScenarioError, match=r"estimate_damon\.wndow"):
        variants({"estimate_damon": {"module": "damon", "wndow": "1s"}})


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("estimate_damon.sampling=5ms", "finer than toucher-long"),
        ("estimate_damon.min_regions=2000", "exceeds max_regions"),
        ("estimate_esx.every=7s", "whole multiple"),
    ],
)
def test_what_cannot_be_is_refused(setting, said):
    done = run("replay", *captured("toucher-long"), "--preset", "estimators", "--set", setting)
    assert (done.code, done.out) == (3, "")
    assert said in done.err


def test_the_dirty_log_needs_writes(tmp_path):
    path = write(tmp_path / "x.access.parquet", "access", 3)
    done = run("replay", path, "-s", _scenario(tmp_path, '[estimate]\nmodule = "dirty-log"\n'))
    assert done.code == 3 and "needs writes" in done.err


def _scenario(folder, text):
    path = folder / "scenario.toml"
    path.write_text(text)
    return path
