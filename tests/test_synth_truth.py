"""The ground truth beside a synthesized capture is what its rows say, recounted without the recipes' own code."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from test_synth import EVERY_BLOCK, SMALL, all_recipes

from tracekit.schema import QUANTITIES
from tracekit.synth import synthesize
from tracekit.synth.blocks import BLOCKS

SECOND = 10**9
ZERO = 0x93D76FE148C689BA


def make(tmp_path: Path, recipe: str, seed: int = 0, **params: Any) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """Rows by kind, and the truth, of a recipe with its small parameters."""
    *files, truth = synthesize(recipe, tmp_path, seed, **(SMALL[recipe] | params))
    rows = {file.name.split(".")[-2]: pl.read_parquet(file).with_columns(pl.col("vm").cast(pl.String)) for file in files}
    return rows, pl.read_parquet(truth)


def told(truth: pl.DataFrame, **where: Any) -> dict[str, float]:
    """Quantities of the rows of the truth that are about this; each once."""
    mine = truth.filter(**where)
    assert mine["quantity"].is_unique().all()
    return dict(mine.select("quantity", "value").iter_rows())


@all_recipes
def test_active_pages_accesses_and_writes(tmp_path, recipe):
    rows, truth = make(tmp_path, recipe)
    assert set(truth["quantity"]) <= set(QUANTITIES)
    stretches = truth.filter(pl.col("quantity") == "active", pl.col("block") == "").select("vm", "t", "until")
    assert stretches.is_empty() == ("access" not in rows)
    for vm, t, until in stretches.iter_rows():
        mine = rows["access"].filter(pl.col("vm") == vm, pl.col("t") >= t, pl.col("t") < until)
        assert told(truth, vm=vm, t=t, until=until, block="") == {
            "active": mine["ppn"].n_unique(), "accesses": mine.height, "writes": mine["write"].sum(),
        }  # fmt: skip
    if "access" in rows:
        of_vms = truth.filter(pl.col("quantity") == "accesses", pl.col("block") == "")
        of_blocks = truth.filter(pl.col("quantity") == "accesses", pl.col("block") != "")
        assert of_vms["value"].sum() == of_blocks["value"].sum() == rows["access"].height


@all_recipes
def test_contents(tmp_path, recipe):
    """Sharing at each snapshot, and with the first 1, 2, … VMs alone; what changed, and what of it was equal before."""
    rows, truth = make(tmp_path, recipe)
    moments = truth.filter(pl.col("quantity") == "changed")
    assert moments.is_empty() == ("content" not in rows)
    if moments.is_empty():
        return
    off = rows["event"].filter(pl.col("what").cast(pl.String) == "power-off") if "event" in rows else pl.DataFrame({"vm": [], "t": []})
    ended = dict(off.select("vm", "t").iter_rows())
    names = [*dict.fromkeys(rows["content"]["vm"])]
    contents: dict[tuple[str, int], int] = {}
    equal: set[tuple[str, int]] = set()
    for t in moments["t"]:
        contents = {page: digest for page, digest in contents.items() if ended.get(page[0], math.inf) > t}
        changed = {(vm, ppn): digest for vm, ppn, digest in rows["content"].filter(t=t).select("vm", "ppn", "digest").iter_rows()}
        here = truth.filter(t=t, until=t, vm="*")
        most = int(here["vms"].max())  # pyright: ignore[reportArgumentType]
        assert told(here, vms=most)["changed"] == len(changed)
        assert told(here, vms=most)["changed_shared"] == len(equal & changed.keys())
        assert all(contents.get(page) != digest for page, digest in changed.items())
        contents |= changed
        counted = here.filter(quantity="pages")
        if counted.is_empty():
            continue
        equal = {page for page, n in zip(contents, copies_of(contents)) if n > 1}
        for vms in counted["vms"]:
            assert vms == most or t == 0
            some = {page: digest for page, digest in contents.items() if vms == most or names.index(page[0]) < vms}
            assert recount(some) == {name: told(here, vms=vms)[name] for name in recount(some)}


def copies_of(contents: dict[tuple[str, int], int]) -> list[int]:
    counts: dict[int, int] = {}
    for digest in contents.values():
        counts[digest] = counts.get(digest, 0) + 1
    return [counts[digest] for digest in contents.values()]


def recount(contents: dict[tuple[str, int], int]) -> dict[str, int]:
    copies = pl.Series("digest", list(contents.values()), pl.UInt64).value_counts()
    shared = copies.filter(pl.col("count") > 1)
    return {
        "pages": len(contents),
        "shared": int(shared["count"].sum()),
        "reclaimable": int(shared["count"].sum()) - shared.height,
        "zero": int(copies.filter(pl.col("digest") == ZERO)["count"].sum()),
        "contents": copies.height,
    }


@all_recipes
def test_transfers(tmp_path, recipe):
    rows, truth = make(tmp_path, recipe)
    blocks = truth.filter(pl.col("quantity") == "transfers")
    assert blocks.is_empty() == ("io" not in rows)
    thresholds = {"nic": 3, "stream": 2}
    for vm, block in blocks.select("vm", "block").iter_rows():
        mine, found = told(truth, vm=vm, block=block), dict.fromkeys(("rows", "bytes", "bounced", "copied_bytes", "kept_bytes"), 0)
        copies: dict[int, int] = {}
        device = {"dma-ring": "nic", "dma-stream": "disk", "dma-scatter": "gpu"}.get(block, block)
        threshold = thresholds.get(recipe, 2 if block == "dma-stream" else 8)
        pages, forced_bytes = set(), 0
        io = rows["io"].filter(pl.col("vm") == vm, pl.col("device").cast(pl.String) == device)
        for ppn, size, mask, to_device, forced in io.select("ppn", "bytes", "dma_mask", "to_device", "forced").iter_rows():
            bounced = forced or (ppn + 1) * 4096 - 1 > mask
            copied = size * (2 if to_device is None else 1) * bounced
            found["rows"] += 1
            found["bytes"] += size
            found["bounced"] += bounced
            found["copied_bytes"] += copied
            found["kept_bytes"] += copied if forced or copies.get(ppn, 0) <= threshold else 0
            forced_bytes += copied * forced
            pages.add(ppn)
            if bounced:
                copies[ppn] = copies.get(ppn, 0) + (2 if to_device is None else 1)
        assert found == {name: mine[name] for name in found}
        assert (len(pages), max(copies.values(), default=0)) == (mine["dma_pages"], mine["most_copies"])
        assert mine["forced_bytes"] == forced_bytes
        assert mine["remapped"] == (0 if forced_bytes else sum(n > threshold for n in copies.values()))


@all_recipes
def test_clocks_tell_what_came_before(tmp_path, recipe):
    """A clock at time t tells the rows before t, and comes before the rows of t."""
    rows, _ = make(tmp_path, recipe)
    if "event" not in rows:
        return
    clock = rows["event"].filter(pl.col("what").cast(pl.String) == "clock")
    for vm, t, seq, a, b in clock.select("vm", "t", "seq", "a", "b").iter_rows():
        before = rows["access"].filter(pl.col("vm") == vm, pl.col("t") < t)
        assert (before.height, a <= t) == (b, True)
        assert before.is_empty() or before["seq"].max() < seq


def test_zipf_truth(tmp_path):
    rows, truth = make(tmp_path, "zipf")
    access = rows["access"]
    for vm in ("vm0", "vm1", "vm2"):
        hottest = told(truth, vm=vm, block="zipf", phase=0)
        top = access.filter(pl.col("vm") == vm)["ppn"].value_counts(sort=True).row(0)
        assert top == (hottest["hottest_page"], hottest["hottest_accesses"])
        assert abs(top[1] / 20_000 - hottest["hottest_share"]) < 0.02
    assert abs(access["write"].to_numpy().mean() - 0.25) < 0.02


def test_zipf_counts_follow_the_law(tmp_path):
    rows, _ = make(tmp_path, "zipf", vms=1, pages=50, accesses=200_000, alpha=1.0)
    counts = rows["access"]["ppn"].value_counts(sort=True)["count"].to_numpy()
    shares = 1 / np.arange(1, 51)
    expected = 200_000 * shares / shares.sum()
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_scan_truth(tmp_path):
    rows, _ = make(tmp_path, "scan")
    sweep = rows["access"].filter(pl.col("ppn") < 200)["ppn"].to_numpy()
    assert np.array_equal(sweep, np.tile(np.arange(200), 4))
    assert rows["access"].height == 3 * len(sweep) and rows["access"]["ppn"].n_unique() == 210
    rows, truth = make(tmp_path, "scan", hot=0, hot_pages=0)
    assert told(truth, block="scan", phase=0) == {"lru_pages": 200, "lru_misses": rows["access"].height}


def test_toucher_truth(tmp_path):
    rows, truth = make(tmp_path, "toucher")
    access, event = rows["access"], rows["event"]
    phases = truth.filter(pl.col("quantity") == "phase_pages", pl.col("block") != "background").sort("t")
    assert phases["value"].to_list() == [256, 768, 128, 768, 0]  # three sizes, zeroing, rest
    for t, until, pages in phases.select("t", "until", "value").iter_rows():
        inside = access.filter(pl.col("t").is_between(t, until, closed="left"))
        assert inside.filter(pl.col("ppn") >= 128)["ppn"].n_unique() == pages
    marks = event.filter(pl.col("what").cast(pl.String) == "mark")
    assert marks.select("t", "a", "b").rows() == [(t, i, n) for i, (t, n) in enumerate(phases.select("t", "value").iter_rows(), 1)]
    zeroing = access.filter(pl.col("t").is_between(12 * SECOND, 14 * SECOND, closed="left"), pl.col("ppn") >= 128)
    assert zeroing["ppn"].is_unique().all()
    assert zeroing["write"].all()


def test_tax_truth(tmp_path):
    rows, truth = make(tmp_path, "tax")
    active = truth.filter(pl.col("quantity") == "active", pl.col("block") == "", pl.col("t") > 0)
    assert set(active.select("vm", "value").iter_rows()) == {("idle", 128), ("busy", 768)}
    first = rows["access"].filter(pl.col("t") < 5 * SECOND)  # all of the memory, once
    assert sorted(first.filter(pl.col("vm") == "idle")["ppn"]) == list(range(1024))
    assert dict(rows["access"]["vm"].value_counts().iter_rows()) == {"idle": 1024 + 5 * 128, "busy": 1024 + 5 * 768}
    last = rows["event"].filter(pl.col("t") == 30 * SECOND)
    assert dict(last.select("vm", "a").iter_rows()) == {"idle": 7_500_000_000, "busy": 30_000_000_000}


@pytest.mark.parametrize("recipe", ["clones", EVERY_BLOCK], ids=["clones", "every_block"])
def test_what_is_written_is_what_the_next_snapshot_finds_changed(tmp_path, recipe):
    rows, _ = make(tmp_path, recipe)
    every = 5 if recipe == "clones" else 3
    stores = rows["access"].filter("write").select("t", "vm", "ppn")
    if "io" in rows:
        stores = pl.concat([stores, rows["io"].filter(~pl.col("to_device").fill_null(False)).select("t", "vm", "ppn")])
    told_first = rows["content"].group_by("vm").agg(pl.col("t").min().alias("first"))
    later = rows["content"].join(told_first, on="vm").filter(pl.col("t") > pl.col("first"))
    assert later["t"].n_unique() >= 2
    for (vm, t), found in later.group_by("vm", "t"):
        since = max((t - 1) // (every * SECOND) * every * SECOND, told_first.filter(pl.col("vm") == vm)["first"].item())  # pyright: ignore
        between = stores.filter(pl.col("vm") == vm, pl.col("t") >= since, pl.col("t") < t)
        assert set(found["ppn"]) <= set(between["ppn"])
        if recipe == "clones" or vm == "blocks":  # others write zeros over zeros, or what was there
            assert set(found["ppn"]) == set(between["ppn"])


@pytest.mark.parametrize(
    ("zero", "again", "twins", "vms"), [(0, 0, 0, 2), (0.002, 0, 0, 2), (0.002, 0, 0, 1), (0.3, 0.1, 0.05, 1), (0.6, 0, 0, 3)]
)
def test_clones_at_the_edges(tmp_path, zero, again, twins, vms):
    rows, truth = make(tmp_path, "clones", zero=zero, again=again, twins=twins, vms=vms, snapshots=1, accesses=False)
    contents = {(vm, ppn): digest for vm, ppn, digest in rows["content"].select("vm", "ppn", "digest").iter_rows()}
    found = told(truth, vms=vms)
    assert recount(contents) == {name: found[name] for name in recount(contents)}


def test_boot5_truth(tmp_path):
    """What pages hold after the boot, by the last row of each; what is touched while the SQL VM is idle."""
    rows, truth = make(tmp_path, "boot5")
    sizes = {"exchange0": 256, "exchange1": 256, "citrix0": 320, "citrix1": 320, "sql": 320}
    boot = rows["content"].filter(pl.col("t") <= 6 * SECOND)
    last = boot.sort("seq").group_by("vm", "ppn").last()
    loaded = last.filter(pl.col("digest") != ZERO)
    assert dict(last["vm"].value_counts().iter_rows()) == sizes
    assert dict(loaded["vm"].value_counts().iter_rows()) == {vm: round(0.8 * pages) for vm, pages in sizes.items()}
    copies = loaded.group_by("digest").agg(pl.len(), vms=pl.col("vm").n_unique())
    assert set(copies["len"]) == {1, 5} and (copies["len"] == copies["vms"]).all()
    assert (copies["len"] == 5).sum() == round(0.8 * 0.25 * 256)
    own = rows["content"].filter(pl.col("t") > 6 * SECOND)["digest"]
    assert own.is_unique().all() and not own.is_in(boot["digest"].implode()).any()
    active = {(vm, t // SECOND): n for vm, t, n in truth.filter(quantity="active", block="").select("vm", "t", "value").iter_rows()}
    assert (active["sql", 20], active["sql", 50], active["citrix1", 20]) == (16, 192, 192)
    assert rows["event"].filter(pl.col("what").cast(pl.String) == "boot").select("t", "vm").n_unique() == 5


def sharing_of(truth: pl.DataFrame, vms: int) -> dict[str, float]:
    return told(truth.filter(pl.col("t") == 0), vms=vms)


def test_clones_are_the_papers_figure_4(tmp_path):
    truth = pl.read_parquet(synthesize("clones", tmp_path, snapshots=1)[-1])
    by_vms = [sharing_of(truth, n) for n in range(1, 11)]
    alone, ten = by_vms[0], by_vms[9]
    assert alone["pages"] * 4096 == 40 << 20
    assert 4.6 < alone["reclaimable"] * 4096 / (1 << 20) < 5.0  # nearly 5 MB
    assert abs((alone["zero"] - 1) / alone["reclaimable"] - 0.55) < 0.02
    assert abs(ten["shared"] / ten["pages"] - 0.67) < 0.02
    assert 0.58 < ten["reclaimable"] / ten["pages"] < 0.60  # nearly 60 %
    steps = np.diff([found["reclaimable"] for found in by_vms])
    assert len(set(steps)) == 1  # linear
    once = [(found["shared"] - found["reclaimable"]) / 10240 for found in by_vms[1:]]
    assert max(once) - min(once) < 0.16  # the single copies stay nearly constant


def test_mixes_are_the_papers_figure_5(tmp_path):
    published = {"mix-a": (10, 2048, 880, 673), "mix-b": (9, 1846, 539, 345), "mix-c": (5, 1658, 165, 120)}
    for recipe, (vms, *sizes) in published.items():
        found = sharing_of(pl.read_parquet(synthesize(recipe, tmp_path, snapshots=1)[-1]), vms)
        assert [found[name] / 256 for name in ("pages", "shared", "reclaimable")] == pytest.approx(sizes, rel=0.01)


def test_address_randomization_costs_sharing(tmp_path):
    def shared(**params: Any) -> dict[str, float]:
        return sharing_of(pl.read_parquet(synthesize("clones", tmp_path, snapshots=1, memory="4MiB", **params)[-1]), 10)

    off, on = shared(), shared(aslr=True, relocated=0.2)
    assert on["zero"] == off["zero"]
    image = 0.67 - 0.066 - 2 * 0.019  # of a VM's pages, second copies among them
    lost = (off["shared"] - on["shared"]) / off["pages"]
    assert lost == pytest.approx(0.2 * image, rel=0.15)


def test_a_ring_and_a_stream(tmp_path):
    rows, _ = make(tmp_path, "nic")
    io = rows["io"].with_columns(pl.col("device").cast(pl.String))
    assert io["ppn"].min() >= 1 << 20 and io.filter(device="nic")["ppn"].n_unique() == 8  # pyright: ignore
    assert (io["bytes"].to_numpy().min() >= 60) and (io["bytes"].to_numpy().max() == 4096)
    rows, truth = make(tmp_path, "stream")
    found = told(truth, block="disk")
    assert found["bytes"] == found["transfers"] * 20_000  # no byte is lost in splitting
    assert rows["io"].filter(pl.col("bytes") < 4096).height > found["transfers"]  # most begin and end within a page


def test_blocks_touch_what_they_say(tmp_path):
    """Phase by phase, the pages of each block: distinct ones where that is known beforehand."""
    _, truth = make(tmp_path, EVERY_BLOCK)
    phases = truth.filter(pl.col("phase") > 0).pivot("quantity", index=["vm", "block", "phase"], values="value")
    exact = ("touch", "load", "cow-storm", "zero-thread", "sweep", "scan")
    for name in exact:
        mine = phases.filter(pl.col("block") == name)
        assert mine.height and mine["active"].to_list() == mine["phase_pages"].to_list(), name
    assert (phases["active"] <= phases["phase_pages"]).all()
    assert phases.filter(block="phase-change").height == 5
    walk = phases.filter(block="walk").row(0, named=True)
    assert walk["active"] > 32 + 2 * 30  # the working set of 32 pages has moved on by two pages every 300 ms
    assert set(phases["block"]) == {name for name, block in BLOCKS.items() if block.kind == "access"}


def test_loops_hot_spots_and_phases(tmp_path):
    head = 'duration = "10s"\n[[vm]]\nname = "a"\nmemory = "4MiB"\n[[vm.block]]\nrate = 5000\n'

    def pages(block: str) -> np.ndarray:
        (tmp_path / "one.toml").write_text(head + block)
        return pl.read_parquet(synthesize(str(tmp_path / "one.toml"), tmp_path)[0])["ppn"].to_numpy()

    assert np.array_equal(pages('block = "loop"'), np.arange(50_000) % 1024)
    counts = np.sort(np.bincount(pages('block = "hotspot"\nhot = 0.05\nheat = 0.8'), minlength=1024))
    assert counts[-51:].sum() / 50_000 == pytest.approx(0.8, abs=0.01) and counts[:-51].min() > 0
    assert np.bincount(pages('block = "uniform"'), minlength=1024).min() > 20
    sets = [set(part) for part in np.split(pages('block = "phase-change"\nsize = "256KiB"\nevery = "5s"'), 2)]
    assert [len(part) for part in sets] == [64, 64] and len(sets[0] & sets[1]) < 20
    walked = pages('block = "walk"\nsize = "64KiB"\nstep = "32KiB"\nevery = "1s"')
    for second, part in enumerate(np.split(walked, 10)):
        assert set(part) == set(range(8 * second, 8 * second + 16))
