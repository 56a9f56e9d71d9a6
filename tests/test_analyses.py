"""Analyses answer from a replay, and draw."""

import importlib.util
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

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
