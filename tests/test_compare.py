"""Comparisons: figures are the sums they are said to be, pairs are alike in all else, refusals say why."""

import sys

import numpy as np
import polars as pl
import pytest
import reference_statistics as slow
from make_trace import write
from run_cli import TRACES, captured, run

import tracekit as tk
from tracekit.compare.metrics import METRICS, parts, series, summary
from tracekit.compare.statistics import student
from tracekit.errors import TracekitError


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """VM a loops over 24 pages, VM b touches 24 at random, for 40 s."""
    rng = np.random.default_rng(2)
    path = tmp_path_factory.mktemp("traces") / "pair.access.parquet"
    ppn = np.where(np.arange(4000) % 2, np.arange(4000) // 2 % 24, rng.integers(0, 24, 4000))
    vm = ["a" if i % 2 else "b" for i in range(4000)]
    return write(path, "access", 4000, {"a": 24, "b": 24}, "pair", t=np.arange(4000) * 10**7, vm=vm, ppn=ppn)


def paging(trace, modules=("lru", "random"), frames=(20, 40), **more):
    return tk.replay(trace, preset="paging", paging={"module": modules, "frames": frames}, replay={"report": "1s"}, **more)


@pytest.fixture(scope="module")
def swept(trace):
    return paging(trace, seed=range(3))


@pytest.fixture(scope="module")
def several(trace, tmp_path_factory):
    """Results of each stage that metrics are of."""
    return {
        "paging": paging(trace),
        "esx": tk.replay(captured("three-vms"), until="8s"),
        "remap": tk.replay(captured("dma-forced"), preset="remap"),
    }


def test_metrics_over_time_and_in_parts_add_up(several):
    over_time, in_parts = set(), set()
    for results in several.values():
        rows = summary(results).to_dicts()
        for metric in [name for name in rows[0] if name in METRICS]:
            steps, shares = series(results, metric), parts(results, metric)
            for row in rows:
                mine = (pl.col("trace") == row["trace"]) & (pl.col("variant") == row["variant"])
                if steps is not None:
                    x, w = steps.filter(mine).select(pl.col("x", "w").sum()).row(0)
                    assert row[metric] == pytest.approx(x / w if steps["w"].null_count() == 0 else x), metric
                    over_time.add(metric)
                if shares is not None and metric not in ("miss_ratio", "found"):
                    assert row[metric] == pytest.approx(shares.filter(mine)["value"].sum()), metric
                    in_parts.add(metric)
    assert {"misses", "miss_ratio", "page_ins", "copied_bytes", "saved_bytes", "breaks"} <= over_time
    assert {"misses", "page_ins", "reclaimed", "copied_bytes", "io_cost", "scan_cpu", "breaks"} <= in_parts


def test_differences_are_paired_by_seed_with_all_else_equal(swept):
    compared = swept.compare(metric="misses")
    assert (compared.by, compared.baseline) == ("paging.module", "random")
    rows = {(r["paging.module"], r["paging.frames"]): r for r in compared.differences.to_dicts()}
    params = swept.params("paging.module", "paging.frames", "replay.seed")
    misses = swept.faults.group_by("variant").agg(misses=(pl.col("cold") + pl.col("major")).sum())
    found = {row[1:4]: row[4] for row in params.join(misses, on="variant").collect().rows()}
    for frames in (20, 40):
        off = np.array([found["lru", frames, seed] - found["random", frames, seed] for seed in range(3)])
        row = rows["lru", frames]
        assert row["difference"] == pytest.approx(off.mean()) and (row["basis"], row["seeds"]) == ("seeds", 3)
        half = student(2) * off.std(ddof=1) / np.sqrt(3)
        assert (row["low"], row["high"]) == pytest.approx((off.mean() - half, off.mean() + half))
        assert rows["random", frames]["verdict"] == "same" and rows["random", frames]["difference"] == 0
    # LRU is the worst that one can do in a loop.
    assert rows["lru", 40]["verdict"] == "worse" and rows["lru", 40]["relative"] > 0


def test_by_averages_over_the_rest_and_a_baseline_can_be_chosen(swept):
    by_frames = swept.compare("paging.frames", "misses").differences
    assert by_frames["paging.frames"].to_list() == [20, 40] and by_frames["baseline"].n_unique() == 1
    assert by_frames["value"].to_list() == sorted(by_frames["value"], reverse=True)
    chosen = swept.compare(metric="misses", baseline="paging.module=lru")
    assert chosen.baseline == "lru" and set(chosen.differences.filter(pl.col("paging.module") == "random")["verdict"]) == {"better"}
    assert swept.compare("paging.module", "misses", "lru").differences.height == 2
    assert swept.compare(baseline="paging.frames=40").by == "paging.frames"
    matrix = swept.compare("paging.module", "misses").pivot("paging.frames")
    assert matrix.columns == ["trace", "paging.module", "paging.frames=20", "paging.frames=40"]


def test_without_seeds_time_is_resampled(several, trace):
    rows = several["paging"].compare(metric="misses").differences.to_dicts()
    lru = next(row for row in rows if (row["paging.module"], row["paging.frames"]) == ("lru", 40))
    assert (lru["basis"], lru["seeds"], lru["periods"]) == ("time", 1, 40) and lru["low"] < lru["difference"] < lru["high"]
    ratio = several["paging"].compare(metric="miss_ratio").differences
    assert ratio["low"].to_list() == pytest.approx([row["low"] and row["low"] / 4000 for row in rows])
    averaged = several["paging"].compare("paging.module", "misses").differences.filter(pl.col("paging.module") == "lru")
    assert averaged["basis"].item() == "time"
    short = paging(trace, until="10s").compare(metric="misses")
    assert set(short.differences["basis"]) == {"none"} and "10 periods between reports, fewer than 30" in repr(short)
    assert several["paging"].compare(metric="mean_resident").differences["low"].null_count() == 4


def test_the_front_weighs_memory_and_page_ins(swept):
    compared = swept.compare()
    rows = compared.summary.to_dicts()
    points = [(row["memory"], row["page_ins"]) for row in rows]
    assert [row["front"] for row in rows] == [not slow.dominated(points, i) for i in range(len(points))]
    assert compared.front.height == sum(row["front"] for row in rows) and compared.objectives == ["memory", "page_ins"]
    with pytest.raises(TracekitError, match="at least two of memory"):
        _ = tk.replay(TRACES / "dma-forced.io.parquet", preset="remap").compare().front


def test_reasons_name_the_vm_and_the_part(swept):
    _, worst = swept.compare(metric="misses").reasons.to_dicts()
    assert worst["which"] == "worst" and worst["choice"].startswith("paging.module = lru, paging.frames = ")
    frames = int(worst["choice"].rpartition(" ")[2])
    chosen = swept.params("paging.module", "paging.frames").filter(pl.col("paging.frames") == frames)
    counts = swept.faults.join(chosen, on="variant").group_by("vm", "paging.module").agg(pl.col("cold", "major").sum()).collect()
    of = {(vm, module): (cold, major) for vm, module, cold, major in counts.rows()}
    assert of["a", "lru"][0] == of["a", "random"][0]  # first touches are the same
    by_vm = {vm: of[vm, "lru"][1] - of[vm, "random"][1] for vm in ("a", "b")}
    assert worst["vm"] == max(by_vm, key=by_vm.__getitem__) and worst["component"] == "major faults"
    assert worst["vm_part"] == pytest.approx(by_vm[worst["vm"]] / sum(by_vm.values())) and worst["component_part"] == 1
    assert worst["difference"] == pytest.approx(sum(by_vm.values()) / 3)
    assert f"VM {worst['vm']} makes {worst['vm_part']:.0%} of it".replace("%", " %") in worst["says"]


def test_modules_with_parameters_of_their_own_have_mates(trace):
    results = paging(trace, modules=("random", "lru", "working-set"), frames=20, settings=["paging.tau=10,20"])
    rows = results.compare(metric="misses").differences.to_dicts()
    assert len([row for row in rows if row["paging.module"] == "working-set"]) == 2
    assert len({row["baseline"] for row in rows}) == 1


def test_results_of_different_traces_are_refused(trace, tmp_path):
    other = write(tmp_path / "other.access.parquet", "access", 16, {"a": 16}, "other", ppn=np.arange(16))
    changed = write(tmp_path / "pair.access.parquet", "access", 16, {"a": 24, "b": 24}, "pair", ppn=np.arange(16))
    tk.replay(trace, preset="paging", paging="lru", out=tmp_path / "lru")
    tk.replay(other, preset="paging", out=tmp_path / "random")
    done = run("compare", tmp_path / "lru", tmp_path / "random")
    assert done.code == 3 and "was replayed on other, the other variants on pair" in done.err and "on the same trace" in done.err
    tk.replay(changed, preset="paging", out=tmp_path / "changed")
    done = run("compare", tmp_path / "lru", tmp_path / "changed")
    assert done.code == 3 and "2 different sets of trace files under one name" in done.err
    for wrong in ({"by": "paging.modul"}, {"metric": "miss"}, {"baseline": "paging.module=arc"}):
        with pytest.raises(TracekitError):
            paging(trace).compare(**wrong)
    alone = tk.replay(trace, preset="paging").compare()
    assert alone.by is None and alone.differences.is_empty() and alone.reasons.is_empty() and alone.summary.height == 1


# ---------------------------------------------------------------------------------------------------- SQL


def test_sql_over_result_tables(swept, trace, tmp_path):
    answer = swept.sql("select vm, sum(cold + major) as misses from faults group by vm order by vm")
    expected = swept.faults.group_by("vm").agg(misses=(pl.col("cold") + pl.col("major")).sum()).sort("vm").collect()
    assert [(vm, int(misses)) for vm, misses in answer.rows()] == expected.rows()
    swept.save(tmp_path)
    assert run("sql", "select count(*) as n from runs", tmp_path, "--format", "csv").out == "n\n12\n"
    assert "12" in run("sql", "select count(*) as n from runs", tmp_path).out


@pytest.mark.parametrize(
    "query",
    [
        "select * from read_text('{file}')",
        "select * from '{file}'",
        "copy (select 1) to '{file}.csv'",
        "attach '{file}.db'",
        "set enable_external_access = true",
        "select * from swept",
        "select * from nothing",
        "selec",
    ],
)
def test_a_query_sees_nothing_but_the_tables(swept, tmp_path, query):
    file = tmp_path / "secret.txt"
    file.write_text("secret")
    with pytest.raises(TracekitError):
        swept.sql(query.format(file=file))
    assert [path.name for path in tmp_path.iterdir()] == ["secret.txt"]


def test_sql_without_duckdb_says_how_to_get_it(swept, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(TracekitError, match=r"pip install 'tracekit\[sql\]'"):
        swept.sql("select 1")
