"""Recipes: the same seed gives the same rows everywhere; impossible parameters are refused."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from tracekit.errors import ScenarioError
from tracekit.synth import RECIPES, describe, synthesize
from tracekit.synth.draws import parts
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
    "boot5": {
        "small": "1MiB", "large": "1280KiB", "boot": "5s", "load": "5s", "sweep": "5s", "idle": "15s", "query": "40s",
        "duration": "60s", "period": "10s",
    },
    "stream": {"transfers": 800, "segment": 20_000, "memory": "4100MiB", "to_device": 0.3, "threshold": 2},
}  # fmt: skip


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
    "tax": "56496dd96f05ca57",
    "nic": "f0e1115c4458191f",
    "stream": "3788d69e79554988",
    "boot5": "d0eb0bfafee01bd6",
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
        assert file.metadata
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
        ("tax", {"active1": 0, "active2": 0, "fill": 0}, "no access rows"),
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
