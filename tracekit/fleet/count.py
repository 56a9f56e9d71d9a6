"""Counting what a part of all contents adds up to, over all VMs and for several ways to group them.

A part's rows are put in order, so that all VMs that hold one content stand together; one pass over them tells for each
grouping what its groups hold and what they could share, as ``duplicates.by_vm`` does for one trace. Parts add up.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from tracekit.duplicates import GROUPED
from tracekit.fleet.spill import part_of
from tracekit.kernel import entry, write_atomically
from tracekit.pool.task import Advance

_SKETCH = np.uint64(0xD6E8FEB86659FD93)
_S32 = np.uint64(32)


@dataclass(frozen=True)
class Question:
    """What is to be counted: ``groupings`` are group numbers by VM of the fleet (int32); ``capacity`` (pages, 0: not asked)
    of a host for the bound, by the VMs' ``sizes`` (pages); ``rate`` the part of contents that go into the sketch, 1 / 2ᵏ."""

    spills: tuple[tuple[str, int], ...]  # path and the number of its first VM
    groupings: tuple[np.ndarray, ...]
    zero: int
    sizes: np.ndarray
    capacity: int = 0
    rate: float = 0.0

    @property
    def key(self) -> str:
        """A digest of all that decides the answer."""
        hashed = xxhash.xxh3_128(repr((self.spills, self.zero, self.capacity, self.rate)).encode())
        for array in (*self.groupings, self.sizes):
            hashed.update(np.ascontiguousarray(array).tobytes() + str(len(array)).encode())
        return hashed.hexdigest()


@dataclass(frozen=True)
class Answer:
    """``counts`` by grouping: (``GROUPED`` × groups) int64; the bound's part; the sketch as (content, VM), in order."""

    counts: Sequence[Any]
    bound: int
    content: np.ndarray
    vm: np.ndarray


def count_part(report: Advance, question: Question, folder: str, part: int, parts: int) -> None:
    """Answer a question for one part of all contents, and keep the answer in ``folder``."""
    path = answer_path(folder, question, part, parts)
    if path.exists():
        return
    slices = []
    for number, (spilled, first) in enumerate(question.spills):
        rows = part_of(Path(folder) / spilled, part, parts)
        rows["vm"] += np.uint32(first)
        slices.append(rows)
        report(number)
    rows = np.concatenate(slices)
    rows = rows[np.argsort(rows["mix"], kind="stable")]  # sorted runs laid end to end, which this sort merges
    answer = _count(question, *(np.ascontiguousarray(rows[name]) for name in ("mix", "vm", "count")))
    content = io.BytesIO()
    arrays = {f"counts{i}": counts for i, counts in enumerate(answer.counts)}
    np.savez(content, bound=answer.bound, content=answer.content, vm=answer.vm, **arrays)  # pyright: ignore[reportArgumentType]
    write_atomically(path, content.getvalue())


def answer_path(folder: str | Path, question: Question, part: int, parts: int) -> Path:
    """Where the answer for a part lies."""
    return Path(folder) / f"{question.key}.{part}-{parts}.npz"


def add_up(folder: str | Path, question: Question, parts: int) -> Answer:
    """The answer for all contents. Sketched contents of different parts are different ones."""
    found = [np.load(answer_path(folder, question, part, parts)) for part in range(parts)]
    counts = [np.sum([f[f"counts{i}"] for f in found], axis=0, dtype=np.int64) for i in range(len(question.groupings))]
    sketch = [np.concatenate([f[name] for f in found]) for name in ("content", "vm")]
    return Answer(counts, sum(int(f["bound"]) for f in found), *sketch)


def _count(question: Question, mix: np.ndarray, vm: np.ndarray, count: np.ndarray) -> Answer:
    counts = []
    for group in question.groupings:
        groups = int(group.max(initial=-1)) + 1
        counts.append(np.zeros((len(GROUPED), groups), np.int64))
        _count_groups(mix, vm, count, group, np.uint64(question.zero), np.zeros(groups, np.int64), np.zeros(groups, np.int64), counts[-1])
    bound = _bound(mix, vm, question.sizes, question.capacity) if question.capacity else 0
    kept = _sketched(mix, question.rate) & _met_twice(mix)
    return Answer(counts, int(bound), mix[kept], vm[kept])


@entry
def _count_groups(mix, vm, count, group, zero, last, held, out):
    """``last`` and ``held`` are by group: the last run in which it held something (counted from 1), and how much."""
    first, run = 0, 0
    while first < mix.size:
        end = first
        run += 1
        is_zero = mix[first] == zero
        while end < mix.size and mix[end] == mix[first]:
            g, pages = group[vm[end]], np.int64(count[end])
            met = last[g] == run
            if not met:
                last[g], held[g] = run, 0
                out[2, g] += 1
            held[g] += pages
            out[0, g] += pages
            if is_zero:
                out[1, g] += pages
                out[4, g] += pages if met else pages - 1
            else:
                out[5, g] += pages - 1
                out[6, g] += np.int64(met)
            end += 1
        for k in range(first, end):
            g = group[vm[k]]
            if held[g] > 1:
                out[3, g] += np.int64(count[k])
        first = end


@entry
def _bound(mix, vm, sizes, capacity):
    """What no placement on hosts of ``capacity`` pages exceeds: VMs that hold a content, less the fewest hosts for them."""
    saved, first = 0, 0
    while first < mix.size:
        end, needed = first, 0
        while end < mix.size and mix[end] == mix[first]:
            needed += sizes[vm[end]]
            end += 1
        saved += end - first - (needed + capacity - 1) // capacity
        first = end
    return saved


def _sketched(mix: np.ndarray, rate: float) -> np.ndarray:
    """Which contents are in the sketch: by bits that have nothing to do with which part they are in."""
    if rate >= 1:
        return np.ones(len(mix), np.bool_)
    with np.errstate(over="ignore"):
        return (mix ^ (mix >> _S32)) * _SKETCH < np.uint64(int(rate * 2.0**64))


def _met_twice(mix: np.ndarray) -> np.ndarray:
    """Which rows have an equal neighbour: contents of one VM alone are alike wherever it is."""
    same = mix[1:] == mix[:-1]
    return np.append(same, False) | np.append(False, same) if len(mix) else np.empty(0, np.bool_)


def parts_for(rows: Sequence[int], row_bytes: int, memory: int, workers: int) -> int:
    """How many parts: at least one a worker, and each small enough for ``memory`` bytes of a worker."""
    return max(workers, -(-sum(rows) * row_bytes // max(memory, 1)), 1)
