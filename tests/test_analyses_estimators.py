"""The analyses of estimators, on the real toucher against tables that were looked at once, and on static synthetic VMs."""

import math

import polars as pl
import pytest
from make_trace import write_static
from run_analysis import check, load
from run_cli import captured, run

import tracekit as tk


@pytest.fixture(scope="module")
def toucher():
    """All estimators on the longest real trace, at the paper's own settings."""
    return tk.replay(captured("toucher-long"), preset="estimators")


def test_sampling_by_phase_of_the_real_toucher(toucher):
    analysis = load("sampling_accuracy")
    frame = analysis.table(toucher).collect()
    phases = frame.filter(view="phase").select("phase", "t", "t_end", "truth", "sampled", "acted_on", "last", "settled")
    check(phases, "sampling_accuracy")
    # What the program touches and the system's own, as the capture's README tells it.
    assert phases["truth"].to_list() == pytest.approx([66.1, 162.3, 247.1, 102.9, 30.0, 206.3], rel=0.02)
    # Samples follow every phase: the mean of its two or more periods is within three standard errors.
    assert (phases["sampled"] - phases["truth"]).abs().max() < 3 * 16 / math.sqrt(2)
    # What is acted on moves with every step: up by the fast average, down by the slow one.
    steps = zip(phases["truth"].diff()[1:], phases["last"].diff()[1:])
    assert all(truth * last > 0 for truth, last in steps)
    errors = frame.filter(view="error").row(0, named=True)
    assert errors["periods"] == 18 and errors["covered"] >= 0.89
    assert len(analysis.chart(frame).to_dict()["vconcat"]) == 2


def test_estimators_by_phase_of_the_real_toucher(toucher):
    analysis = load("estimators")
    frame = analysis.table(toucher).collect()
    check(frame.filter(view="phase").select("estimator", "phase", "truth", "estimate", "error", "settled"), "estimators")
    summary = {row["estimator"]: row for row in frame.filter(view="summary").iter_rows(named=True)}
    assert summary["bitmap"]["error"] < summary["esx"]["error"] < summary["kstaled"]["error"]
    assert summary["esx"]["faults"] + summary["esx"]["scans"] < 10 < summary["damon"]["scans"] < summary["bitmap"]["scans"]
    reading = frame.filter((pl.col("view") == "phase") & (pl.col("phase") == 5) & (pl.col("estimator") == "dirty"))
    assert reading["estimate"][0] < 0.9 * reading["truth"][0]  # a phase that only reads
    assert len(analysis.chart(frame).to_dict()["vconcat"]) == 2


@pytest.mark.slow
def test_errors_over_seeds_and_settings(tmp_path):
    """Two static VMs (synthetic), 20 seeds × two n × two slow gains: samples err as the closed form says, maxima are biased."""
    access = write_static(tmp_path / "x.access.parquet", 1024, {"idle": 160, "busy": 800}, 20, 10**9)
    esx = {"module": "esx", "period": "1s", "window": "1s", "every": "1s", "sample": [50, 400], "slow": [0.1, 0.3]}
    results = tk.replay(access, {"estimate": esx, "replay": {"seed": list(range(20))}})
    analysis = load("sampling_accuracy")
    errors = analysis.table(results).filter(pl.col("view") == "error").collect()
    assert errors.select("vm", "sample", "slow").n_unique() == 8
    assert (errors["error"] / errors["closed_form"]).is_between(0.87, 1.13).all()  # 400 periods: ± 7 % at 95 %
    assert (errors["covered"] - errors["expected"]).abs().max() < 0.04
    assert errors["expected"].is_between(0.92, 0.98).all()
    assert (errors["bias"].abs() < 0.15 * errors["closed_form"]).all()
    assert (errors["bias_acted_on"] > 0).all()


def test_wilson_coverage_is_summed_over_all_samples():
    """Two of four pages are sampled and one is active: hit with 1/2."""
    analysis = load("sampling_accuracy")
    intervals = {hits: analysis.interval(hits, 2, 4) for hits in (0, 1)}
    assert analysis.coverage(4, 2, 1) == pytest.approx(sum(0.5 for low, high in intervals.values() if low <= 1 <= high))
    assert analysis.coverage(4, 4, 1) == 1.0


@pytest.mark.slow
def test_what_wrong_estimates_cost():
    """Real VMs in memory too small for them: the truth's allocation pages less in all, and moves less."""
    analysis = load("wrong_estimates")
    files = [path for path in captured("three-vms") if ".content." not in path.name]
    results = tk.replay(files, preset="tax", memory="330MiB", settings=["tax.module=exact,esx", "tax.period=5s", "replay.seed=1,2"])
    frame = analysis.table(results).collect()
    assert frame.select("seed", "vm").n_unique() == frame.height == 6
    assert (frame["extra_faults"] == frame["faults"] - frame["exact_faults"]).all()
    check(frame.drop("setting"), "wrong_estimates")
    assert frame["extra_faults"].sum() > 0
    assert (frame["unjustified"] > 0).all() and (frame["misplaced"] > 0).all()
    assert len(analysis.chart(frame).to_dict()["hconcat"]) == 2


@pytest.mark.slow
def test_the_truth_beside_itself_costs_nothing(tmp_path):
    """n is not below the VMs' pages, and use never changes: the estimate is the truth."""
    access = write_static(tmp_path / "x.access.parquet", 256, {"idle": 40, "busy": 200}, 60, 10**9)
    settings = ["tax.module=exact,esx", "tax.sample=256", "tax.period=10s", "tax.overhead=0"]
    results = tk.replay(access, preset="tax", memory="800KiB", settings=settings)
    frame = load("wrong_estimates").table(results).collect()
    assert frame["unjustified"].to_list() == [0, 0] and frame["extra_faults"].to_list() == [0, 0]


def test_the_screen_has_a_line_an_estimator():
    done = run("replay", *captured("toucher-long"), "--preset", "estimators", "--until", "60s")
    assert done.code == 0
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 100
    start = next(i for i, line in enumerate(lines) if line.startswith("estimators of the pages used within 30 s"))
    names = [word for line in lines[start:] for word in line.split()[1:2]]
    assert [name for name in names if name in ("esx", "bitmap", "damon", "dirty", "curve")] == ["esx", "bitmap", "damon", "dirty", "curve"]
    assert any(line.startswith("→ nothing known by kstaled") for line in lines)  # its first scan is after 120 s
    done = run("replay", *captured("toucher-long"), "--preset", "estimators", "--until", "20s")
    assert "→ no estimator's window has passed" in done.out
