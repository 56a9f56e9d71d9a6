"""The ground truth beside a synthesized capture is what its rows say, recounted without the recipe's own code."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from test_synth import SMALL

from tracekit.synth import synthesize


def make(tmp_path: Path, recipe: str, seed: int = 0, **params: Any) -> tuple[dict[str, pl.DataFrame], dict]:
    """Rows by kind, and the truth, of a recipe with its small parameters."""
    *files, truth = synthesize(recipe, tmp_path, seed, **(SMALL[recipe] | params))
    rows = {file.name.split(".")[1]: pl.read_parquet(file).with_columns(pl.col("vm").cast(pl.String)) for file in files}
    return rows, json.loads(truth.read_text())


def test_zipf_truth(tmp_path):
    rows, truth = make(tmp_path, "zipf")
    access = rows["access"]
    counts = access.group_by("vm").agg(pl.len(), pl.col("write").sum().alias("w"), pl.col("ppn").n_unique().alias("d"))
    found = {vm: (n, w, d) for vm, n, w, d in counts.iter_rows()}
    assert found == {vm["vm"]: (vm["accesses"], vm["writes"], vm["distinct"]) for vm in truth["vms"]}
    for vm in truth["vms"]:
        top = access.filter(pl.col("vm") == vm["vm"])["ppn"].value_counts(sort=True).row(0)
        assert top == (vm["hottest"]["ppn"], vm["hottest"]["accesses"])
        assert abs(top[1] / vm["accesses"] - truth["hottest_share"]) < 0.02
    assert abs(access["write"].to_numpy().mean() - 0.25) < 0.02


def test_zipf_counts_follow_the_law(tmp_path):
    rows, _ = make(tmp_path, "zipf", vms=1, pages=50, accesses=200_000, alpha=1.0)
    counts = rows["access"]["ppn"].value_counts(sort=True)["count"].to_numpy()
    shares = 1 / np.arange(1, 51)
    expected = 200_000 * shares / shares.sum()
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_scan_truth(tmp_path):
    rows, truth = make(tmp_path, "scan")
    access = rows["access"]
    assert (truth["accesses"], truth["writes"]) == (access.height, access["write"].sum())
    assert truth["distinct"] == access["ppn"].n_unique() == 210
    sweep = access.filter(pl.col("ppn") < 200)["ppn"].to_numpy()
    assert np.array_equal(sweep, np.tile(np.arange(200), 4))
    rows, truth = make(tmp_path, "scan", hot=0, hot_pages=0)
    assert truth["lru_misses"] == {"frames": 200, "with_fewer_frames": rows["access"].height, "with_these_or_more": 200}


def test_toucher_truth(tmp_path):
    rows, truth = make(tmp_path, "toucher")
    access, event = rows["access"], rows["event"]
    assert [phase["pages"] for phase in truth["phases"]] == [256, 768, 128, 768, 0]  # three sizes, zeroing, rest
    for phase in truth["phases"]:
        inside = access.filter(pl.col("t").is_between(phase["begins"], phase["ends"], closed="left"))
        assert phase["active"] == inside["ppn"].n_unique()
        assert inside.filter(pl.col("ppn") >= 128)["ppn"].n_unique() == phase["pages"]
    assert_periods(access, truth, 3 * 10**9)
    marks = event.filter(pl.col("what").cast(pl.String) == "mark")
    assert marks.select("t", "a", "b").rows() == [(p["begins"], p["phase"], p["pages"]) for p in truth["phases"]]
    zeroing = access.filter(pl.col("t").is_between(12 * 10**9, 14 * 10**9, closed="left"), pl.col("ppn") >= 128)
    assert zeroing["ppn"].is_unique().all()
    assert zeroing["write"].all()
    assert_clocks(rows)


def test_tax_truth(tmp_path):
    rows, truth = make(tmp_path, "tax")
    assert_periods(rows["access"], truth, 10 * 10**9)
    assert {(p["vm"], p["active"]) for p in truth["periods"] if p["begins"]} == {("idle", 128), ("busy", 768)}
    first = rows["access"].filter(pl.col("t") < 5 * 10**9)  # all of the memory, once
    assert sorted(first.filter(pl.col("vm") == "idle")["ppn"]) == list(range(1024))
    counts = {"idle": 1024 + 5 * 128, "busy": 1024 + 5 * 768}
    assert truth["accesses"] == dict(rows["access"]["vm"].value_counts().iter_rows()) == counts
    assert_clocks(rows)
    last = rows["event"].filter(pl.col("t") == 30 * 10**9)
    assert dict(last.select("vm", "a").iter_rows()) == {"idle": 7_500_000_000, "busy": 30_000_000_000}


def assert_periods(access: pl.DataFrame, truth: dict, period: int) -> None:
    found = access.group_by("vm", pl.col("t") // period).agg(pl.col("ppn").n_unique())
    told = {(p["vm"], p["begins"] // period): p["active"] for p in truth["periods"]}
    assert {(vm, number): active for vm, number, active in found.iter_rows()} == told


def assert_clocks(rows: dict[str, pl.DataFrame]) -> None:
    """A clock at time t tells the rows before t, and comes before the rows of t."""
    clock = rows["event"].filter(pl.col("what").cast(pl.String) == "clock")
    for vm, t, seq, a, b in clock.select("vm", "t", "seq", "a", "b").iter_rows():
        before = rows["access"].filter(pl.col("vm") == vm, pl.col("t") < t)
        assert (before.height, a <= t) == (b, True)
        assert before["seq"].max() < seq


def test_boot5_truth(tmp_path):
    """What pages hold after the boot, by the last row of each; what is touched while the SQL VM is idle."""
    rows, truth = make(tmp_path, "boot5")
    content, access = rows["content"], rows["access"]
    boot = content.filter(pl.col("t") < 10 * 10**9)
    last = boot.sort("seq").group_by("vm", "ppn").last()
    zero = pl.col("digest") == 0x93D76FE148C689BA
    assert dict(last.filter(zero)["vm"].value_counts().iter_rows()) == truth["zero_pages"]
    assert dict(last.filter(~zero)["vm"].value_counts().iter_rows()) == truth["loaded_pages"]
    everywhere = last.filter(~zero).group_by("digest").agg(pl.len(), vms=pl.col("vm").n_unique())
    assert set(everywhere["len"]) == {1, 5} and (everywhere["len"] == everywhere["vms"]).all()
    assert (everywhere["len"] == 5).sum() == truth["common_pages"] > 0
    zeroed = boot.filter(zero).group_by("vm").agg(pl.len(), pl.col("ppn").n_unique().alias("pages"))
    assert (zeroed["len"] == zeroed["pages"]).all() and zeroed["pages"].max() == 320
    own = content.filter(pl.col("t") >= 10 * 10**9)["digest"]
    assert own.is_unique().all() and not own.is_in(boot["digest"].implode()).any()
    assert dict(access["vm"].value_counts().iter_rows()) == truth["accesses"]
    assert_periods(access, truth, 10 * 10**9)
    active = {(p["vm"], p["begins"] // 10**9): p["active"] for p in truth["periods"]}
    assert (active["sql", 20], active["sql", 50], active["citrix1", 20]) == (16, 192, 192)
    assert rows["event"].filter(pl.col("what").cast(pl.String) == "boot").select("t", "vm").n_unique() == 5
    assert_clocks(rows)


def test_clones_truth(tmp_path):
    rows, truth = make(tmp_path, "clones")
    contents: dict[tuple[str, int], int] = {}
    for snapshot in truth["snapshots"]:
        changed = rows["content"].filter(pl.col("t") == snapshot["t"])
        assert changed.height == snapshot["changed"]
        before = dict(contents)
        contents |= {(vm, ppn): digest for vm, ppn, digest in changed.select("vm", "ppn", "digest").iter_rows()}
        assert snapshot["t"] == 0 or all(contents[page] != before[page] for page in changed.select("vm", "ppn").iter_rows())
        assert recount(contents) == {name: snapshot[name] for name in recount(contents)}
    for told in truth["by_vms"]:
        some = {page: d for page, d in contents.items() if int(page[0].removeprefix("clone")) < told["vms"]}
        assert recount(some) == {name: told[name] for name in recount(some)}


def recount(contents: dict[tuple[str, int], int]) -> dict[str, int]:
    copies = pl.Series("digest", list(contents.values()), pl.UInt64).value_counts()
    shared = copies.filter(pl.col("count") > 1)
    return {
        "pages": len(contents),
        "shared": int(shared["count"].sum()),
        "reclaimed": int(shared["count"].sum()) - shared.height,
        "zero": int(copies.filter(pl.col("digest") == 0x93D76FE148C689BA)["count"].sum()),
        "distinct": copies.height,
    }


def test_clones_write_what_the_next_snapshot_finds_changed(tmp_path):
    rows, truth = make(tmp_path, "clones")
    access = rows["access"]
    assert (truth["accesses"], truth["writes"]) == (access.height, access["write"].sum())
    for number in (1, 2):
        after = rows["content"].filter(pl.col("t") == number * 5 * 10**9)
        between = access.filter(pl.col("write"), pl.col("t") // (5 * 10**9) == number - 1)
        assert set(after.select("vm", "ppn").iter_rows()) == set(between.select("vm", "ppn").iter_rows())
    assert_clocks(rows)


@pytest.mark.parametrize(
    ("zero", "again", "twins", "vms"), [(0, 0, 0, 2), (0.002, 0, 0, 2), (0.002, 0, 0, 1), (0.3, 0.1, 0.05, 1), (0.6, 0, 0, 3)]
)
def test_clones_truth_at_the_edges(tmp_path, zero, again, twins, vms):
    rows, truth = make(tmp_path, "clones", zero=zero, again=again, twins=twins, vms=vms, snapshots=1, accesses=False)
    contents = {(vm, ppn): digest for vm, ppn, digest in rows["content"].select("vm", "ppn", "digest").iter_rows()}
    assert recount(contents) == {name: truth["snapshots"][0][name] for name in recount(contents)}


def test_clones_are_the_papers_figure_4(tmp_path):
    truth = json.loads(synthesize("clones", tmp_path, snapshots=1)[-1].read_text())
    alone, ten = truth["by_vms"][0], truth["by_vms"][9]
    assert alone["pages"] * 4096 == 40 << 20
    assert 4.6 < alone["reclaimed"] * 4096 / (1 << 20) < 5.0  # nearly 5 MB
    assert abs((alone["zero"] - 1) / alone["reclaimed"] - 0.55) < 0.02
    assert abs(ten["shared"] / ten["pages"] - 0.67) < 0.02
    assert 0.58 < ten["reclaimed"] / ten["pages"] < 0.60  # nearly 60 %
    steps = np.diff([told["reclaimed"] for told in truth["by_vms"]])
    assert len(set(steps)) == 1  # linear
    once = [(told["shared"] - told["reclaimed"]) / 10240 for told in truth["by_vms"][1:]]
    assert max(once) - min(once) < 0.16  # the single copies stay nearly constant


@pytest.mark.parametrize("forced", [False, True])
def test_nic_truth(tmp_path, forced):
    rows, truth = make(tmp_path, "nic", forced=forced)
    io = rows["io"].with_columns(
        bounced=pl.lit(forced) | ((pl.col("ppn").cast(pl.UInt64) + 1) * 4096 - 1 > pl.col("dma_mask")),
        copies=pl.when(pl.col("to_device").is_null()).then(2).otherwise(1),
    ).with_columns(copied=pl.col("bytes").cast(pl.Int64) * pl.col("copies") * pl.col("bounced"))  # fmt: skip
    for told in truth["devices"]:
        mine = io.filter(pl.col("device").cast(pl.String) == told["device"])
        assert told == {
            "device": told["device"], "transfers": mine.height, "bytes": mine["bytes"].sum(), "bounced": mine["bounced"].sum(),
            "copied_bytes": mine["copied"].sum(), "forced_bytes": mine["copied"].sum() if forced else 0,
        }  # fmt: skip
    copies: dict[int, int] = {}
    still = 0
    for ppn, number, copied, bounced in io.select("ppn", "copies", "copied", "bounced").iter_rows():
        if forced or (bounced and copies.get(ppn, 0) <= 3):
            still += copied
        if bounced and not forced:
            copies[ppn] = copies.get(ppn, 0) + number
    assert truth["remapping"] == {"threshold": 3, "remapped": sum(n > 3 for n in copies.values()), "copied_bytes": still}
    assert (io["ppn"].to_numpy().min() >= 1 << 20) and io.filter(pl.col("device").cast(pl.String) == "nic")["ppn"].n_unique() == 8
    assert (io["bytes"].to_numpy().min() >= 60) and (io["bytes"].to_numpy().max() == 4096)


def test_stream_truth(tmp_path):
    rows, truth = make(tmp_path, "stream")
    io = rows["io"].select(pl.col("ppn", "bytes").cast(pl.Int64), "t")
    assert (truth["rows"], truth["bytes"], truth["copied_bytes"]) == (io.height, io["bytes"].sum(), io["bytes"].sum())
    assert truth["bytes"] == truth["transfers"] * 20_000  # no byte is lost in splitting
    copies: dict[int, int] = {}
    still = 0
    for ppn, size, _ in io.iter_rows():
        copies[ppn] = copies.get(ppn, 0) + 1
        still += size * (copies[ppn] <= 3)
    assert truth["remapping"] == {"threshold": 2, "remapped": sum(n > 2 for n in copies.values()), "copied_bytes": still}
    assert (truth["pages"], truth["most_copies"]) == (len(copies), max(copies.values()))
    assert min(copies) >= 1 << 20 and io.filter(pl.col("bytes") < 4096).height > truth["transfers"]  # most begin and end within a page
