"""Sweeps: every cell is made once, whoever dies; what fails is said, cell by cell."""

import random
import signal
import subprocess
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_trace import about, write, write_raw
from run_cli import run, start
from sweep_cells import Here, children, gone, kept, kill_one, write_traces

import tracekit as tk
from tracekit.errors import TracekitError
from tracekit.pool.task import TRIES, Task, perform
from tracekit.scenario import apply_settings, load_preset, variants
from tracekit.sweep import prepare
from tracekit.sweep import run as run_sweep
from tracekit.sweep.cost import CELL, Rates, Work, calibrate, finished
from tracekit.sweep.plan import wall_seconds

SETTINGS = ["paging.module=random,lru", "paging.frames=10,20"]
OPTIONS = ("--preset", "paging", *(part for text in SETTINGS for part in ("--set", text)))


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    return write_traces(tmp_path_factory.mktemp("traces"), 3)


@pytest.fixture(scope="module")
def undisturbed(traces, tmp_path_factory):
    """What one replay of all traces and variants keeps."""
    out = tmp_path_factory.mktemp("undisturbed")
    tk.replay(traces, preset="paging", settings=SETTINGS, out=out)
    return kept(out)


def test_a_sweep_keeps_what_a_replay_keeps(traces, undisturbed, tmp_path):
    first = run("sweep", *traces, *OPTIONS, "-o", tmp_path)
    assert (first.code, first.out) == (0, ""), first.err
    assert "12 cells made, 0 kept, 0 failed" in first.err
    assert kept(tmp_path) == undisturbed
    again = run("sweep", *traces, *OPTIONS, "-o", tmp_path)
    assert again.code == 0
    assert "0 cells made, 12 kept" in again.err


def test_killed_at_random_it_ends_as_if_undisturbed(traces, undisturbed, tmp_path):
    """Whoever is killed, client or worker; workers of a dead client end; two sweeps into one folder do no harm."""
    rng, arguments = random.Random(5), ("sweep", *traces, *OPTIONS, "-o", tmp_path, "--jobs", 2)
    process = start(*arguments)
    time.sleep(rng.uniform(0.8, 2.0))
    workers = children(process.pid)
    kill_one(process, rng)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert gone(workers)
    before = kept(tmp_path)
    assert before.items() <= undisturbed.items()
    both = [start(*arguments) for _ in range(2)]
    for process in both:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    assert kept(tmp_path) == undisturbed


@pytest.mark.slow
def test_200_cells_killed_at_20_moments(tmp_path):
    """Client or a worker is killed by SIGKILL twenty times, at random; a client that lives goes on without the worker."""
    traces = write_traces(tmp_path / "traces", 10, 20_000)
    options = ("--preset", "paging", "--set", "paging.module=random,lru", "--set", "paging.frames=" + ",".join(map(str, range(5, 55, 5))))
    whole, out = tmp_path / "whole", tmp_path / "out"
    began = time.monotonic()
    assert run("sweep", *traces, *options, "-o", whole).code == 0
    took = time.monotonic() - began
    expected = kept(whole)
    assert len(list(whole.glob("[!.]*"))) == 200
    rng, kills, process, seen = random.Random(1), 0, None, set()
    while kills < 20:
        if process is None or process.poll() is not None:
            process = start("sweep", *traces, *options, "-o", out)
        time.sleep(rng.uniform(0, took))
        if process.poll() is None:
            kills += 1
            kill_one(process, rng)
            seen.add(len(kept(out)))
        if len(kept(out)) == len(expected):  # there must be work left to be disturbed
            process.wait()
            for path in rng.sample(sorted(out.glob("[!.]*")), 150):
                subprocess.run(["rm", "-r", path], check=True)
    process.kill()
    process.communicate()
    assert len(seen) > 2
    done = run("sweep", *traces, *options, "-o", out)
    assert done.code == 0, done.err
    assert kept(out) == expected


def test_interrupted_it_ends_at_once_and_keeps_what_is_done(traces, tmp_path):
    process = start("sweep", *traces, "--preset", "paging", "--set", "replay.report=1us", "--until", "10s", "-o", tmp_path)
    time.sleep(2.5)
    workers = children(process.pid)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in error
    assert gone(workers)


def test_what_fails_is_said_by_cell(traces, tmp_path):
    times = [*range(2999), 0]
    damaged = write_raw(tmp_path / "bad.access.parquet", "access", 3000, about("access", {"a": 64}, capture="bad"), t=times)
    contents = write(tmp_path / "contents.content.parquet", "content", 5, {"a": 8}, "contents", ppn=range(5))
    done = run("sweep", traces[0], damaged, contents, *OPTIONS, "-o", tmp_path / "out", "--keep-going")
    assert done.code == 1
    assert "4 cells made, 0 kept, 5 failed" in done.err
    assert done.out.count("out of order") >= 4
    assert "has content only" in done.out.replace("\n", " ")
    stopped = run("sweep", traces[0], damaged, *OPTIONS, "-o", tmp_path / "other")
    assert stopped.code == 3
    assert "out of order" in stopped.err


def test_a_dry_run_does_nothing(traces, tmp_path):
    done = run("sweep", *traces, *OPTIONS, "-o", tmp_path / "out", "--dry-run", "--format", "csv")
    assert done.code == 0
    assert not (tmp_path / "out").exists()
    header, *rows = done.out.splitlines()
    assert header == "trace,cells,kept,bundles,rows,pages,seconds,memory"
    assert [row.split(",")[:4] for row in rows] == [[f"t{i}", "4", "0", "1"] for i in range(3)]
    assert "12 cells to make, 0 kept: about" in done.err
    refused = run("sweep", *traces, *OPTIONS, "-o", tmp_path / "out", "--memory-limit", "much")
    assert (refused.code, refused.err.count("\n")) == (3, 1)


def test_a_worker_that_dies_is_replaced_and_bundles_are_taken_apart(traces, undisturbed, tmp_path):
    pool = Here(deaths={"t0 1/1": 1, "t1 1/1": 1}, fails={"t1 1/1"})
    prepared = prepare(traces, preset="paging", settings=SETTINGS, out=tmp_path, pool=pool)
    assert run_sweep(prepared, pool) == []
    assert kept(tmp_path) == undisturbed
    assert sum(name.startswith("t0.") for name in pool.begun) == 4


def test_a_cell_that_kills_every_worker_fails_alone(traces, undisturbed, tmp_path):
    first = variants(apply_settings(load_preset("paging"), SETTINGS))[0]
    pool = Here(deaths={"t0 1/1": 1, f"t0.{first.id}": 99})
    prepared = prepare(traces, preset="paging", settings=SETTINGS, out=tmp_path, pool=pool)
    (failure,) = run_sweep(prepared, pool, keep_going=True)
    assert (failure.trace, failure.variant, failure.reason) == ("t0", first.id, "its process was killed")
    assert pool.begun.count(f"t0.{first.id}") == TRIES - 1  # and once in the bundle
    assert {path.partition("/")[0] for path in kept(tmp_path)} == {path.partition("/")[0] for path in undisturbed} - {f"t0.{first.id}"}
    pool.deaths = {f"t0.{first.id}": 99, "t0 1/1": 99}
    with pytest.raises(TracekitError, match="its process was killed"):
        run_sweep(prepare(traces, preset="paging", settings=SETTINGS, out=tmp_path, pool=pool), pool)


def test_longest_first_and_what_does_not_fit_is_refused():
    tasks = [Task(f"{i}", lambda advance, i=i: i, (), seconds, memory) for i, (seconds, memory) in enumerate([(1, 5), (3, 5), (2, 50)])]
    pool = Here(largest=10)
    outcomes = list(perform(pool, tasks))
    assert pool.begun == ["1", "0"]
    assert [outcome.task.name for outcome in outcomes if "takes about" in outcome.failure] == ["2"]


@settings(deadline=None, max_examples=40)
@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    workers=st.integers(1, 8),
    largest=st.integers(0, 1 << 26),
    speed=st.floats(1e-3, 1e3),
)
def test_bundles_hold_every_cell_once_and_balance(plan_of, counts, workers, largest, speed):
    shares = plan_of(counts, workers, largest, Rates(other=speed))
    bundles = [bundle for share in shares for bundle in share.bundles]
    for share in shares:
        assert sorted(v.id for b in share.bundles for v in b.cells) == sorted(v.id for v in share.todo)
        for bundle in share.bundles:
            assert len(bundle.cells) == 1 or bundle.memory <= largest
            assert len({len(b.cells) for b in share.bundles} | {0}) <= 3
    seconds = [bundle.seconds for bundle in bundles]
    least = max(sum(seconds) / workers, max(seconds))
    assert least * (1 - 1e-9) <= wall_seconds(seconds, workers) <= (sum(seconds) / workers + max(seconds)) * (1 + 1e-9)


@pytest.fixture(scope="module")
def plan_of(traces, tmp_path_factory):
    """Plans of so many variants of each trace."""
    from tracekit.sweep.plan import Plan, bundle, plan

    everything = variants(apply_settings(load_preset("paging"), ["paging.frames=" + ",".join(map(str, range(1, 41)))]))
    (share, *_) = plan(traces[:1], everything, tmp_path_factory.mktemp("none")).shares

    def make(counts, workers, largest, rates):
        made = Plan([replace(share, name=f"s{i}", todo=tuple(everything[:n]), bundles=[]) for i, n in enumerate(counts)])
        bundle(made, "out", "mark", rates, workers, largest, {})
        return made.shares

    return make


def test_estimates_learn_from_finished_cells(traces, tmp_path):
    assert calibrate([]) == Rates()
    tk.replay(traces, preset="paging", settings=SETTINGS, out=tmp_path)
    found = finished(tmp_path)
    assert {work.modules for work, _ in found} == {("paging.lru",), ("paging.random",)}
    assert {work.rows for work, _ in found} == {2000}
    slow, fast = Work(1e6, 10, ("paging.lru",)), Work(1e6, 10, ("paging.random",))
    rates = calibrate([(slow, 3 * slow.seconds), (slow, 3 * slow.seconds), (fast, 0.5 * fast.seconds)])
    assert rates.seconds(slow) == pytest.approx(3 * slow.seconds + CELL)
    assert rates.seconds(fast) == pytest.approx(0.5 * fast.seconds + CELL)
    assert rates.seconds(replace(slow, modules=("paging.x",))) == pytest.approx(1.75 * slow.seconds + CELL)
    assert (rates.error, rates.cells) == (pytest.approx(1), 3)
