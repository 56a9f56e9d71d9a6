"""Recipes: the same seed gives the same rows everywhere, and the truth beside them is what the rows say."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from tracekit import rng
from tracekit.errors import ScenarioError
from tracekit.synth import RECIPES, describe, synthesize
from tracekit.synth.draws import Draws, parts, times
from tracekit.synth.zipf_table import cumulative_weights
from tracekit.trace import open_traces

#: Small parameters of each recipe that reach all of its branches, as text where a command line would give text.
SMALL = {
    "zipf": {"vms": 3, "pages": "500", "accesses": 20_000, "alpha": "0.8"},
    "scan": {"pages": 200, "rounds": 4, "hot_pages": 10, "hot": 2, "writes": 0.1},
    "toucher": {
        "memory": "4MiB", "background": "512KiB", "sizes": "1MiB,3MiB,512KiB", "phase": "4s", "period": "3s",
        "spike": "true", "zeroing": "2s", "rest": "3s", "writes": 0.5,
    },
    "clones": {"vms": 4, "memory": "2MiB", "snapshots": 3, "every": "5s", "accesses": True, "change": 0.2},
    "tax": {"memory": "4MiB", "active1": "512KiB", "active2": "3MiB", "duration": "30s", "period": "10s", "idle_clock": 0.25},
    "nic": {"transfers": 5000, "stream": 0.3, "wide": 0.1, "both_ways": 0.2, "memory": "4100MiB", "threshold": 3},
}  # fmt: skip


def make(tmp_path: Path, recipe: str, seed: int = 0, **params: object) -> tuple[dict[str, pl.DataFrame], dict]:
    """Rows by kind, and the truth, of a recipe with its small parameters."""
    *files, truth = synthesize(recipe, tmp_path, seed, **(SMALL[recipe] | params))
    rows = {file.name.split(".")[1]: pl.read_parquet(file).with_columns(pl.col("vm").cast(pl.String)) for file in files}
    return rows, json.loads(truth.read_text())


def digest(files: list[Path]) -> str:
    """Digest of the decoded columns of trace files: of values, not of bytes in the file."""
    h = xxhash.xxh3_64()
    for file in files:
        table = pq.read_table(file)
        for name in table.column_names:
            column = table[name].combine_chunks()
            h.update(name.encode())
            if pa.types.is_dictionary(column.type):
                h.update("\n".join(column.cast(pa.string()).to_pylist()).encode())
            elif column.type == pa.bool_():
                h.update(column.cast(pa.int8()).fill_null(-1).to_numpy().tobytes())
            else:
                values = column.to_numpy()
                h.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return h.hexdigest()


GOLDEN = {
    "zipf": "a33a28fb1f2f7a45",
    "scan": "4cfb649c126ab334",
    "toucher": "a33283777889fa7b",
    "clones": "39f1243d52c612b7",
    "tax": "57657f34fca143b3",
    "nic": "f0e1115c4458191f",
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_golden(tmp_path, recipe):
    """The same on every machine and after every upgrade. A digest may change only with a note in the changelog."""
    *files, _ = synthesize(recipe, tmp_path, 7, **SMALL[recipe])
    assert digest(files) == GOLDEN[recipe]


@pytest.mark.parametrize("recipe", RECIPES)
def test_same_seed_same_bytes_and_other_seed_other_rows(tmp_path, recipe):
    first, again, other = (synthesize(recipe, tmp_path / name, seed, **SMALL[recipe]) for name, seed in zip("abc", (1, 1, 2)))
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in again]
    assert digest(first[:-1]) != digest(other[:-1])


@pytest.mark.parametrize("recipe", RECIPES)
def test_opens_streams_and_says_what_it_is(tmp_path, recipe):
    *files, truth = synthesize(recipe, tmp_path, 3, "mine", **SMALL[recipe])
    assert truth.name == "mine.truth.json"
    [trace] = open_traces(files)
    assert trace.name == "mine"
    assert trace.synthetic
    assert not trace.notes
    columns = {kind: ("vm", "page") if kind != "event" else ("vm", "what", "a", "b") for kind in trace.kinds}
    assert sum(chunk.rows for chunk in trace.chunks(columns, 1000)) == sum(trace.rows.values())
    seqs = np.concatenate([pq.read_table(file)["seq"].to_numpy() for file in files])
    assert np.array_equal(np.sort(seqs), np.arange(len(seqs)))  # one order over all kinds
    for file, _ in trace.files:
        told = file.metadata.provenance
        assert (told["recipe"], told["seed"]) == (recipe, 3)
        assert told["parameters"] == json.loads(truth.read_text())["parameters"]
        assert told["software"].startswith("tracekit ")


def test_rows_do_not_depend_on_blocks(tmp_path, monkeypatch):
    for recipe in RECIPES:
        *files, _ = synthesize(recipe, tmp_path / "one", 7, **SMALL[recipe])
        with monkeypatch.context() as patch:
            patch.setattr("tracekit.synth.capture.BLOCK_ROWS", 997)
            *blocks, _ = synthesize(recipe, tmp_path / "many", 7, **SMALL[recipe])
        assert digest(files) == digest(blocks)


@pytest.mark.parametrize("recipe", ["zipf", "scan", "nic"])
def test_rows_do_not_depend_on_parts(tmp_path, monkeypatch, recipe):
    *files, truth = synthesize(recipe, tmp_path / "one", 7, **SMALL[recipe])
    monkeypatch.setattr(f"tracekit.synth.{recipe}.parts", lambda total: parts(total, 991))
    *others, other = synthesize(recipe, tmp_path / "many", 7, **SMALL[recipe])
    assert digest(files) == digest(others)
    assert truth.read_text() == other.read_text()


# ---------------------------------------------------------------------------------------------------- the truth


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
    assert abs(access["write"].mean() - 0.25) < 0.02


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
    assert {(p["vm"], p["active"]) for p in truth["periods"]} == {("idle", 128), ("busy", 768)}
    assert truth["accesses"] == dict(rows["access"]["vm"].value_counts().iter_rows()) == {"idle": 6 * 128, "busy": 6 * 768}
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
    assert (io["ppn"].min() >= 1 << 20) and io.filter(pl.col("device").cast(pl.String) == "nic")["ppn"].n_unique() == 8
    assert (io["bytes"].min() >= 60) and (io["bytes"].max() == 4096)


# ---------------------------------------------------------------------------------------------------- arithmetic


def test_draws_equal_their_twin_in_plain_integers():
    key, mask = Draws("a", 1).key, (1 << 64) - 1

    def word(counter: int) -> int:
        z = (key + counter * 0x9E3779B97F4A7C15) & mask
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        return z ^ z >> 31

    draws = Draws("a", 1)
    assert draws.bits(3).tolist() + draws.bits(2).tolist() == [word(i) for i in range(1, 6)]
    for limit in (1, 3, 1000, (1 << 62) - 1):
        exact = [(word(i) >> 11) * limit >> 53 for i in range(1, 1001)]
        assert all(abs(a - b) <= limit >> 50 for a, b in zip(Draws("a", 1).below(limit, 1000).tolist(), exact))


def test_draws_equal_the_engines_generator():
    state = rng.stream("a", 1)
    with np.errstate(over="ignore"):
        assert Draws("a", 1).bits(5).tolist() == [int(rng.bits(state)) for _ in range(5)]


def test_permutation_and_times():
    assert sorted(Draws("p").permutation(1000).tolist()) == list(range(1000))
    assert times(10**12, 3, 1001).tolist() == [(10**12 + i) * 10**9 // 1001 for i in range(3)]
    assert list(parts(5, 2)) == [(0, 2), (2, 2), (4, 1)]


@pytest.mark.parametrize("alpha", [0, 1, 2, 3])
def test_zipf_table_equals_exact_weights(alpha):
    table = cumulative_weights(3000, alpha)
    weights = np.diff(table, prepend=0).tolist()
    unit = 1 << 61 - (3000).bit_length()
    for rank, weight in enumerate(weights, 1):
        exact = Fraction(unit, rank**alpha)
        assert abs(weight - exact) <= 1 + exact / 10**14
    assert table[-1] < 1 << 62


@pytest.mark.parametrize("alpha", [0.6, 0.99, 1.3, 10.0])
def test_zipf_table_equals_powers(alpha):
    weights = np.diff(cumulative_weights(100_000, alpha), prepend=0)
    exact = np.arange(1, 100_001) ** -alpha * float(1 << 61 - (100_000).bit_length())
    assert (np.abs(weights - exact) <= 1 + exact * 1e-13).all()


# ---------------------------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("recipe", "params", "said"),
    [
        ("nope", {}, "zipf, scan, toucher, clones, tax, nic"),
        ("zipf", {"page": 3}, "vms, pages, accesses, alpha, writes, rate"),
        ("zipf", {"pages": 0}, "from 1 to 67108864"),
        ("zipf", {"pages": "many"}, "not a whole number"),
        ("zipf", {"pages": 2.5}, "not a whole number"),
        ("zipf", {"alpha": "nan"}, "not a finite number"),
        ("zipf", {"writes": 1.5}, "from 0 to 1"),
        ("zipf", {"vms": 1000, "pages": 1 << 20}, "in all"),
        ("zipf", {"accesses": 10**12, "rate": 1}, "146 years"),
        ("scan", {"hot": 3}, "set both or neither"),
        ("toucher", {"memory": "1MB"}, "4KiB"),
        ("toucher", {"memory": "16KiB"}, "enlarge memory"),
        ("toucher", {"sizes": ""}, "50MiB,100MiB"),
        ("toucher", {"phase": "750ms"}, "multiple of bucket"),
        ("toucher", {"phase": "90"}, "30s"),
        ("toucher", {"spike": "perhaps"}, "true or false"),
        ("clones", {"common": 0.01}, "raise common"),
        ("clones", {"accesses": True, "snapshots": 1}, "2 or more"),
        ("tax", {"active2": "1GiB"}, "exceeds memory"),
        ("tax", {"active1": 0, "active2": 0}, "no access rows"),
        ("nic", {"memory": "4GiB"}, "enlarge memory"),
        ("nic", {"stream": 0.6, "wide": 0.6}, "lower either"),
    ],
)
def test_impossible_parameters_are_refused_and_nothing_is_written(tmp_path, recipe, params, said):
    with pytest.raises(ScenarioError, match=said) as error:
        synthesize(recipe, tmp_path, **params)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_other_refusals(tmp_path):
    for name in ("", "a/b", ".x"):
        with pytest.raises(ScenarioError, match="name a capture"):
            synthesize("scan", tmp_path, name_of_capture=name)
    with pytest.raises(ScenarioError, match="seed"):
        synthesize("scan", tmp_path, seed="1")  # pyright: ignore[reportArgumentType]
    (tmp_path / "file").touch()
    with pytest.raises(ScenarioError, match="another directory"):
        synthesize("scan", tmp_path / "file", **SMALL["scan"])


@pytest.mark.parametrize("recipe", RECIPES)
def test_described_defaults_can_be_given_back(recipe):
    from tracekit.synth.params import resolve

    told = describe(recipe)
    assert told["name"] == recipe
    assert told["prose"]
    assert all(param["prose"] for param in told["params"])
    params = RECIPES[recipe].load().Params
    assert resolve(recipe, params, {param["name"]: param["default"] for param in told["params"]}) == params()
