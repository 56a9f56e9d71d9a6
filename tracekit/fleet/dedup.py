"""Sharing over a fleet, from traces to tables: spill every capture, count every part, add up; and who should share a host."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tracekit.duplicates import GROUPED, mixes
from tracekit.errors import TraceError, TracekitError
from tracekit.fleet import placement
from tracekit.fleet.count import Answer, Question, add_up, count_part, parts_for
from tracekit.fleet.labels import groups_of, labels_of
from tracekit.fleet.spill import Capture, capture_of, spill, spill_path
from tracekit.location import Url
from tracekit.pool.mark import leave_mark, mark_of
from tracekit.pool.task import Pool, Task, perform
from tracekit.results import to_frame
from tracekit.schema import FLEET_SHARING, PLACED, PLACEMENTS
from tracekit.trace import captures_of

#: Placements drawn at random to compare with.
DRAWS = 20
#: Rows (content, VM) that the sketch may have, at most: its table of hosts × contents must fit into memory.
SKETCH_ROWS = 1 << 20
#: VMs up to which every two of them are compared for the second bound.
PAIRED = 8192
#: Seconds a row to spill or to count, and bytes a page or row that it takes.
_SECONDS, _PAGE_BYTES, _ROW_BYTES = 2e-7, 64, 96
#: Bytes that counting a part should take, at most: there are as many parts as that takes.
_PART_BYTES = 512 << 20

Progress = Callable[[str, int, int], None]


def dedup(
    traces: Iterable[str | os.PathLike[str] | Url],
    *,
    pool: Pool,
    folder: Path,
    labels: Path | None = None,
    until: int | None = None,
    capacity: int = 0,
    hosts: int = 0,
    seed: int = 0,
    progress: Progress = lambda *_: None,
) -> dict[str, pl.DataFrame]:
    """Tables ``sharing`` and, for hosts of ``capacity`` pages, ``placements`` and ``placed``.

    ``folder`` keeps what has been counted, so that a killed run goes on where it was; all workers must reach it. ``labels`` is a
    CSV file (``labels_of``); ``until`` (ns from a capture's first row) the moment looked at, else the end; ``hosts`` how many,
    else as many as first-fit-decreasing takes. Raises TracekitError.
    """
    captures = [capture_of(paths, until) for paths in captures_of(traces).values()]
    _check_comparable(captures)
    groups = groups_of(labels_of(captures, labels), sum(len(capture.vms) for capture in captures))
    folder.mkdir(parents=True, exist_ok=True)
    mark = mark_of(folder)
    leave_mark(folder, mark)
    rows = _spill_all(captures, folder, mark, until, pool, progress)
    fleet = _Fleet(captures, folder, rows, pool, progress)
    rate = min(1.0, 2.0 ** np.floor(np.log2(SKETCH_ROWS / max(sum(rows), 1)))) if capacity else 0.0
    alone = np.arange(len(fleet.names), dtype=np.int32)
    answer = fleet.count([group for group, _ in groups.values()] + [alone], capacity, float(rate))
    found = {"sharing": _sharing(groups, answer, fleet.names)}
    if capacity:
        given = groups["host"][0] if len(groups["host"][1]) > 1 else None
        found |= _place(fleet, answer, capacity, hosts, seed, float(rate), given)
    return found


class _Fleet:
    """All VMs in order, with what has been spilled of them; ``count`` answers questions about them."""

    def __init__(self, captures: Sequence[Capture], folder: Path, rows: list[int], pool: Pool, progress: Progress):
        self.names = [f"{capture.name}/{vm[0]}" for capture in captures for vm in capture.vms]
        self.sizes = np.array([vm[1] for capture in captures for vm in capture.vms], np.int64)
        first = np.cumsum([0, *(len(capture.vms) for capture in captures)])
        self._spills = tuple((spill_path("", capture).name, int(i)) for capture, i in zip(captures, first))
        self._zero = int(mixes(np.array([captures[0].zero], np.uint64))[0])
        self._folder, self._rows, self._pool, self._progress = folder, rows, pool, progress

    def count(self, groupings: Sequence[np.ndarray], capacity: int = 0, rate: float = 0.0) -> Answer:
        """What all contents add up to, part by part."""
        question = Question(self._spills, tuple(groupings), self._zero, self.sizes, capacity, rate)
        parts = parts_for(self._rows, _ROW_BYTES, min(self._pool.largest, _PART_BYTES), self._pool.workers)
        each = sum(self._rows) // parts
        tasks = [
            Task(f"part {part + 1} of {parts}", count_part, (question, str(self._folder), part, parts), each * _SECONDS, each * _ROW_BYTES)
            for part in range(parts)
        ]
        for done, _ in enumerate(_done(self._pool, tasks), 1):
            self._progress("counting", done, parts)
        return add_up(self._folder, question, parts)


def _check_comparable(captures: Sequence[Capture]) -> None:
    ways: dict[tuple[object, ...], str] = {}
    for capture in captures:
        ways.setdefault(capture.way, capture.name)
    if len(ways) > 1:
        first, second = list(ways.values())[:2]
        raise TraceError(f"{first}, {second}: their digests are made in different ways, so that they cannot be compared")


def _spill_all(captures: Sequence[Capture], folder: Path, mark: str, until: int | None, pool: Pool, progress: Progress) -> list[int]:
    tasks = [
        Task(
            capture.name, spill, (capture, str(folder.absolute()), mark, until), capture.rows * _SECONDS,
            sum(vm[1] for vm in capture.vms) * _PAGE_BYTES, capture.rows,
        )
        for capture in captures
    ]  # fmt: skip
    found, total = {}, sum(task.units for task in tasks)
    units_of = {task.name: task.units for task in tasks}
    for outcome in _done(pool, tasks, lambda units: progress("reading", units + sum(units_of[name] for name in found), total)):
        found[outcome.task.name] = outcome.value
    return [found[capture.name] for capture in captures]


def _done(pool: Pool, tasks: Iterable[Task], report: Callable[[int], None] = lambda units: None) -> Iterable[Any]:
    """Outcomes of tasks that must all succeed."""
    for outcome in perform(pool, tasks, report):
        if outcome.failure:
            raise TracekitError(outcome.said)
        yield outcome


def _sharing(groups: dict[str, tuple[np.ndarray, list[str]]], answer: Answer, names: list[str]) -> pl.DataFrame:
    everything = [*groups.items(), ("vm", (np.arange(len(names)), names))]
    rows = []
    for (by, (group, labels)), counts in zip(everything, answer.counts, strict=True):
        vms = np.bincount(group, minlength=len(labels))
        for i, label in enumerate(labels):
            counted = {name: int(counts[k, i]) for k, name in enumerate(GROUPED)}
            reclaimed = counted["pages"] - counted["distinct"]
            rows.append({"by": by, "group": label, "vms": int(vms[i]), "reclaimed": reclaimed} | counted)
    return to_frame(FLEET_SHARING, rows)


def _place(
    fleet: _Fleet, answer: Answer, capacity: int, hosts: int, seed: int, rate: float, given: np.ndarray | None
) -> dict[str, pl.DataFrame]:
    sizes, sketch = fleet.sizes, placement.make_sketch(answer.content, answer.vm, len(fleet.names), rate)
    hosts = hosts or placement.hosts_needed(sizes, capacity)
    fits = given is not None and np.bincount(given, weights=sizes).max() <= capacity
    placements: dict[str, list[np.ndarray]] = {"given": [given]} if given is not None and fits else {}
    drawn = [placement.at_random(sizes, capacity, hosts, seed, draw) for draw in range(DRAWS)]
    placements["random"] = [host for host in drawn if host is not None]
    placements["greedy"] = [placement.greedy(sketch, sizes, capacity, hosts)]
    starts = [*placements["greedy"], *placements["random"][:1]]
    improved = [placement.improve(sketch, sizes, capacity, hosts, start) for start in starts]
    chosen = max(improved, key=lambda host: placement.estimate(sketch, host)[0])
    placements["chosen"] = [chosen]
    counted = iter(fleet.count([host for group in placements.values() for host in group]).counts)
    pairs = placement.pair_bound(sketch, sizes, capacity) if len(sizes) <= PAIRED else None
    bound = min(answer.bound, pairs if pairs is not None else answer.bound)
    apart = int(answer.counts[-1][2].sum())  # distinct contents by VM
    rows = []
    for name, group in placements.items():
        if not group:
            continue
        exact = float(np.mean([apart - int(next(counted)[2].sum()) for _ in group]))
        estimates = [placement.estimate(sketch, host) for host in group]
        value, error = float(np.mean([e for e, _ in estimates])), estimates[0][1]
        single = len(group) == 1
        rows.append(
            {"placement": name, "hosts": round(sum(len(np.unique(host)) for host in group) / len(group)), "draws": len(group),
             "between": round(exact), "estimate": value, "low": value - 1.96 * error if single else None,
             "high": value + 1.96 * error if single else None, "of_bound": exact / max(bound, 1)}
        )  # fmt: skip
    rows.append({"placement": "bound", "hosts": hosts, "draws": 0, "between": answer.bound, "of_bound": answer.bound / max(bound, 1)})
    if pairs is not None:
        rows.append({"placement": "pair bound", "hosts": hosts, "draws": 0, "estimate": pairs, "of_bound": pairs / max(bound, 1)})
    shared = placement.shared_on_host(sketch, chosen)
    placed = [
        {"vm": fleet.names[i], "host": int(chosen[i]), "pages": int(sizes[i]), "between": round(float(shared[i]))}
        for i in np.argsort(chosen, kind="stable")
    ]
    return {"placements": to_frame(PLACEMENTS, rows), "placed": to_frame(PLACED, placed)}
