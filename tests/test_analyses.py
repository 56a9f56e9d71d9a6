"""Analyses answer from a replay, and draw."""

import importlib.util
from pathlib import Path

import polars as pl

import tracekit as tk

ROOT = Path(__file__).parent.parent


def load(name):
    """An analysis as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "analyses" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sampling_follows_the_phases_of_the_real_toucher():
    analysis = load("sampling_accuracy")
    frame = analysis.table(tk.replay(sorted((ROOT / "traces").glob("toucher-long.*.parquet")), preset="tax")).collect()
    # The toucher's phases of 90 s touch 66, 162, 247, 103, 30 and 206 MiB; every third period lies within one.
    inside = frame.filter(pl.col("t").is_between(60, 65) | pl.col("t").is_between(150, 155) | pl.col("t").is_between(240, 245))
    assert [round(truth / 10) for truth in inside["truth"]] == [7, 16, 25]
    assert frame["covered"].mean() >= 0.8
    assert analysis.chart(frame).to_dict()["spec"]["layer"]


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


def test_the_real_ballooning_experiment_beside_its_replay():
    """A guest under LRU; the distances stand in the analysis's docstring."""
    analysis = load("balloon_experiment")
    trace = ROOT / "traces" / "balloon-workload.access.parquet"
    frame = analysis.table(tk.replay(trace, preset="balloon", settings=["balloon.guest=lru"])).collect()
    assert frame["real_outs"].to_list() == [227, 44_925, 109_890, 201_149, 286_447, 298_093]
    assert frame["outs"].to_list() == [227, 416_871, 826_405, 1_232_612, 1_616_075, 1_623_579]
    assert [round(distance, 2) for distance in frame["distance"]] == [0, 0.66, 0.36, 0.11, 0.04, 0.03]
    assert len(analysis.chart(frame).to_dict()["spec"]["layer"]) == 2


def test_the_cost_of_a_balloon_falls_with_what_it_leaves():
    analysis = load("balloon_cost")
    balloon = {"module": ["esx", "native"], "guest": "lru", "inflate": "1GiB"}
    balloon |= {"targets": ["0s=96MiB", "0s=144MiB"], "memory": ["96MiB", "144MiB"]}
    results = balloon_workload({"balloon": balloon, "paging": {"module": "unbounded"}}, "30s")
    frame = analysis.table(results).collect()
    assert frame["size"].to_list() == [96, 144] and not frame["synthetic"].any()
    assert (frame["ballooned_ins"] >= frame["configured_ins"]).all()
    assert analysis.chart(frame).to_dict()["encoding"]


def test_policies_beside_opt_and_random():
    analysis = load("replacement")
    paging = {"module": ["lru", "random", "optimal"], "frames": [10_000, 20_000]}
    frame = analysis.table(balloon_workload({"paging": paging}, "20s", seed=[1, 2, 3])).collect()
    opt = frame.filter(pl.col("policy") == "optimal")
    assert opt["of_opt"].to_list() == [1, 1] and (opt["low"] == opt["high"]).all()
    assert (frame["of_opt"] >= 1).all()
    assert frame.filter(pl.col("policy") == "random")["of_random"].to_list() == [1, 1]
    assert analysis.chart(frame).to_dict()["spec"]["layer"]


def test_double_paging_by_policy_of_host_and_guest():
    analysis = load("double_paging")
    scenario = {
        "balloon": {"module": "esx", "guest": ["lru", "random"], "targets": "5s=152MiB 12s=128MiB"},
        "paging": {"module": "lru", "frames": 25_000},
    }
    frame = analysis.table(balloon_workload(scenario, "20s", seed=[1, 2])).collect()
    assert frame.select("host", "guest", "seeds").rows() == [("lru", "lru", 2), ("lru", "random", 2)]
    assert (frame["double_paged"] > 0).all()
    assert len(analysis.chart(frame).to_dict()["hconcat"]) == 2
