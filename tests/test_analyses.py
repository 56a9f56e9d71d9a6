"""Analyses answer from a replay, and draw."""

import importlib.util
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

import tracekit as tk

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"


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


def test_savings_end_at_the_bound_when_everything_is_shared():
    analysis = load("savings_over_time")
    given = {"preset": "sharing", "settings": ["sharing.module=share-everything"]}
    frame = analysis.table(tk.replay(ROOT / "traces" / "six-vms.content.parquet", **given)).collect()
    assert frame["part"].min() == 1.0
    assert round(frame["possible"][-1]) == 734
    assert analysis.chart(frame).to_dict()["spec"]
