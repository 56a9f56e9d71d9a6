"""Analyses answer from a replay, and draw."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from run_analysis import ROOT, check, load

import tracekit as tk
from tracekit.synth import synthesize

GOLDEN = Path(__file__).parent / "golden"


def test_working_sets_of_real_vms_are_as_they_were():
    """Against a golden table: the summary, and the curve of all VMs together (``working_set_golden`` writes it)."""
    analysis = load("working_set")
    frame = analysis.table(tk.replay(sorted((ROOT / "traces").glob("three-vms.*.parquet")), preset="working-set")).collect()
    assert_frame_equal(working_set_golden(frame), pl.read_csv(GOLDEN / "working_set.csv"), rel_tol=1e-9)
    drawn = analysis.chart(frame).to_dict()
    assert len(drawn["vconcat"][0]["vconcat"][0]["hconcat"]) == 3  # a heat map a VM
    assert frame.filter(pl.col("view") == "heat")["used"].is_between(0, 1).all()


def working_set_golden(frame):
    kept = (pl.col("view") == "summary") | ((pl.col("view") == "curve") & (pl.col("vm") == "*"))
    columns = ("view", "vm", "window", "mean", "p50", "p95", "peak", "sum_of_peaks", "correlation", "size", "miss_ratio")
    return frame.filter(kept).select(columns)


@pytest.mark.slow
def test_savings_end_at_the_bound_when_everything_is_shared():
    analysis = load("savings_over_time")
    given = {"preset": "sharing", "settings": ["sharing.module=share-everything"]}
    frame = analysis.table(tk.replay(ROOT / "traces" / "six-vms.content.parquet", **given)).collect()
    assert frame["part"].min() == 1.0
    assert round(frame["possible"][-1]) == 734
    assert analysis.chart(frame).to_dict()["spec"]


def balloon_workload(scenario, until, **replay):
    """A replay of the real workload of the ballooning experiment, up to a time."""
    trace = ROOT / "traces" / "balloon-workload.access.parquet"
    return tk.replay(trace, scenario | {"replay": {"until": until, "report": "100ms"} | replay})


@pytest.mark.slow
def test_the_real_ballooning_experiment_beside_its_replay():
    """A guest under LRU; the distances stand in the analysis's docstring."""
    analysis = load("balloon_experiment")
    trace = ROOT / "traces" / "balloon-workload.access.parquet"
    frame = analysis.table(tk.replay(trace, preset="balloon", settings=["balloon.guest=lru"])).collect()
    assert frame["real_outs"].to_list() == [227, 44_925, 109_890, 201_149, 286_447, 298_093]
    assert frame["outs"].to_list() == [227, 416_871, 826_405, 1_232_612, 1_616_075, 1_623_579]
    assert [round(distance, 2) for distance in frame["distance"]] == [0, 0.66, 0.36, 0.11, 0.04, 0.03]
    check(frame, "balloon_experiment")
    assert len(analysis.chart(frame).to_dict()["spec"]["layer"]) == 2


@pytest.mark.slow
def test_the_cost_of_a_balloon_falls_with_what_it_leaves():
    analysis = load("balloon_cost")
    balloon = {"module": ["esx", "native"], "guest": "lru", "inflate": "1GiB", "per_page": 64}
    balloon |= {"targets": ["0s=96MiB", "0s=144MiB"], "memory": ["96MiB", "144MiB"]}
    results = balloon_workload({"balloon": balloon, "paging": {"module": "unbounded"}}, "30s")
    frame = analysis.table(results).collect()
    assert frame["size"].to_list() == [96, 144] and not frame["synthetic"].any()
    check(frame, "balloon_cost")
    assert (frame["ballooned_ins"] >= frame["configured_ins"]).all()
    assert analysis.chart(frame).to_dict()["encoding"]


@pytest.mark.slow
def test_the_cost_of_a_balloon_to_a_synthetic_file_server(tmp_path):
    """Figure 2's guest, synthetic and a quarter as large, whose kernel keeps eight times as much for a page."""
    sizes = {"memory": "64MiB", "kernel": "1MiB", "program": "64KiB", "clients": 10, "files": "50MiB", "per_page": 512}
    *files, _ = synthesize("dbench", tmp_path, 7, duration="20s", **sizes)
    analysis = load("balloon_cost")
    balloon = {"module": ["esx", "native"], "guest": "lru", "inflate": "1GiB", "per_page": 512}
    balloon |= {"targets": ["0s=32MiB", "0s=56MiB"], "memory": ["32MiB", "56MiB"]}
    frame = analysis.table(tk.replay(files, {"balloon": balloon, "paging": {"module": "unbounded"}})).collect()
    assert frame["synthetic"].all()
    half, most = frame["overhead"]
    assert half > most > 0


def test_policies_beside_opt_and_random():
    analysis = load("replacement")
    paging = {"module": ["lru", "random", "optimal"], "frames": [10_000, 20_000]}
    frame = analysis.table(balloon_workload({"paging": paging}, "20s", seed=[1, 2, 3])).collect()
    opt = frame.filter(pl.col("policy") == "optimal")
    assert opt["of_opt"].to_list() == [1, 1] and (opt["low"] == opt["high"]).all()
    assert (frame["of_opt"] >= 1).all()
    assert frame.filter(pl.col("policy") == "random")["of_random"].to_list() == [1, 1]
    check(frame, "replacement")
    assert analysis.chart(frame).to_dict()["spec"]["layer"]


@pytest.mark.slow
def test_double_paging_by_policy_of_host_and_guest():
    analysis = load("double_paging")
    scenario = {
        "balloon": {"module": "esx", "guest": ["lru", "random"], "targets": "5s=152MiB 12s=128MiB"},
        "paging": {"module": "lru", "frames": 25_000},
    }
    frame = analysis.table(balloon_workload(scenario, "20s", seed=[1, 2])).collect()
    assert frame.select("host", "guest", "seeds").rows() == [("lru", "lru", 2), ("lru", "random", 2)]
    assert (frame["double_paged"] > 0).all()
    check(frame, "double_paging")
    assert len(analysis.chart(frame).to_dict()["hconcat"]) == 2


@pytest.mark.slow
def test_a_tier_pays_from_the_papers_thresholds_on_and_80_percent_is_too_early():
    analysis = load("tiers")
    files = sorted((ROOT / "traces").glob("three-vms.*.parquet"))
    sweep = ["swap.module=disk,zswap,remote", "swap.start=100,96,80"]
    frame = analysis.table(tk.replay(files, preset="swap", settings=["paging.frames=80000", *sweep])).collect()
    golden = pl.read_csv(ROOT / "tests" / "golden" / "tiers.csv", schema=frame.schema)
    assert_frame_equal(frame, golden)
    stall = {(tier, start): wait for tier, start, wait in frame.select("tier", "start", "stall").iter_rows()}
    for tier in ("disk", "zswap", "remote"):
        assert stall[tier, 96] < min(stall[tier, 80], stall[tier, 100])
    assert stall["remote", 96] < stall["zswap", 96] < stall["disk", 96]
    assert len(analysis.chart(frame).to_dict()["vconcat"]) == 2


def expected(name, frame):
    """The golden table of an analysis, with the types of what was found."""
    return pl.read_csv(ROOT / "tests" / "golden" / f"{name}.csv", schema=frame.schema)


def real_transfers(*settings):
    """A replay of the real DMA captures."""
    return tk.replay(sorted((ROOT / "traces").glob("dma-*.parquet")), preset="remap", settings=settings)


@pytest.fixture(scope="module")
def transfers():
    return real_transfers("remap.threshold=3,8,128")


@pytest.mark.parametrize("name", ["remap_copies", "bounce_concentration"])
def test_remapping_of_the_real_captures(transfers, name):
    analysis = load(name)
    frame = analysis.table(transfers).collect()
    assert_frame_equal(frame, expected(name, frame))
    assert analysis.chart(frame).to_dict()["$schema"]


def test_bounce_buffers_of_the_real_captures():
    analysis = load("swiotlb_pool")
    frame = analysis.table(real_transfers("remap.pool=256KiB,1MiB", "remap.hold=200us,2ms")).collect()
    assert_frame_equal(frame, expected("swiotlb_pool", frame))
    assert analysis.chart(frame).to_dict()["spec"]


def test_remapping_saves_nothing_that_is_forced_and_pays_beyond_the_break_even(transfers):
    frame = load("remap_copies").table(transfers).collect()
    assert (frame.filter("forced")["left"] == 1).all() and set(frame.filter("forced")["trace"]) == {"dma-forced"}
    fio = frame.filter((pl.col("phase") == 4) & (pl.col("device") == "ata_piix"))
    assert (fio["left"] < 0.3).all() and (fio["cost"] < fio["cost_baseline"]).all()  # two pages, copied 16 964 times each
    once = frame.filter((pl.col("phase") == 0) & (pl.col("trace") == "dma-high"))
    assert (once["left"] > 0.99).all()  # files written once


def test_tiers_of_the_real_toucher():
    analysis = load("tiers_promotion")
    given = {"tier": {"module": ["static", "clairvoyant"], "near": "32MiB"}, "replay": {"until": "60s"}}
    frame = analysis.table(tk.replay(ROOT / "traces" / "toucher-long.access.parquet", given)).collect()
    assert_frame_equal(frame, expected("tiers_promotion", frame))
    assert frame.sort("policy")["amat_moved"].is_sorted()  # clairvoyant, static
    assert analysis.chart(frame).to_dict()["spec"]
