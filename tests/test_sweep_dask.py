"""Sweeps on a Dask scheduler with workers of its own, all real processes: lost ones cost time, not results."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_cli import run, start
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
