"""Bouncing and remapping: against what real kernels bounced, a naive count, and one expression over the rows."""

from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import agree, copies, rows_of, save

import tracekit

TRACES = Path(__file__).parents[1] / "traces"
HIGH = 1 << 20  # the first machine page beyond 4 GiB
MASK32 = (1 << 32) - 1


def transfer(ppn, vm="a", device="nic", to_device=True, size=100, dma_mask=MASK32, forced=False):
    return {
        "kind": "io",
        "vm": vm,
        "ppn": ppn,
        "device": device,
        "to_device": to_device,
        "bytes": size,
        "dma_mask": dma_mask,
        "forced": forced,
    }


def replay(folder, rows, vms, scenario):
    return rows_of(tracekit.replay(save(folder, rows, vms), scenario), "copies", "vm", "device")


def hot(**params):
    return {"remap": {"module": "hot"} | params}


# ------------------------------------------------------------------------------------------------- real captures


@pytest.fixture(scope="module", params=["dma-high", "dma-forced"])
def capture(request):
    return TRACES / f"{request.param}.io.parquet"


def test_baseline_is_what_the_kernel_bounced(capture):
    """To the byte, by device."""
    bounced = pl.col("bytes").cast(pl.Int64).filter(pl.col("bounced"))
    truth = (
        pl.read_parquet(capture).group_by(pl.col("device").cast(pl.String)).agg(bounced.sum().alias("bytes"), bounced.len().alias("rows"))
    )
    results = tracekit.replay(capture, {"remap": {"module": ["bounce-all", "hot"]}})
    modules = results.params("remap.module")
    found = results.copies.join(modules, on="variant").collect()
    for device, size, rows in truth.iter_rows():
        of_device = found.filter(pl.col("device") == device)
        assert of_device["baseline_bytes"].to_list() == [size, size]
        alone = of_device.filter(pl.col("remap.module") == "bounce-all")
        assert (alone["copied_bytes"].item(), alone["bounced"].item(), alone["remapped"].item()) == (size, rows, 0)
    if "forced" in capture.name:  # remapping can save nothing
        assert (found["copied_bytes"] == found["baseline_bytes"]).all() and (found["forced_bytes"] == found["baseline_bytes"]).all()
        assert found["remapped"].sum() == 0
    else:
        assert found["forced_bytes"].sum() == 0


def test_thresholds_on_a_real_capture(capture):
    """A page is moved when its copies exceed the threshold; the copy that exceeds it is still paid."""
    rows = [row | {"kind": "io"} for row in pl.read_parquet(capture).with_columns(pl.col("vm", "device").cast(pl.String)).to_dicts()]
    results = tracekit.replay(capture, {"remap": {"module": ["hot", "remap-all"], "threshold": [0, 8, 1000]}})
    keys = results.params("remap.module", "remap.threshold").collect()
    for variant, module, threshold in keys.select("variant", "remap.module", "remap.threshold").iter_rows():
        found = results.copies.filter(pl.col("variant") == variant).collect()
        found = {(row["vm"], row["device"]): row for row in found.to_dicts()}
        agree(found, copies(rows, 0 if module == "remap-all" else int(threshold)))
    times = pl.when(pl.col("to_device").is_null()).then(2).otherwise(1)
    bouncing = (pl.col("ppn").is_not_null() & (pl.col("ppn").cast(pl.UInt64) * 4096 + 4095 > pl.col("dma_mask"))) | pl.col("forced")
    before = pl.when("forced").then(0).otherwise(times).cum_sum().over("vm", "ppn") - times
    paid = (pl.col("bytes") * times).filter(pl.col("forced") | (before <= 8)).sum()
    expected = pl.scan_parquet(capture).filter(bouncing).select(paid).collect().item()
    eight = keys.filter((pl.col("remap.threshold") == "8") & (pl.col("remap.module") == "hot"))["variant"].item()
    assert results.copies.filter(pl.col("variant") == eight).select("copied_bytes").sum().collect().item() == expected


# ------------------------------------------------------------------------------------------------- by hand


def test_the_copy_that_exceeds_the_threshold_is_still_paid(tmp_path):
    found = replay(tmp_path, [transfer(HIGH)] * 10, {"a": HIGH + 1}, hot(threshold=3))["a", "nic"]
    assert (found["bounced"], found["copied_bytes"], found["remapped"], found["baseline_bytes"]) == (4, 400, 1, 1000)
    assert (found["transfers"], found["bytes"]) == (10, 1000)


def test_a_transfer_both_ways_is_copied_twice(tmp_path):
    rows = [transfer(HIGH, to_device=None)] * 3 + [transfer(HIGH, to_device=False)]
    found = replay(tmp_path, rows, {"a": HIGH + 1}, hot(threshold=3))["a", "nic"]
    assert (found["bytes"], found["baseline_bytes"]) == (400, 700)
    assert (found["bounced"], found["copied_bytes"], found["remapped"]) == (2, 400, 1)  # its fourth copy moves it


def test_forced_transfers_are_kept_apart_and_never_saved(tmp_path):
    rows = [transfer(0, forced=True)] * 5 + [transfer(HIGH, forced=True)] * 5 + [transfer(HIGH)] * 5
    found = replay(tmp_path, rows, {"a": HIGH + 1}, hot(threshold=0))["a", "nic"]
    assert (found["forced_bytes"], found["copied_bytes"], found["baseline_bytes"]) == (1000, 1100, 1500)


def test_unknown_pages_bounce_only_where_forced(tmp_path):
    rows = [transfer(None)] * 3 + [transfer(None, forced=True)] * 2
    found = replay(tmp_path, rows, {"a": 1}, hot(threshold=0))["a", "nic"]
    assert (found["unknown"], found["bounced"], found["copied_bytes"], found["baseline_bytes"], found["remapped"]) == (5, 2, 200, 200, 0)


def test_no_low_memory_nothing_is_moved(tmp_path):
    found = replay(tmp_path, [transfer(HIGH)] * 10, {"a": HIGH + 1}, hot(threshold=0, low=0))["a", "nic"]
    assert (found["copied_bytes"], found["baseline_bytes"], found["remapped"]) == (1000, 1000, 0)


def test_a_device_that_reaches_less_than_low_memory_gets_what_it_reaches(tmp_path):
    rows = [transfer(ppn, dma_mask=2 * 4096 - 1) for _ in range(2) for ppn in (5, 6, 7)]
    found = replay(tmp_path, rows, {"a": 8}, hot(threshold=0))["a", "nic"]
    assert (found["remapped"], found["copied_bytes"], found["baseline_bytes"]) == (2, 400, 600)


def test_the_last_byte_within_reach_decides(tmp_path):
    rows = [
        transfer(0, device="exact", dma_mask=4095),
        transfer(0, device="short", dma_mask=4094),
        transfer(0, device="all", dma_mask=2**64 - 1),
    ]
    found = replay(tmp_path, rows, {"a": 1}, hot(low=0))
    assert {device: row["bounced"] for (_, device), row in found.items()} == {"exact": 0, "short": 1, "all": 0}


def test_vms_lie_where_the_scenario_places_them(tmp_path):
    rows = [transfer(0, vm) for vm in ("a", "b")]
    scenario = hot() | {"vm": [{"name": "b", "place": "4GiB"}]}
    found = replay(tmp_path, rows, {"a": 1, "b": 1}, scenario)
    assert {vm: row["baseline_bytes"] for (vm, _), row in found.items()} == {"a": 0, "b": 100}


transfers = st.builds(
    transfer,
    st.one_of(st.none(), st.integers(0, 5)),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["nic", "disk"]),
    st.sampled_from([True, False, None]),
    st.sampled_from([1, 512, 4096]),
    st.sampled_from([0, 4095, 2 * 4096 - 1, 4 * 4096, MASK32, 2**64 - 1]),
    st.booleans(),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(transfers, min_size=1, max_size=60), st.integers(0, 4), st.integers(0, 3))
def test_copies_equal_the_twins(rows, threshold, low):
    with TemporaryDirectory() as folder:
        found = replay(folder, rows, {"a": 6, "b": 6}, hot(threshold=threshold, low=4096 * low))
    agree(found, copies(rows, threshold, low))
