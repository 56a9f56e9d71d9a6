"""DAMON's regions of each VM, and what is done to them: check, aggregate (merge and age), split.

Behaviour after Linux's Documentation/mm/damon/design.rst and its source as of 6.x. A region is a run of pages; regions of a
VM lie side by side and cover it. Counts and ages of merged regions are means weighted by size, in whole numbers.
"""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import entry, jit
from tracekit.rng import below


class Regions(NamedTuple):
    """Columns are regions in order of address; one more than there can be, so that each has a next one's start."""

    number: np.ndarray  # int64 by VM: how many there are
    before: np.ndarray  # int64 by VM: how many there were when they were last split
    start: np.ndarray  # int64 (vm, region): first page, within the VM; the end of the VM after the last
    accesses: np.ndarray  # int64 (vm, region): samples found accessed in the running aggregation
    last: np.ndarray  # int64 (vm, region): that of the aggregation before
    age: np.ndarray  # int64 (vm, region): aggregations for which it has not changed
    sample: np.ndarray  # int64 (vm, region): the page to look at, within the VM
    spare: np.ndarray  # int64 (3, regions): room to split in
    rng: np.ndarray  # uint64 (vm, 2)


def regions(pages: np.ndarray, least: int, most: int, streams: np.ndarray) -> Regions:
    """The fewest regions of VMs of so many ``pages``, all of one size but the last, which has what is left over."""
    shape = (len(pages), most + 1)
    found = Regions(
        number=np.minimum(pages, least),
        before=np.zeros(len(pages), np.int64),
        start=np.zeros(shape, np.int64),
        accesses=np.zeros(shape, np.int64),
        last=np.zeros(shape, np.int64),
        age=np.zeros(shape, np.int64),
        sample=np.zeros(shape, np.int64),
        spare=np.zeros((3, most + 1), np.int64),
        rng=streams,
    )
    for vm, (size, count) in enumerate(zip(pages.tolist(), found.number.tolist())):
        found.start[vm, :count] = np.arange(count) * (size // count)
        found.start[vm, count] = size
    return found


@entry
def pick(r, vm):
    """Choose a random page of each region, to be looked at when the sampling interval has passed."""
    for i in range(r.number[vm]):
        r.sample[vm, i] = r.start[vm, i] + below(r.rng[vm], r.start[vm, i + 1] - r.start[vm, i])


@entry
def check(r, vm, touched_in, interval, first):
    """Count the regions whose page was touched in the sampling interval; ``first`` is the VM's first page."""
    for i in range(r.number[vm]):
        if touched_in[first + r.sample[vm, i]] == interval:
            r.accesses[vm, i] += 1


@entry
def aggregate(r, vm, limit):
    """End an aggregation interval: age regions, and merge neighbours whose counts are within a tenth of the highest one.

    No region of more than ``limit`` pages comes of it. Counts become those of the aggregation before.
    """
    highest = np.int64(0)
    for i in range(r.number[vm]):
        highest = max(highest, r.accesses[vm, i])
    near = highest // 10
    start, accesses, last, age = r.start[vm], r.accesses[vm], r.last[vm], r.age[vm]
    number, kept = r.number[vm], np.int64(-1)
    for i in range(number):
        changed = abs(accesses[i] - last[i]) > near or (accesses[i] == 0) != (last[i] == 0)
        older = 0 if changed else age[i] + 1
        if kept >= 0 and abs(accesses[kept] - accesses[i]) <= near and start[i + 1] - start[kept] <= limit:
            left, right = start[i] - start[kept], start[i + 1] - start[i]
            accesses[kept] = (accesses[kept] * left + accesses[i] * right) // (left + right)
            age[kept] = (age[kept] * left + older * right) // (left + right)
        else:
            kept += 1
            start[kept], accesses[kept], age[kept] = start[i], accesses[i], older
    start[kept + 1] = start[number]
    r.number[vm] = kept + 1
    for i in range(number):
        last[i] = accesses[i]
        accesses[i] = 0


@entry
def in_use(r, vm):
    """Pages of regions that the last aggregation has found accessed, were it by one sample."""
    pages = np.int64(0)
    for i in range(r.number[vm]):
        if r.last[vm, i] > 0:
            pages += r.start[vm, i + 1] - r.start[vm, i]
    return pages


@entry
def mean_age(r, vm):
    """Aggregations for which a page's region has not changed, on average over the VM's pages."""
    total = np.int64(0)
    for i in range(r.number[vm]):
        total += r.age[vm, i] * (r.start[vm, i + 1] - r.start[vm, i])
    return total / r.start[vm, r.number[vm]]


@jit
def _cut(r, vm, size):
    """Where a region of ``size`` pages is cut: after one to nine tenths of it, rounded down; 0 if it is not."""
    if size <= 2:
        return np.int64(0)
    return (1 + below(r.rng[vm], 9)) * size // 10


@entry
def split(r, vm):
    """Split each region at random in two, or in three if few regions have not become more; not beyond the most."""
    count, most = r.number[vm], r.start.shape[1] - 1
    if count > most // 2:
        return
    parts = 3 if r.before[vm] == count and count < most // 3 else 2
    r.before[vm] = count
    start, last, age = r.start[vm], r.last[vm], r.age[vm]
    total = np.int64(0)
    for i in range(count):
        size = start[i + 1] - start[i]
        first = _cut(r, vm, size)
        second = np.int64(0)
        if parts == 3:
            second = _cut(r, vm, first if first > 0 else size)
        for offset in (np.int64(0), min(first, second), max(first, second)):
            if offset > 0 or total == 0 or r.spare[0, total - 1] < start[i]:
                r.spare[0, total], r.spare[1, total], r.spare[2, total] = start[i] + offset, last[i], age[i]
                total += 1
    start[total] = start[count]
    for i in range(total):
        start[i], last[i], age[i] = r.spare[0, i], r.spare[1, i], r.spare[2, i]
    r.number[vm] = total
