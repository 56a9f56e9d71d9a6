"""Analyses answer from a replay, and draw."""

import importlib.util
from pathlib import Path

import polars as pl
import pytest
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
