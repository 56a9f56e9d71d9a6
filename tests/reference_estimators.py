"""Slow, readable twins of the estimators: sets, lists and one dictionary a region; nothing is counted as rows go by.

Rows are (t, vm, page, write) in order, times in ns; ``sizes`` are pages by VM. Each twin gives what the estimator believes of
a VM at every multiple of ``every`` after the first whole window: [(t, estimate)].
"""

from itertools import pairwise

from tracekit import rng
from tracekit.spatial import hashes, limit


def moments(rows, window, every):
    """When estimates are told."""
    first, last = rows[0][0], rows[-1][0]
    return [t for t in range(first + every, last + 1, every) if t - first >= window]


def ticks(rows, period):
    """When a clock of this period strikes."""
    return range(rows[0][0] + period, rows[-1][0] + 1, period)


def used(rows, vm, begin, end, written=False):
    """Distinct pages of a VM used in [begin, end)."""
    return {page for t, name, page, write in rows if name == vm and begin <= t < end and (write or not written)}


def told(rows, window, every, found):
    """Of estimates by the time they were made, those that stand at the moments; None before the first."""
    return [(t, next((found[at] for at in sorted(found, reverse=True) if at <= t), None)) for t in moments(rows, window, every)]


def bitmap(rows, vm, window, every, period, written=False):
    """The idle bitmap; of writes alone it is the dirty log."""
    return told(rows, window, every, {t: len(used(rows, vm, t - period, t, written)) for t in ticks(rows, period)})


def ages(rows, vm, size, period):
    """Ages of a VM's pages at each scan, and {age: pages touched that had it before}: [(t, ages, promoted)]."""
    age, found = [255] * size, []
    for t in ticks(rows, period):
        touched, promoted = used(rows, vm, t - period, t), {}
        for page in touched:
            promoted[age[page]] = promoted.get(age[page], 0) + 1
        age = [0 if page in touched else min(age[page] + 1, 255) for page in range(size)]
        found.append((t, age, promoted))
    return found


def kstaled(rows, vm, size, window, every, period):
    """Pages that a scan of the window's last scans has found touched."""
    young = -(-window // period)
    return told(rows, window, every, {t: sum(a < young for a in age) for t, age, _ in ages(rows, vm, size, period)})


def miss_curve(rows, vm, sizes, window, every, period, rate, cutoff, seed):
    """The least memory of an LRU list of the sampled pages in which few enough accesses of a period miss."""
    base = sum(size for name, size in list(sizes.items())[: list(sizes).index(vm)])
    hashed = hashes(sum(sizes.values()), seed)
    watched = [page for page in range(sizes[vm]) if hashed[base + page] <= limit(rate)]
    found, stack, distances, begin = {}, [], [], rows[0][0]
    mine = [(t, page) for t, name, page, _ in rows if name == vm and page in watched]
    for end in ticks(rows, period):
        distances = []
        for t, page in mine:
            if begin <= t < end:
                distances.append(stack.index(page) if page in stack else None)
                stack = [page, *(other for other in stack if other != page)]
        missing = lambda memory: sum(d is not None and d >= memory for d in distances)  # noqa: B023, E731
        memory = next(c for c in range(len(watched) + 1) if missing(c) <= cutoff * len(distances))
        if watched:
            found[end] = memory * sizes[vm] / len(watched)
        begin = end
    return told(rows, window, every, found)


def sampled(rows, vm, size, window, every, period, n, gains, stream):
    """ESX's sampler in wall time: [(t, estimate)] as the host believes at each moment, running periods folded in."""
    averages, believed = None, []
    starts = [rows[0][0], *ticks(rows, period)]
    samples = [set(rng.sample(stream, size, n).tolist()) for _ in starts]
    for t in moments(rows, window, every):
        ended = [(a, b) for a, b in pairwise(starts) if b <= t]
        averages = None
        for (begin, end), sample in zip(ended, samples):
            fraction = len(used(rows, vm, begin, end) & sample) / len(sample)
            averages = [fraction] * 2 if averages is None else [old + gain * (fraction - old) for old, gain in zip(averages, gains)]
        begin, sample = starts[len(ended)], samples[len(ended)]
        running = len(used(rows, vm, begin, t) & sample) / len(sample)
        folded = averages and averages[1] + gains[1] * (running - averages[1])
        believed.append((t, size if averages is None else max(*averages, folded) * size))
    return believed


class Regions:
    """DAMON's regions of one VM, each a dictionary of size, sampled page, accesses now and before, and age."""

    def __init__(self, size, least, most, stream):
        self.size, self.least, self.most, self.stream = size, least, most, stream
        number = min(least, size)
        sizes = [size // number] * (number - 1)
        self.all = [{"size": s, "accesses": 0, "last": 0, "age": 0} for s in [*sizes, size - sum(sizes)]]
        self.before = 0
        self.pick()

    def pick(self):
        start = 0
        for region in self.all:
            region["page"] = start + int(rng.below(self.stream, region["size"]))
            start += region["size"]

    def check(self, touched):
        for region in self.all:
            region["accesses"] += region["page"] in touched

    def aggregate(self):
        near = max(region["accesses"] for region in self.all) // 10
        merged = []
        for r in self.all:
            flipped = (r["accesses"] == 0) != (r["last"] == 0)
            r["age"] = 0 if abs(r["accesses"] - r["last"]) > near or flipped else r["age"] + 1
            to = merged[-1] if merged else None
            if to and abs(to["accesses"] - r["accesses"]) <= near and to["size"] + r["size"] <= max(self.size // self.least, 1):
                for what in ("accesses", "age"):
                    to[what] = (to[what] * to["size"] + r[what] * r["size"]) // (to["size"] + r["size"])
                to["size"] += r["size"]
            else:
                merged.append(r)
        self.all = merged
        for region in self.all:
            region["last"], region["accesses"] = region["accesses"], 0

    def split(self):
        number = len(self.all)
        if number > self.most // 2:
            return
        parts = 3 if number == self.before and number < self.most // 3 else 2
        self.before = number
        after = []
        for region in self.all:
            tail = []
            for _ in range(parts - 1):
                if region["size"] > 2:
                    cut = (1 + int(rng.below(self.stream, 9))) * region["size"] // 10
                    if cut:
                        tail.insert(0, region | {"size": region["size"] - cut})
                        region["size"] = cut
            after += [region, *tail]
        self.all = after


def damon(rows, vm, size, window, every, sampling, samples, least, most, stream):
    """[(t, estimate)], and of each aggregation [(t, regions merged, regions split, mean age)]."""
    regions, found, numbers = Regions(size, least, most, stream), {0: size}, []
    for tick, t in enumerate(ticks(rows, sampling), 1):
        regions.check(used(rows, vm, t - sampling, t))
        if tick % samples == 0:
            regions.aggregate()
            found[t] = sum(r["size"] for r in regions.all if r["last"])
            merged = len(regions.all)
            regions.split()
            numbers.append((t, merged, len(regions.all), sum(r["age"] * r["size"] for r in regions.all) / size))
        regions.pick()
    return told(rows, window, every, found), numbers
