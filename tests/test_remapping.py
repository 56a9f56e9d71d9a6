"""Bouncing and remapping: against what real kernels bounced, a slow twin, bytes one by one, and one expression over the rows."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import agree, rows_of, save
from reference_remapping import Remapper

import tracekit
from tracekit.errors import ScenarioError
from tracekit.kernel import entry
from tracekit.modules.remapping import zones
from tracekit.modules.remapping.pool import EXHAUSTED, FRAGMENTED, PEAK, USED, claim, pool
from tracekit.rng import stream
from tracekit.synth import synthesize
from tracekit.transfers import split_pages

TRACES = Path(__file__).parents[1] / "traces"
HIGH = 1 << 20  # the first machine page beyond 4 GiB
MASK32 = (1 << 32) - 1


def transfer(ppn, vm="a", device="nic", to_device=True, size=100, dma_mask=MASK32, forced=False, t=0):
    return {
        "kind": "io",
        "t": t,
        "vm": vm,
        "ppn": ppn,
        "device": device,
        "to_device": to_device,
        "bytes": size,
        "dma_mask": dma_mask,
        "forced": forced,
    }


def replay(folder, rows, vms, scenario):
    """The table copies by VM and device, of a trace without marks."""
    found = rows_of(tracekit.replay(save(folder, rows, vms), scenario), "copies", "vm", "device", "phase")
    return {(vm, device): row for (vm, device, _), row in found.items()}


def hot(**params):
    return {"remap": {"module": "hot"} | params}


# ------------------------------------------------------------------------------------------------- real captures


@pytest.fixture(scope="module", params=["dma-high", "dma-forced"])
def capture(request):
    return TRACES / f"{request.param}.io.parquet"


@pytest.fixture(scope="module")
def results(capture):
    return tracekit.replay(capture, {"remap": {"module": ["bounce-all", "hot"], "threshold": [3, 1000]}})


def of_module(results, name, threshold=None):
    """The table copies of one module."""
    chosen = (pl.col("remap.module") == name) & (pl.lit(threshold is None) | (pl.col("remap.threshold") == pl.lit(threshold)))
    variants = results.params("remap.module", "remap.threshold").filter(chosen).collect()["variant"]
    return results.copies.filter(pl.col("variant").is_in(variants.implode())).collect()


def test_bouncing_alone_is_what_the_kernel_did(capture, results):
    """To the byte, by device and direction: copied in before the device reads, out after it wrote."""
    truth = pl.read_parquet(capture).with_columns(pl.col("device").cast(pl.String), pl.col("bytes").cast(pl.Int64)).filter("bounced")
    found = of_module(results, "bounce-all")
    for device in found["device"]:
        mine, row = truth.filter(pl.col("device") == device), found.row(by_predicate=pl.col("device") == device, named=True)
        assert row["copied_in_bytes"] == mine.filter(pl.col("to_device").fill_null(True))["bytes"].sum()
        assert row["copied_out_bytes"] == mine.filter(~pl.col("to_device").fill_null(False))["bytes"].sum()
        assert (row["bounced"], row["remapped"], row["copied_bytes"]) == (mine.height, 0, row["baseline_bytes"])
    assert found["copied_bytes"].sum() == truth["bytes"].sum()


def test_forced_copies_are_never_saved(capture, results):
    found = results.copies.collect()
    if "forced" in capture.name:
        assert (found["copied_bytes"] == found["baseline_bytes"]).all() and (found["forced_bytes"] == found["baseline_bytes"]).all()
        assert found["remapped"].sum() == 0 and results.remaps.collect()["saved_bytes"].max() == 0
    else:
        assert found["forced_bytes"].sum() == 0


def test_threshold_3_saves_what_one_expression_says(capture, results):
    """With low memory to spare: all bytes of a page but those of its first four copies."""
    beyond = (pl.col("ppn").cast(pl.UInt64) * 4096 + 4095 > pl.col("dma_mask")) & ~pl.col("forced")
    saved = (
        pl.scan_parquet(capture)
        .filter(beyond)
        .select(pl.col("bytes").cast(pl.Int64).filter(pl.int_range(pl.len()).over("vm", "ppn") > 3).sum())
    )
    found = of_module(results, "hot", 3)
    assert found["baseline_bytes"].sum() - found["copied_bytes"].sum() == saved.collect().item()


def test_a_real_capture_counts_as_the_twin_does(capture, results):
    rows = [row | {"kind": "io"} for row in pl.read_parquet(capture).with_columns(pl.col("vm", "device").cast(pl.String)).to_dicts()]
    for threshold in (3, 1000):
        twin = Remapper({rows[0]["vm"]: 6 << 18}, rows, "hot", threshold).run()
        found = {(row["vm"], row["device"], row["phase"]): row for row in of_module(results, "hot", threshold).to_dicts()}
        agree(found, {key: dict(counts) for key, counts in twin.table.items()})
        last = results.swiotlb.filter(pl.col("variant") == next(iter(found.values()))["variant"]).collect().row(-1, named=True)
        moves = results.remaps.filter(pl.col("variant") == last["variant"]).collect()
        assert moves["copied_bytes"].is_sorted() and moves["copied_bytes"][-1] == sum(row["copied_bytes"] for row in found.values())
        assert moves["low"][-1] == moves["remapped"][-1] == len(twin.moved)
        assert last["peak"] == twin.peak and last["segments"] == sum(row["segments"] for row in found.values())


def test_concentration_is_that_of_the_rows(capture, results):
    beyond = (pl.col("ppn").cast(pl.UInt64) * 4096 + 4095 > pl.col("dma_mask")) | pl.col("forced")
    rows = pl.read_parquet(capture).filter(beyond).group_by("device", "ppn").agg(pl.col("bytes").cast(pl.Int64).sum())
    frame = results.concentration.filter(pl.col("variant") == pl.col("variant").first()).collect()
    for (device,), mine in rows.with_columns(pl.col("device").cast(pl.String)).group_by("device"):
        by_page = mine["bytes"].sort(descending=True)
        told = frame.filter(pl.col("device") == device)
        assert told["pages"].unique().item() == len(by_page) and told["bytes"].unique().item() == by_page.sum()
        assert told["top_bytes"].to_list() == [by_page.head(top).sum() for top in told["top"]]
        assert told["top"].to_list()[:3] == [1, 2, 4] and told["top"].to_list()[-1] == len(by_page)


# ------------------------------------------------------------------------------------------------- when it pays


def saved(files, **params):
    """Bytes copied by bouncing alone, and with remapping."""
    found = (
        tracekit.replay(files, hot(**params))
        .copies.filter(pl.col("device") != "disk" if "nic" in str(files[0]) else pl.lit(True))
        .collect()
    )
    return found["baseline_bytes"].sum(), found["copied_bytes"].sum()


def test_a_ring_of_few_buffers_saves_orders_of_magnitude_and_a_stream_nothing(tmp_path):
    """Section 7's claim, and where it fails."""
    *ring, _ = synthesize("nic", tmp_path, 1)
    without, kept = saved(ring)
    assert without > 1000 * kept
    *once, _ = synthesize("stream", tmp_path, 1)
    without, kept = saved(once)
    assert kept == without > 10**9


def test_every_policy_counts_as_the_twin_and_lies_between_the_bounds():
    """See uncompiled_remapping.py: ten policies are ten drivers, which would take minutes to compile."""
    script = Path(__file__).with_name("uncompiled_remapping.py")
    done = subprocess.run(
        [sys.executable, script], env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


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


def test_a_mark_begins_a_phase_of_its_vm(tmp_path):
    rows = [transfer(HIGH), transfer(HIGH, "b"), {"kind": "event", "vm": "a", "what": "mark"}]
    rows += [transfer(HIGH), {"kind": "event", "vm": "a", "what": "boot"}, transfer(HIGH, "b"), transfer(HIGH)]
    found = rows_of(tracekit.replay(save(tmp_path, rows, {"a": HIGH + 1, "b": HIGH + 1}), hot()), "copies", "vm", "phase")
    assert {key: row["bounced"] for key, row in found.items()} == {("a", 0): 1, ("a", 1): 2, ("b", 0): 2}


def test_pages_that_push_each_other_out_are_told(tmp_path):
    """Two hot pages, room for one: each comes back again and again, unless it stays for a while."""
    rows = [transfer(HIGH + i % 2, t=i * 1000) for i in range(100)]
    room = {"threshold": 0, "low": 4096, "evict": "lru"}
    ping = replay(tmp_path, rows, {"a": HIGH + 2}, hot(**room))["a", "nic"]
    assert (ping["remapped"], ping["evicted"], ping["again"], ping["copied_bytes"]) == (100, 99, 98, 10_000)
    calm = replay(tmp_path, rows, {"a": HIGH + 2}, hot(stay="1ms", **room))["a", "nic"]
    assert (calm["remapped"], calm["evicted"], calm["again"]) == (1, 0, 0)
    assert calm["copied_bytes"] == 5100  # one of the two is served in place


def test_an_iommu_copies_nothing_and_costs_by_mapping(tmp_path):
    rows = [transfer(ppn, t=t, forced=forced) for t, forced in ((0, False), (1, True)) for ppn in (HIGH, HIGH + 1, HIGH + 7)]
    found = replay(tmp_path, rows, {"a": HIGH + 8}, {"remap": {"module": "iommu", "mapping": "1us", "bounce": "0ns", "bandwidth": "1GB"}})
    assert (found["a", "nic"]["mappings"], found["a", "nic"]["bounced"], found["a", "nic"]["forced_bytes"]) == (2, 3, 300)
    assert found["a", "nic"]["cost"] == 2 * 1000 + 300


# ------------------------------------------------------------------------------------------------- pages, zones, slots


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 9000)), max_size=6))
def test_transfers_are_split_into_the_pages_of_their_bytes(transfers):
    number, page, size = split_pages(*(np.array(column, np.int64) for column in zip(*transfers)) if transfers else ([], []))
    bytes_of = [(i, byte // 4096) for i, (address, length) in enumerate(transfers) for byte in range(address, address + length)]
    expected = {key: bytes_of.count(key) for key in dict.fromkeys(bytes_of)}
    assert dict(zip(zip(number.tolist(), page.tolist()), size.tolist())) == expected
    assert len(number) == len(expected)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30_000), st.integers(1, 9000), st.sampled_from([1, 3, 5, 8])), min_size=1, max_size=8))
def test_what_bounces_is_what_lies_beyond_reach_byte_by_byte(transfers):
    """Transfers that cross pages and zones, against every byte's own address."""
    number, page, size = split_pages(*(np.array(column, np.int64) for column in list(zip(*transfers))[:2]))
    masks = [4096 * reach - 1 for _, _, reach in transfers]
    rows = [
        transfer(int(ppn), size=int(n), dma_mask=masks[i], device=f"reaches {masks[i]}", t=int(i)) for i, ppn, n in zip(number, page, size)
    ]
    with TemporaryDirectory() as folder:
        found = replay(folder, rows, {"a": 16}, hot(low=0))
    for mask in set(masks):
        expected = sum(
            byte > mask for (address, length, _), own in zip(transfers, masks) if own == mask for byte in range(address, address + length)
        )
        assert found["a", f"reaches {mask}"]["copied_bytes"] == found["a", f"reaches {mask}"]["baseline_bytes"] == expected


@entry
def take_slots(p, t, size):
    return claim(p, t, size)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from([1, 2048, 2049, 4096, 9000, 100_000, 262_144])), max_size=60))
def test_the_pool_is_that_of_a_list_of_slots(asked):
    """Adjacent slots of one set, exhaustion and fragmentation, against a list that is searched slot by slot."""
    kernel, twin, t = pool(512 << 10, 100), Remapper({}, [], pool=256, hold=100), 0
    for passed, size in asked:
        t += passed
        twin.segment = [t, size, twin.table["all"]]
        before = twin.table["all"]["exhausted"]
        twin.end_segment()
        assert take_slots(kernel, t, size) == (twin.table["all"]["exhausted"] == before)
        assert (kernel.counts[USED], kernel.counts[PEAK]) == (sum(twin.slots), twin.peak)
        assert [bool(run) for run in kernel.run] == [not taken for taken in twin.slots]
    assert kernel.counts[EXHAUSTED] == twin.table["all"]["exhausted"] >= kernel.counts[FRAGMENTED]


def placed(how, pages, room, ends=(10, 30, zones.NO_PAGE), seed=0):
    return zones.place(how, np.arange(pages), np.array(ends), np.array(room), stream(seed))


def test_placements_by_hand():
    assert placed("captured", 35, (0, 0, 0)).tolist() == [0] * 10 + [1] * 20 + [2] * 5
    assert placed("first-touch", 6, (2, 3, 9)).tolist() == [0, 0, 1, 1, 1, 2]
    assert placed("high-first", 6, (2, 3, 4)).tolist() == [2, 2, 2, 2, 1, 1]
    assert placed("interleaved", 9, (2, 3, 4)).tolist() == [0, 1, 2, 0, 1, 2, 1, 2, 2]
    assert np.bincount(placed("random", 9, (2, 3, 4))).tolist() == [2, 3, 4]  # the machine is full


def test_random_placement_takes_each_machine_page_alike():
    drawn = np.array([np.bincount(placed("random", 40, (20, 30, 50), seed=seed), minlength=3) for seed in range(400)])
    expected = 40 * np.array([0.2, 0.3, 0.5])
    spread = np.sqrt(expected * (1 - expected / 40) * 60 / 99 / 400)  # hypergeometric
    assert (np.abs(drawn.mean(axis=0) - expected) < 5 * spread).all()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(zones.PLACEMENTS[1:]), st.lists(st.integers(0, 20), min_size=1, max_size=5), st.floats(0, 1))
def test_no_zone_holds_more_than_it_has(how, room, part):
    pages = max(1, int(sum(room) * part))
    if sum(room) < pages:
        with pytest.raises(ScenarioError, match=r"remap\.memory"):
            placed(how, pages, room)
    else:
        assert (np.bincount(placed(how, pages, room), minlength=len(room)) <= room).all()


def test_zones_end_where_reaches_and_nodes_end():
    masks = np.array([4094, 4095, MASK32, MASK32 + 1, 2**64 - 1], np.uint64)
    ends = zones.zone_ends(masks, 2, 1 << 22)
    assert ends.tolist() == [1, 1 << 20, 1 << 21, zones.NO_PAGE]
    assert zones.zones_within(ends, masks).tolist() == [0, 1, 2, 2, 4]
    assert zones.capacity(ends, 8, 1 << 22).tolist() == [0, (1 << 20) - 8, 1 << 20, 1 << 21]


def test_placement_decides_what_bounces(tmp_path):
    """A VM of 8 pages on a machine of 16, of which a device reaches 4."""
    rows = [transfer(ppn, dma_mask=4 * 4096 - 1) for ppn in range(8)]
    bounced = {}
    for how in zones.PLACEMENTS:
        given = {"place": how, "memory": 16 * 4096, "low": 0}
        bounced[how] = replay(tmp_path, rows, {"a": 8}, {"remap": {"module": "hot", **given}})["a", "nic"]["bounced"]
    assert bounced | {"random": 0} == {"captured": 4, "first-touch": 4, "interleaved": 4, "high-first": 8, "random": 0}
    assert 4 <= bounced["random"] <= 8
