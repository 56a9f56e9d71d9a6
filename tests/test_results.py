"""Results: in memory and kept they are the same, and what is kept appears whole or not at all."""

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from make_trace import write
from marimo._output.formatting import try_format
from polars.testing import assert_frame_equal
from run_cli import captured, run, start

import tracekit as tk
from tracekit import tables
from tracekit.errors import TracekitError
from tracekit.modules.reclamation.lru import Lru
from tracekit.modules.reclamation.random import Random
from tracekit.schema import RESULTS, attributes

#: What says how a replay went, not what it found.
CIRCUMSTANCES = ["elapsed", "peak_rss", "created"]


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """A small trace of two VMs."""
    rng = np.random.default_rng(2)
    path = tmp_path_factory.mktemp("traces") / "small.access.parquet"
    vm = ["a" if i % 3 else "b" for i in range(600)]
    return write(path, "access", 600, {"a": 32, "b": 32}, "small", t=np.arange(600) * 10**7, vm=vm, ppn=rng.integers(0, 32, 600))


def assert_same(left: tk.Results, right: tk.Results) -> None:
    """Both hold the same rows in every table."""
    assert set(left.names) == set(right.names)
    for name in left.names:
        frames = [results.table(name).collect() for results in (left, right)]
        kept = [column for column in frames[0].columns if column not in CIRCUMSTANCES]
        order = [column for column in ("trace", "variant", "t", "vm", "device", "stage", "param") if column in kept]
        assert_frame_equal(*(frame.select(kept).sort(order) for frame in frames))


def test_in_memory_and_kept_are_the_same(trace, tmp_path):
    settings = ["paging.frames=10,20", "paging.module=random,lru"]
    memory = tk.replay(trace, preset="paging", settings=settings)
    returned = tk.replay([trace], preset="paging", settings=settings, out=tmp_path)
    again = tk.replay(tk.open_trace(trace), preset="paging", settings=settings, out=tmp_path)
    for other in (returned, again, tk.open(tmp_path)):
        assert_same(memory, other)


def test_keywords_and_scenarios_as_tables(trace):
    by_settings = tk.replay(trace, preset="paging", settings=["paging.frames=20"], seed=4, until="3s", memory="1GiB")
    tables = {"host": {"memory": "1GiB"}, "replay": {"until": "3s", "seed": 4}, "paging": {"module": "random", "frames": 20}}
    assert_same(by_settings, tk.replay(trace, tables))


def test_chunks_threads_and_audit_change_nothing(trace):
    settings = ["paging.frames=10,20", "paging.module=random,lru"]
    plain = tk.replay(trace, preset="tax", settings=[*settings, "tax.period=1s", "tax.overhead=0"])
    for more in ({"chunk": 1}, {"chunk": 97, "jobs": 1}, {"jobs": 2, "auditing": True}):
        assert_same(plain, tk.replay(trace, preset="tax", settings=[*settings, "tax.period=1s", "tax.overhead=0"], **more))


def test_tables_by_name_and_as_attributes(trace):
    results = tk.replay(trace, preset="paging")
    assert set(results.names) == {"vm", "faults", "variants", "runs"}
    for name in results.names:
        assert_frame_equal(getattr(results, name).collect(), results.table(name).collect())
        assert results.table(name).collect().columns == list(RESULTS[name].names)
    with pytest.raises(TracekitError, match="no table 'fault' in these results; there are faults, runs, variants, vm"):
        results.table("fault")
    with pytest.raises(AttributeError, match="there are faults"):
        _ = results.fault
    assert not hasattr(results, "__wrapped__")


def test_params_join_to_any_table(trace):
    results = tk.replay(trace, preset="paging", settings=["paging.frames=10,20"])
    joined = results.faults.join(results.params("paging.frames", "paging.module"), on="variant").collect()
    assert joined.height == results.faults.collect().height
    assert set(joined["paging.frames"]) == {10, 20}
    assert set(joined["paging.module"]) == {"random"}


def test_runs_say_where_the_numbers_come_from(trace):
    (row,) = tk.replay(trace, preset="esx", seed=7).runs.collect().to_dicts()
    assert row["vms"] == "a=32 b=32"
    assert row["rows"] == 600
    assert row["span"] == 599 * 10**7
    assert row["seed"] == 7
    assert row["synthetic"] is False
    assert "sharing.esx: needs content" in row["left_out"]
    assert "numba" in row["environment"]


def test_nothing_to_open(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(TracekitError, match="holds no results"):
            tk.open(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(trace, tmp_path):
    tmp_path.chmod(0o500)
    done = run("replay", trace, "--preset", "paging", "-o", tmp_path)
    tmp_path.chmod(0o700)
    assert done.code == 3
    assert done.err.count("\n") == 1
    assert "results cannot be kept there" in done.err


def test_results_of_several_traces_are_kept_and_joined_with_new_ones(trace, tmp_path):
    other = write(tmp_path / "other.access.parquet", "access", 16, {"a": 16}, "other", ppn=np.arange(16))
    out = tmp_path / "out"
    tk.replay(trace, preset="paging", out=out)
    for settings in ([], [], ["paging.frames=5,10"]):
        fresh = tk.replay([trace, other], preset="paging", settings=settings)
        assert_same(tk.replay([trace, other], preset="paging", settings=settings, out=out), fresh)
    assert run("replay", trace, other, "--preset", "paging", "-o", out).code == 0


def test_two_at_once_into_one_folder(trace, tmp_path):
    arguments = ("replay", trace, "--preset", "paging", "--set", "paging.frames=5,10,20,40", "-o", tmp_path)
    running = [start(*arguments) for _ in range(3)]
    for process in running:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    assert_same(tk.open(tmp_path), tk.replay(trace, preset="paging", settings=["paging.frames=5,10,20,40"]))


# ---------------------------------------------------------------------------------------------------- killed


def cells(folder: Path) -> dict[str, dict[str, bytes]]:
    """All that is kept, by cell."""
    return {path.parent.name: {p.name: p.read_bytes() for p in path.parent.iterdir()} for path in folder.glob("[!.]*/runs.parquet")}


def test_a_killed_replay_leaves_whole_cells_that_are_kept(tmp_path):
    traces = [path for name in ("balloon-workload", "three-vms") for path in captured(name) if ".access." in path.name]
    settings = ["paging.module=random,lru", "paging.frames=20000,30000"]
    whole = tk.replay(traces, preset="paging", settings=settings)
    names = set(whole.names)
    arguments = ["replay", *traces, "--preset", "paging", "-o", tmp_path, *(part for text in settings for part in ("--set", text))]
    rng, kept, killed = random.Random(3), {}, 0
    for _ in range(6):
        process = start(*arguments)
        time.sleep(rng.uniform(0.5, 2.5))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() != 0
        process.communicate()
        after = cells(tmp_path)
        assert kept.items() <= after.items()
        for cell in after.values():
            assert {name.removesuffix(".parquet") for name in cell} == names
        if after:
            for name in tk.open(tmp_path).names:
                assert tk.open(tmp_path).table(name).collect().height
        kept = after
    assert killed
    assert run(*arguments).code == 0
    assert kept.items() <= cells(tmp_path).items()
    assert_same(tk.open(tmp_path), whole)


def test_a_cell_that_is_damaged_is_made_again(trace, tmp_path):
    arguments = {"preset": "paging", "settings": ["paging.frames=10"], "out": tmp_path}
    whole = tk.replay(trace, **arguments)
    (cell,) = tmp_path.glob("small.*")
    (cell / "runs.parquet").write_bytes(b"PAR1")
    assert_same(tk.replay(trace, **arguments), whole)
    assert_same(tk.open(tmp_path), whole)


def test_interrupting_is_exit_130_and_keeps_what_is_done(tmp_path):
    arguments = ["replay", *captured("three-vms"), "--set", "replay.report=100ms", "--until", "3d", "-o", tmp_path]
    process = start(*arguments)
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in error
    assert not list(tmp_path.glob("*/runs.parquet"))


def test_traces_with_slashes_in_their_names(trace, tmp_path):
    named = write(tmp_path / "x.access.parquet", "access", 4, {"a": 16}, "../up/and.down")
    tk.replay(named, preset="paging", out=tmp_path / "out")
    assert tk.open(tmp_path / "out").runs.collect()["trace"].to_list() == ["../up/and.down"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "x.access.parquet"]
    assert isinstance(tk.open(tmp_path / "out").faults, pl.LazyFrame)


# ---------------------------------------------------------------------------------------------------- the object itself


def test_attributes_are_those_of_the_schema():
    written = Path(tables.__file__).read_text()
    assert written == attributes.source(), "run python -m tracekit.schema.attributes"
    assert {name for name, value in vars(tables.Tables).items() if isinstance(value, property)} == set(RESULTS)


def test_keywords_are_what_settings_say(trace):
    settings = ["paging.frames=10,20", "paging.module=random,lru", "host.memory=1GiB", "replay.seed=0,1"]
    by_settings = tk.replay(trace, preset="paging", settings=settings)
    for module in (["random", "lru"], ("random", "lru"), [Random, Lru]):
        paging = {"module": module, "frames": np.array([10, 20])}
        assert_same(by_settings, tk.replay(trace, paging=paging, memory="1GiB", seed=range(2)))
    alone = tk.replay(trace, paging="lru", vm={"a": {"shares": 7}})
    assert_same(alone, tk.replay(trace, {"paging": {"module": "lru"}, "vm": [{"name": "a", "shares": 7}]}))
    assert_same(tk.replay(trace, preset="paging"), tk.replay(trace, preset="tax", tax=None, balloon=None))
    with pytest.raises(TracekitError, match="did you mean paging"):
        tk.replay(trace, pagin="lru")


def test_patterns_name_traces(trace):
    assert tk.open_trace(f"{trace.parent}/*.parquet").rows == {"access": 600}
    with pytest.raises(TracekitError, match="no file matches"):
        tk.open_trace(f"{trace.parent}/*.nothing")


def test_saved_and_opened_again_is_the_same(trace, tmp_path):
    memory = tk.replay(trace, preset="paging", settings=["paging.frames=10,20"])
    memory.save(tmp_path)
    assert_same(memory, tk.open(tmp_path))
    tk.open(tmp_path).save(tmp_path)  # over what it reads
    more = tk.replay(trace, preset="paging", settings=["paging.frames=30"])
    more.save(tmp_path / "more")
    both = tk.open(tmp_path, tmp_path / "more")
    assert sorted(both.params("paging.frames").collect()["paging.frames"]) == [10, 20, 30]
    assert_same(tk.replay(trace, preset="paging", settings=["paging.frames=10,20,30"]), both)


def test_parameters_are_numbers_where_they_can_be(trace):
    results = tk.replay(trace, preset="paging", settings=["paging.frames=10,20"])
    assert dict(results.params().collect_schema()) == {"variant": pl.String, "paging.frames": pl.Int64}
    assert results.params("paging.module", "replay.until").collect().rows()[0][1:] == ("random", "0ns")
    with pytest.raises(TracekitError, match=r"did you mean paging\.frames"):
        results.params("paging.frame")


def test_results_and_traces_show_themselves(trace):
    results = tk.replay(trace, preset="paging", settings=["paging.frames=10,20"])
    assert "1 trace × 2 variants" in repr(results) and "faults over the whole replay" in repr(results)
    assert max(map(len, repr(results).splitlines())) <= 100
    described = results.describe("faults").frame
    assert described["column"].to_list() == list(RESULTS["faults"].names)
    assert described["says"].to_list() == [column.prose for column in RESULTS["faults"].columns]
    assert {"faults", "runs"} <= set(dir(results)) and "savings" not in dir(results)
    assert "2 VMs" not in repr(tk.open_trace(trace)) and "captured trace small" in repr(tk.open_trace(trace))
    for shown in (results, results.describe(), tk.open_trace(trace), results.describe("vm")):
        kind, html = try_format(shown).mimetype, try_format(shown).data
        assert kind == "text/html" and "<table>" in html and html == shown._repr_html_()
    assert repr(tk.Results()) == "Results of 0 traces × 0 variants" and tk.Results()._repr_html_()
