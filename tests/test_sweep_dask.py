"""Sweeps on a Dask scheduler with workers of its own, all real processes: lost ones cost time, not results."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from run_cli import captured, run, start
from sweep_cells import kept, write_traces

import tracekit as tk
from tracekit.pool.mark import leave_mark, mark_of
from tracekit.results import copy_cell
from tracekit.scenario import apply_settings, load_preset, variants
from tracekit.sweep.cell import replay_bundle

SETTINGS = ["paging.module=random,lru", "paging.frames=10,20"]
OPTIONS = ("--preset", "paging", *(part for text in SETTINGS for part in ("--set", text)))


class Cluster:
    """A scheduler and workers, started by hand."""

    def __init__(self, folder: Path):
        self._file, self.processes = folder / "scheduler.json", []
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", self._file)
        end = time.monotonic() + 60
        while not self._file.exists():
            assert time.monotonic() < end
            time.sleep(0.1)
        self.address = json.loads(self._file.read_text())["address"]

    def worker(self) -> subprocess.Popen[bytes]:
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "2GiB", "--local-directory", self._file.parent)
        return self._start("worker", self.address, *options)

    def _start(self, what: str, *options: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *map(str, options)]
        self.processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return self.processes[-1]

    def close(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path):
    pytest.importorskip("distributed")
    started = Cluster(tmp_path)
    yield started
    started.close()


def wait_for_cells(out: Path, process: subprocess.Popen[bytes]) -> None:
    """Until a cell is there, or the process has ended."""
    while not list(out.glob("t*")) and process.poll() is None:
        time.sleep(0.02)


def test_a_worker_is_killed_and_a_fresh_one_joins(cluster, tmp_path):
    traces = write_traces(tmp_path / "traces", 6, 5000)
    first, _ = cluster.worker(), cluster.worker()
    process = start("sweep", *traces, *OPTIONS, "--scheduler", cluster.address, "-o", tmp_path / "out")
    wait_for_cells(tmp_path / "out", process)
    first.kill()
    cluster.worker()
    _, error = process.communicate(timeout=200)
    assert process.returncode == 0, error
    assert b"24 cells made, 0 kept, 0 failed" in error
    tk.replay(traces, preset="paging", settings=SETTINGS, out=tmp_path / "whole")
    assert kept(tmp_path / "out") == kept(tmp_path / "whole")
    contents = captured("ten-clones")
    counted = run(
        "dedup", *contents, "--host-memory", "600MiB", "--scheduler", cluster.address, "-o", tmp_path / "dedup", "--format", "json"
    )
    assert counted.code == 0, counted.err
    assert counted.raw == run("dedup", *contents, "--host-memory", "600MiB", "--jobs", 1, "--format", "json").raw


@pytest.mark.slow
def test_a_scheduler_is_killed_and_another_started(cluster, tmp_path):
    traces = write_traces(tmp_path / "traces", 12, 50_000)
    cluster.worker()
    arguments = ("sweep", *traces, *OPTIONS, "-o", tmp_path / "out", "--scheduler")
    process = start(*arguments, cluster.address)
    wait_for_cells(tmp_path / "out", process)
    cluster.scheduler.kill()
    _, error = process.communicate(timeout=200)
    assert process.returncode == 3, error
    assert b"the scheduler is gone; what was finished is kept" in error
    (tmp_path / "second").mkdir()
    second = Cluster(tmp_path / "second")
    second.worker()
    assert run(*arguments, second.address).code == 0
    second.close()
    tk.replay(traces, preset="paging", settings=SETTINGS, out=tmp_path / "whole")
    assert kept(tmp_path / "out") == kept(tmp_path / "whole")


@pytest.mark.slow
def test_200_cells_killed_at_20_moments(tmp_path):
    """Scheduler, a worker or the client is killed by SIGKILL twenty times, at random; whatever died is started again."""
    pytest.importorskip("distributed")
    traces = write_traces(tmp_path / "traces", 10, 20_000)
    options = ("--preset", "paging", "--set", "paging.module=random,lru", "--set", "paging.frames=" + ",".join(map(str, range(5, 55, 5))))
    whole, out, rng = tmp_path / "whole", tmp_path / "out", random.Random(4)
    began = time.monotonic()
    assert run("sweep", *traces, *options, "-o", whole).code == 0
    took, expected = time.monotonic() - began, kept(whole)
    assert len(list(whole.glob("[!.]*"))) == 200
    cluster, workers, client, killed = None, [], None, Counter()
    for kill in range(20):
        if cluster is None:
            (tmp_path / f"cluster{kill}").mkdir()
            cluster = Cluster(tmp_path / f"cluster{kill}")
            workers = []
        workers += [cluster.worker() for _ in range(2 - len(workers))]
        if client is None or client.poll() is not None:
            client = start("sweep", *traces, *options, "-o", out, "--scheduler", cluster.address)
        time.sleep(rng.uniform(1, 1 + 2 * took))
        victim = rng.choice(["scheduler", "worker", "client"])
        killed[victim] += client.poll() is None
        if victim == "worker":
            workers.pop(rng.randrange(2)).kill()
        if victim == "scheduler":
            cluster.scheduler.kill()
        if victim != "worker":
            client.kill()
            client.communicate()
        if victim == "scheduler":
            cluster.close()
            cluster = None
        if len(kept(out)) == len(expected):  # there must be work left to be disturbed
            for path in rng.sample(sorted(out.glob("[!.]*")), 150):
                shutil.rmtree(path)
    assert min(killed[victim] for victim in ("scheduler", "worker", "client")) > 0, killed
    if client is not None:
        client.kill()
        client.communicate()
    if cluster is not None:
        cluster.close()
    done = run("sweep", *traces, *options, "-o", out)
    assert done.code == 0, done.err
    assert kept(out) == expected


def test_where_results_cannot_be_reached_they_are_handed_back(tmp_path):
    (trace,) = write_traces(tmp_path / "traces", 1)
    choices = variants(apply_settings(load_preset("paging"), SETTINGS))
    tk.replay(trace, preset="paging", settings=SETTINGS, out=tmp_path / "whole")
    out, how, seen = tmp_path / "out", {"chunk": 1000, "auditing": False}, []
    out.mkdir()
    leave_mark(out, "mine")
    cells = replay_bundle(seen.append, [str(trace)], str(tmp_path / "nowhere"), "mine", how, choices)
    assert not (tmp_path / "nowhere").exists()
    assert seen[-1] == 4 * 2000
    for variant, files in cells.items():
        copy_cell(out, "t0", variant, files)
    assert kept(out) == kept(tmp_path / "whole")
    assert replay_bundle(seen.append, [str(trace)], str(out), "mine", how, choices) == {}
    leave_mark(out, "another's")
    assert mark_of(out) == "mine"


def test_no_scheduler_there_is_one_sentence(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("tracekit.pool.scheduler._TIMEOUT", 1)
    (trace,) = write_traces(tmp_path, 1)
    done = run("sweep", trace, *OPTIONS, "-o", tmp_path / "out", "--scheduler", "tcp://127.0.0.1:9")
    assert (done.code, done.err.count("\n")) == (3, 1), done.err
    assert "no Dask scheduler answers there" in done.err
    assert os.listdir(tmp_path) == ["t0.access.parquet"]
