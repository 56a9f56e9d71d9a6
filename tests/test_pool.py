"""Pools of real processes: whoever dies, each task ends once, with its value or with the reason."""

from contextlib import closing
from pathlib import Path

import pool_work
import pytest

from tracekit.pool.local import LocalPool
from tracekit.pool.memory import available
from tracekit.pool.task import IDLE_BYTES, TRIES, Task, perform


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=":")


def done(tasks, workers=2, memory=4 * IDLE_BYTES, report=lambda units: None):
    with closing(LocalPool(workers, memory)) as pool:
        return {outcome.task.name: outcome for outcome in perform(pool, tasks, report)}


def task(name, work, *arguments, seconds=1.0, memory=0, units=0):
    return Task(name, work, arguments, seconds, memory, units)


def test_values_come_back_from_workers_of_one_thread():
    found = done([task(f"{i}", pool_work.double, i) for i in range(20)] + [task("threads", pool_work.threads)])
    assert [found[f"{i}"].value for i in range(20)] == [2 * i for i in range(20)]
    assert found["threads"].value == ("1", "1")


def test_what_kills_a_worker_is_tried_again_and_then_given_up(tmp_path):
    folders = {times: tmp_path / str(times) for times in (0, 1, TRIES - 1, TRIES)}
    for folder in folders.values():
        folder.mkdir()
    others = [task(f"other {i}", pool_work.double, i) for i in range(5)]
    found = done([task(f"{times}", pool_work.die, str(folder), times) for times, folder in folders.items()] + others)
    assert [found[f"{times}"].value for times in (0, 1, TRIES - 1)] == [0, 1, TRIES - 1]
    assert found[str(TRIES)].failure == "its process was killed (SIGKILL), as the kernel does when memory runs out"
    assert len(list(folders[TRIES].iterdir())) == TRIES
    assert all(found[other.name].failure == "" for other in others)


def test_what_fails_says_why():
    found = done([task(kind, pool_work.fail, kind) for kind in ("trace", "value", "memory", "exit")])
    assert found["trace"].failure == "x: is no trace"
    assert found["value"].failure == "ValueError: what is this"
    assert found["memory"].failure == "not enough memory"
    assert found["exit"].failure == "its process ended with exit code 7"


def test_no_more_is_begun_than_fits():
    """Four workers' worth of tasks in the memory of two and a half: never more than that at a time, and what fits goes first."""
    sizes = {"large": IDLE_BYTES, "a": IDLE_BYTES // 2, "b": IDLE_BYTES // 2, "c": 0, "d": 0}
    tasks = [task(name, pool_work.stay, name, 0.3, seconds=9 - i, memory=size) for i, (name, size) in enumerate(sizes.items())]
    found = done(tasks, workers=4, memory=5 * IDLE_BYTES // 2)
    spans = {name: (began, ended) for name, began, ended in (outcome.value for outcome in found.values())}
    assert spans.keys() == sizes.keys()
    for moment in sorted(began for began, _ in spans.values()):
        there = [name for name, (began, ended) in spans.items() if began <= moment < ended]
        assert sum(IDLE_BYTES + sizes[name] for name in there) <= 5 * IDLE_BYTES // 2, there
    assert "takes about" in done([task("x", pool_work.double, 1, memory=IDLE_BYTES * 2)], memory=IDLE_BYTES * 2)["x"].failure


def test_progress_is_told_while_tasks_run():
    seen = []
    found = done([task("a", pool_work.count, 1.0), task("b", pool_work.count, 1.0)], report=seen.append)
    assert 0 < max(seen) <= found["a"].value + found["b"].value


def test_memory_available():
    assert 1 << 20 < available() < 1 << 50
