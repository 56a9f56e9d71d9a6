"""Recipes: the same seed gives the same rows everywhere; what cannot be is refused in one sentence, and nothing is written."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from tracekit.errors import ScenarioError
from tracekit.synth import built_in, describe, find, synthesize
from tracekit.synth.blocks import BLOCKS
from tracekit.synth.params import resolve
from tracekit.synth.recipe import FIGURES
from tracekit.synth.reference import MARK, markdown
from tracekit.trace import open_traces

EVERY_BLOCK = str(Path(__file__).with_name("every_block.toml"))
#: Small parameters of each recipe that reach all of its branches, as text where a command line would give text.
SMALL = {
    "zipf": {"vms": 3, "pages": "500", "accesses": 20_000, "alpha": "0.8"},
    "scan": {"pages": 200, "rounds": 4, "hot_pages": 10, "hot": 2, "writes": 0.1},
    "toucher": {
        "memory": "4MiB", "background": "512KiB", "sizes": "1MiB,3MiB,512KiB", "phase": "4s", "period": "3s",
        "spike": "true", "zeroing": "2s", "rest": "3s", "writes": 0.5,
    },
    "clones": {"vms": 4, "memory": "2MiB", "snapshots": 3, "every": "5s", "accesses": True, "change": 0.2, "aslr": True},
    "tax": {"memory": "4MiB", "active1": "512KiB", "active2": "3MiB", "duration": "30s", "period": "10s", "idle_clock": 0.25},
    "nic": {"transfers": 5000, "stream": 0.3, "wide": 0.1, "both_ways": 0.2, "memory": "4100MiB", "threshold": 3},
    "stream": {"transfers": 800, "segment": 20_000, "memory": "4100MiB", "to_device": 0.3, "threshold": 2},
    "dbench": {"memory": "64MiB", "ballooned": "24MiB", "files": "30MiB", "clients": 10, "duration": "2s"},
    "mix-a": {"memory": "1MiB", "snapshots": 3, "aslr": True},
    "mix-b": {"memory": "1MiB"},
    "mix-c": {"memory": "1MiB", "snapshots": 1},
    "boot5": {
        "small": "1MiB", "large": "1280KiB", "boot": "3s", "load": "3s", "idle": "15s", "query": "40s",
        "duration": "60s", "period": "10s", "sweep": "5s",
    },
    EVERY_BLOCK: {},
}  # fmt: skip
all_recipes = pytest.mark.parametrize("recipe", SMALL, ids=[Path(recipe).stem for recipe in SMALL])


def digest(files: list[Path]) -> str:
    """Digest of the decoded columns of Parquet files: of values, not of bytes in the file."""
    h = xxhash.xxh3_64()
    for file in files:
        table = pq.read_table(file)
        for name in table.column_names:
            column = table[name].combine_chunks()
            h.update(name.encode())
            if pa.types.is_dictionary(column.type) or column.type == pa.string():
                h.update("\n".join(column.cast(pa.string()).to_pylist()).encode())
            elif column.type == pa.bool_():
                h.update(column.cast(pa.int8()).fill_null(-1).to_numpy().tobytes())
            else:
                values = column.to_numpy()
                h.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return h.hexdigest()


GOLDEN = {
    "zipf": "73c93d4b916a59b9",
    "scan": "cd4273a99e73c8ad",
    "toucher": "5d09c3c054d857cb",
    "clones": "3bda89fe325005d3",
    "tax": "63bae087975b4d65",
    "nic": "f1b330706b78513c",
    "stream": "e0b177f12f139951",
    "dbench": "adb47047d7dde253",
    "mix-a": "008c97d178f42e0a",
    "mix-b": "91b4c5ffbb2ec8a2",
    "mix-c": "ede0ef3466023852",
    "boot5": "4750cd794baf5c80",
    "every_block": "a243079c39db11d5",
}


@all_recipes
def test_golden(tmp_path, recipe):
    """The same on every machine and after every upgrade, the truth too. A digest changes only with a note in the changelog."""
    assert digest(synthesize(recipe, tmp_path, 7, **SMALL[recipe])) == GOLDEN[Path(recipe).stem]


def test_every_recipe_and_every_block_has_a_golden_digest():
    assert set(GOLDEN) == {*built_in(), "every_block"}
    assert {run.kind.name for vm in find(EVERY_BLOCK).set_up({})[0].vms for run in vm.runs} == set(BLOCKS)


@all_recipes
def test_same_seed_same_bytes_and_other_seed_other_rows(tmp_path, recipe):
    first, again, other = (synthesize(recipe, tmp_path / name, seed, **SMALL[recipe]) for name, seed in zip("abc", (1, 1, 2)))
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in again]
    assert digest(first[:-1]) != digest(other[:-1])


@all_recipes
def test_opens_streams_and_says_what_it_is(tmp_path, recipe):
    files = synthesize(recipe, tmp_path, 3, "mine", **SMALL[recipe])
    assert files[-1].name == "mine.truth.parquet"
    [trace] = open_traces(files)  # the truth is passed over
    assert trace.name == "mine"
    assert trace.synthetic
    assert not trace.notes
    columns = {kind: ("vm", "page") if kind != "event" else ("vm", "what", "a", "b") for kind in trace.kinds}
    assert sum(chunk.rows for chunk in trace.chunks(columns, 1000)) == sum(trace.rows.values())
    rows = [pq.read_table(file) for file in files[:-1]]
    seq, t = (np.concatenate([table[name].to_numpy() for table in rows]) for name in ("seq", "t"))
    assert np.array_equal(np.sort(seq), np.arange(len(seq)))  # one order over all kinds
    assert (np.diff(t[np.argsort(seq)]) >= 0).all()
    for file, _ in trace.files:
        assert file.metadata
        told = file.metadata.provenance
        assert (told["recipe"], told["seed"], told["recipe_text"]) == (Path(recipe).stem, 3, find(recipe).text)
        assert told["parameters"].keys() == {param["name"] for param in describe(recipe)["params"]}
        assert told["software"].startswith("tracekit ")


@all_recipes
def test_rows_depend_neither_on_stretches_nor_on_blocks_of_rows(tmp_path, monkeypatch, recipe):
    files = synthesize(recipe, tmp_path / "one", 7, **SMALL[recipe])
    monkeypatch.setattr("tracekit.synth.capture.BLOCK_ROWS", 997)
    monkeypatch.setattr("tracekit.synth.generate.STRETCH_ROWS", 211)
    others = synthesize(recipe, tmp_path / "many", 7, **SMALL[recipe])
    assert digest(files) == digest(others)


@pytest.mark.parametrize(
    ("recipe", "params", "said"),
    [
        ("nope", {}, "boot5, clones, dbench"),
        ("clone", {}, "did you mean clones"),
        ("nowhere.toml", {}, "cannot be read"),
        ("zipf", {"page": 3}, "vms, pages, accesses, alpha, writes, rate"),
        ("zipf", {"pages": 0}, "from 1 to 67108864"),
        ("zipf", {"pages": "many"}, "not a whole number"),
        ("zipf", {"pages": 2.5}, "not a whole number"),
        ("zipf", {"alpha": "nan"}, "not a finite number"),
        ("zipf", {"writes": 1.5}, "from 0 to 1"),
        ("zipf", {"accesses": 10**12, "rate": 1}, "longer than times can tell"),
        ("toucher", {"memory": "1MB"}, "4KiB"),
        ("toucher", {"memory": "16KiB"}, "regions have 68096 pages"),
        ("toucher", {"sizes": ""}, "50MiB,100MiB"),
        ("toucher", {"phase": "750ms"}, "multiple of every"),
        ("toucher", {"zeroing": "750ms", "spike": True}, "multiple of bucket"),
        ("toucher", {"phase": "90"}, "30s"),
        ("toucher", {"spike": "perhaps"}, "true or false"),
        ("clones", {"common": 0.01}, "region 2: share"),
        ("clones", {"accesses": True, "snapshots": 1}, "make no event rows"),
        ("tax", {"active2": "1GiB"}, "exceeds memory"),
        ("nic", {"memory": "4GiB"}, "memory"),
        ("nic", {"memory": "4097MiB", "ring": 1000}, "cannot hold a ring"),
        ("mix-a", {"vms": 2}, "from 3"),
        ("boot5", {"boot": "15300ms"}, "multiple of bucket"),
        ("toucher", {"bucket": "1us", "period": "90s"}, "bucket = 1000 ns comes 450000000 times"),
    ],
)
def test_impossible_parameters_are_refused_and_nothing_is_written(tmp_path, recipe, params, said):
    with pytest.raises(ScenarioError, match=said) as error:
        synthesize(recipe, tmp_path, **params)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


VM = '[[vm]]\nname = "a"\nmemory = "1MiB"\n'
BLOCK = '[[vm.block]]\nblock = "uniform"\nduration = "1s"\nrate = 10\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = [", "not valid TOML"),
        ("", "at least one"),
        ("vm = 3", r"\[\[vm\]\]"),
        ("durations = '1s'\n" + VM, "no parameter 'durations'"),
        ("duration = 1.5\n" + VM, "duration = 1.5"),
        (VM, "duration is missing"),
        ("duration = '1s'\n" + VM, "no rows at all"),
        ("about = 3\n" + VM, "about = 3"),
        ("[params]\nx = 3\n" + VM, "params.x = 3 does not declare"),
        ("[params]\nvm = {default = 3}\n" + VM, "params.vm"),
        ("[params]\nx = {default = []}\n" + VM, "params.x"),
        ("[params]\nx = {default = 3, low = 'a'}\n" + VM, "params.x"),
        ("[params]\nx = {default = 3, low = 4}\n" + VM + BLOCK, "params.x"),
        (VM + BLOCK.replace("10", '"=y"'), "vm 1: block 1: rate = '=y': it names 'y'"),
        (VM + BLOCK.replace("10", '"=1/0"'), "division by zero"),
        (VM + BLOCK.replace("10", "\"=__import__('os')\""), "it may hold"),
        (VM + BLOCK.replace("10", '"=1 +"'), "worked out"),
        (VM + BLOCK.replace("10", "0"), "vm 1: block 1: rate = 0 is out of bounds; give a whole number from 1"),
        (VM + BLOCK.replace("uniform", "unifrom"), "did you mean uniform"),
        (VM + BLOCK + "speed = 3", "block 1 has no parameter 'speed'"),
        (VM + BLOCK + "region = 'r'", "region = 'r' is none"),
        (VM + BLOCK + "after = 'r'", "after = 'r'"),
        (VM + BLOCK + BLOCK, "another block's"),
        (VM.replace('"a"', '"*"') + BLOCK, "cannot name a VM"),
        (VM + "departs = '1s'\narrives = '2s'\n" + BLOCK, "make it later"),
        (VM + "[[vm.region]]\nname = 'r'\nsize = '2MiB'\n" + BLOCK, "more than its memory"),
        (VM + "[[vm.region]]\nname = 'r'\nsize = '64KiB'\nshare = 0.5\n" + BLOCK, "exclude one another"),
        (VM + "[[vm.region]]\nname = 'r'\ncontent = 'image'\n" + BLOCK, "do not go together"),
        (VM + "[[vm.region]]\nname = 'r'\ncontent = 'noise'\n" + BLOCK, "zero, image, private"),
        (VM + "[[vm.region]]\nsize = '64KiB'\n" + BLOCK, "must be a name"),
        (VM + "[[vm.region]]\nname = 'r'\n" + BLOCK + "region = 'r'", "no pages"),
        (VM + BLOCK + VM + BLOCK, "names must be unique"),
    ],
)
def test_bad_recipes_are_refused_in_one_sentence_that_names_the_file(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(Exception, match=said) as error:
        synthesize(str(path), tmp_path / "made")
    assert error.type.__mro__[1].__name__ == "TracekitError"
    assert "mine" in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "made").exists() or not list((tmp_path / "made").iterdir())


def test_other_refusals(tmp_path):
    for name in ("", "a/b", ".x"):
        with pytest.raises(ScenarioError, match="name a capture"):
            synthesize("scan", tmp_path, name_of_capture=name)
    with pytest.raises(ScenarioError, match="seed"):
        synthesize("scan", tmp_path, seed="1")  # pyright: ignore[reportArgumentType]
    (tmp_path / "file").touch()
    with pytest.raises(ScenarioError, match="another directory"):
        synthesize("scan", tmp_path / "file", **SMALL["scan"])


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tracekit.synth.truth.pq.write_table", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        synthesize("scan", tmp_path, **SMALL["scan"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("recipe", built_in())
def test_described_defaults_can_be_given_back(recipe):
    told = describe(recipe)
    assert told["name"] == recipe
    assert told["prose"]
    assert all(param["prose"] for param in told["params"])
    params = find(recipe).Params
    assert resolve(recipe, params, {param["name"]: param["default"] for param in told["params"]}) == params()


def test_figures_are_recipes_and_a_copy_makes_the_same_rows(tmp_path):
    assert set(FIGURES.values()) <= set(built_in())
    assert find("fig4") is built_in()["clones"]
    copy = tmp_path / "clones.toml"
    copy.write_text(find("clones").text)
    made, again = (synthesize(name, tmp_path / folder, 7, **SMALL["clones"]) for name, folder in (("clones", "a"), (str(copy), "b")))
    assert digest(made) == digest(again)


def test_the_docs_are_what_the_code_says(tmp_path):
    page = (Path(__file__).parent.parent / "docs" / "synth.md").read_text()
    assert page.partition(MARK)[1:] == (MARK, markdown().removeprefix(MARK)), "python -m tracekit.synth.reference docs/synth.md renews it"
    [example] = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "mine.toml").write_text(example)
    assert [file.name for file in synthesize(str(tmp_path / "mine.toml"), tmp_path, memory="1MiB")] == [
        "mine.event.parquet", "mine.content.parquet", "mine.access.parquet", "mine.truth.parquet",
    ]  # fmt: skip


STEADY = ("uniform", "zipf", "hotspot", "scan", "loop", "phase-change", "walk", "dma-ring", "dma-stream", "dma-scatter")
CHANCE = {
    "block": st.sampled_from((*STEADY, "sweep", "background", "churn", "cow-storm", "zero-thread", "load")),
    "start": st.integers(0, 20),
    "duration": st.integers(1, 30),
}


def block_text(number: int, block: str, start: int, duration: int) -> str:
    """A block of a recipe in TOML; times are in tenths of a second."""
    text = f'[[vm.block]]\nblock = "{block}"\nname = "{number}"\nregion = "r"\nstart = "{start}00ms"\nduration = "{duration}00ms"\n'
    text += "rate = 83\n" if block in STEADY else ""
    text += 'size = "64KiB"\n' if block in ("phase-change", "walk", "sweep") else ""
    return text + ("segment = 9000\n" if block == "dma-stream" else "")


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.fixed_dictionaries(CHANCE), min_size=1, max_size=4), st.sampled_from(["0ns", "100ms"]), st.sampled_from([7, 64, 1000]),
    st.booleans(), st.integers(0, 3),
)  # fmt: skip
def test_any_blocks_make_ordered_rows_that_do_not_depend_on_stretches(tmp_path_factory, blocks, bucket, rows, scatter, seed):
    folder = tmp_path_factory.mktemp("chance")
    text = f'duration = "4s"\nbucket = "{bucket}"\nsnapshots = "1s"\n{VM}scatter = {str(scatter).lower()}\n'
    text += '[[vm.region]]\nname = "r"\nsize = "256KiB"\ncontent = "private"\n'
    (folder / "any.toml").write_text(text + "".join(block_text(i, **block) for i, block in enumerate(blocks)))
    made = []
    for stretch in (rows, 1 << 20):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tracekit.synth.generate.STRETCH_ROWS", stretch)
            made.append(synthesize(str(folder / "any.toml"), folder / f"{stretch}", seed))
    assert digest(made[0]) == digest(made[1])
    tables = {file.name.split(".")[1]: pq.read_table(file) for file in made[0][:-1]}
    for kind, table in tables.items():
        t, seq = table["t"].to_numpy(), table["seq"].to_numpy()
        assert (np.diff(t) >= 0).all() and (np.diff(seq.astype(np.int64)) > 0).all()
        if kind == "access":
            assert table["ppn"].to_numpy().max() < 256 and (scatter or table["ppn"].to_numpy().max() < 64)
            assert bucket == "0ns" or (t % (100 * 10**6) == 0).all()
