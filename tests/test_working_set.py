"""Working sets: the observer against its twin, its laws, what is known of a real workload, and the screen."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
import reference_working_set as reference
from hypothesis import example, given, settings
from hypothesis import strategies as st
from make_trace import write
from run_cli import captured, run

import tracekit
from tracekit.modules.watch.reuse import windows_up_to
from tracekit.modules.watch.working_set import WorkingSet
from tracekit.testing import check

VMS = {"a": 6, "b": 1, "c": 9}
US = 1000
STEPS = st.tuples(st.integers(0, 4), st.sampled_from([(vm, page) for vm, pages in VMS.items() for page in range(pages)]))
TABLES = ("working_set_curve", "working_set", "working_set_summary", "working_set_pairs", "heat")
GIVEN = ("watch.window=4us", "watch.period=3us", "watch.bands=4")


def watch(rows, chunk=1 << 18):
    """The observer's tables of rows (t, vm, page)."""
    t, vm, ppn = map(list, zip(*rows, strict=True))
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "x.access.parquet", "access", len(rows), dict(VMS), t=t, vm=vm, ppn=ppn)
        results = tracekit.replay(path, preset="working-set", settings=GIVEN, chunk=chunk, auditing=True)
        return {name: results.table(name).collect() for name in TABLES}


def rows_of(steps, begin=5 * US):
    """Rows from gaps (in µs) and pages."""
    times = begin + US * np.cumsum([gap for gap, _ in steps])
    return [(int(t), *page) for t, (_, page) in zip(times, steps, strict=True)]


@settings(max_examples=25, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=40))
@example([(0, ("a", 0))])
@example([(1, ("b", 0))] * 9)
@example([(0, ("c", i % 9)) for i in range(30)])
@example([(4, ("a", i % 3)) for i in range(12)])
def test_it_says_what_its_twin_says(steps):
    rows = rows_of(steps)
    found = watch(rows)
    assert {name: frame.rows() for name, frame in found.items()} == {name: frame.rows() for name, frame in watch(rows, 1).items()}
    for row in found["working_set_curve"].filter(pl.col("vm") != "*").iter_rows(named=True):
        times = reference.reuse_times(rows, row["vm"])
        assert row["misses"] == sum(time is None or time > row["window"] for time in times)
        if times:
            assert row["miss_ratio"] == row["misses"] / len(times)
        if rows[0][0] < rows[-1][0]:
            assert row["size"] == pytest.approx(reference.mean_size(rows, row["window"], row["vm"], 50))
        else:
            assert row["size"] is None
    over_time = {vm: [row for row in found["working_set"].select("vm", "t", "pages").rows() if row[0] == vm] for vm in VMS}
    expected = {vm: reference.sizes(rows, 4 * US, 4 * US // 10, vm) for vm in VMS}
    assert over_time == {vm: [(vm, *size) for size in sizes] for vm, sizes in expected.items()}
    wide = {"a": 2, "b": 1, "c": 4}
    heat = {(row["t"], row["vm"], row["ppn"]): (row["accesses"], row["used"]) for row in found["heat"].iter_rows(named=True)}
    assert heat == reference.heat(rows, 3 * US, wide)
    assert dict(found["heat"].select("vm", "pages").unique().rows()).items() <= wide.items()
    summary = {row["vm"]: row for row in found["working_set_summary"].iter_rows(named=True)}
    if expected["a"]:
        series = {vm: np.array([size for _, size in sizes]) for vm, sizes in expected.items()}
        joint = sum(series.values())
        assert (summary["*"]["peak"], summary["*"]["sum_of_peaks"]) == (joint.max(), sum(mine.max() for mine in series.values()))
        for vm, mine in (series | {"*": joint}).items():
            assert summary[vm]["peak_t"] == expected["a"][int(mine.argmax())][0]
            assert (summary[vm]["mean"], summary[vm]["p95"]) == pytest.approx((mine.mean(), np.percentile(mine, 95)))
        for vm, other, correlation in found["working_set_pairs"].select("vm", "other", "correlation").rows():
            a, b = series[vm], series[other]
            assert (
                correlation is None
                if a.std() * b.std() == 0
                else correlation == pytest.approx(((a - a.mean()) * (b - b.mean())).mean() / a.std() / b.std())
            )
    else:
        assert not summary


@pytest.fixture(scope="module")
def real():
    """The committed capture whose last phase is known: 64 MiB of loops, 70 MiB in use with the system's."""
    return tracekit.replay(captured("balloon-workload"), preset="working-set")


def test_the_curve_obeys_its_laws(real):
    """s(τ) rises and bends down, its slope is the rate of misses (plus the ends of the trace), and no use is lost."""
    curve = real.working_set_curve.filter(pl.col("vm") == "*").collect()
    accesses = real.faults.collect()["accesses"].sum()
    window, size, misses = (curve[name].to_numpy().astype(float) for name in ("window", "size", "misses"))
    assert curve["reuses"].sum() + misses[-1] == accesses
    assert (curve["miss_ratio"].to_numpy() == misses / accesses).all()
    slope = np.diff(size) / np.diff(window)
    assert (slope >= 0).all()
    assert (np.diff(slope) <= 1e-15).all()
    span = real.runs.collect()["span"][0]
    pages = real.faults.collect()["cold"].sum()
    # Every use but a page's first misses at τ if its reuse time is longer; the stay of a page's last use ends with the trace.
    assert (slope * span <= misses[:-1] + 1e-6).all()
    assert (slope * span >= misses[1:] - pages - 1e-6).all()


def test_it_finds_the_known_active_set(real):
    """70 MiB in the last phase, and every size is beyond it where the guest fills its memory."""
    sizes = real.working_set.filter((pl.col("vm") == "balloon") & (pl.col("t") > 70 * 10**9)).collect()["pages"] / 256
    assert sizes.min() == pytest.approx(70, abs=1)
    assert sizes.max() < 75


def test_the_heat_is_all_accesses(real):
    heat = real.heat.collect()
    assert heat["accesses"].sum() == real.faults.collect()["accesses"].sum()
    assert (heat["used"] <= heat["pages"]).all()
    assert (heat["used"] <= heat["accesses"]).all()
    assert heat["ppn"].n_unique() <= 64
    assert heat["t"].n_unique() <= 151


def test_windows_are_preferred_numbers():
    assert windows_up_to(0).tolist() == [0, 1000]
    assert windows_up_to(3_000).tolist() == [0, 1000, 1250, 1600, 2000, 2500, 3150]
    assert windows_up_to(3_150).tolist()[-1] == 3150
    assert windows_up_to(10**16)[-1] == 10**16


@pytest.mark.slow
def test_it_keeps_the_rules_of_a_module():
    check(WorkingSet)


def test_the_screen_has_a_line_a_vm():
    done = run("replay", *captured("three-vms"), "--preset", "working-set", "--until", "40s")
    assert done.code == 0
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 100
    start = next(i for i, line in enumerate(lines) if line.startswith("working sets: pages used within 10 s"))
    assert [line.split()[0] for line in lines[start + 3 : start + 7]] == ["nginx", "redis", "postgres", "all"]


def test_a_trace_without_accesses_is_refused():
    done = run("replay", *captured("ten-clones"), "--preset", "working-set")
    assert (done.code, done.out) == (3, "")
    assert "watch.working-set: needs access" in done.err
