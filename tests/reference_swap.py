"""A slow, readable twin of swapping: one LRU pool of pages, and the tiers that take what is paged out.

It shares no code with ``tracekit.modules``. A row is ``(t, kind, vm, ppn, …)``: ("access", vm, ppn) or
("content", vm, ppn, digest, compressed). A page whose content was not told compresses to 32 bytes.
"""

from collections import Counter, OrderedDict
from math import ceil

PAGE = 4096
ZERO_DIGEST = 0x93D76FE148C689BA


def classes(chain):
    """Zsmalloc's size classes from the smallest: (bytes of an object, frames of a zspage, objects of a zspage)."""
    found = []
    for size in range(PAGE, 31, -16):
        frames = min(range(1, chain + 1), key=lambda n: (n * PAGE % size, n))
        if not found or found[-1][1:] != (frames, frames * PAGE // size):
            found.append((size, frames, frames * PAGE // size))
    return found[::-1]


class Swap:
    """Replays rows with ``frames`` machine pages. ``limit`` and ``accept`` are frames, ``remote`` and ``disk`` pages, times ns."""

    def __init__(self, frames, limit=0, accept=0, largest=4095, remote=0, disk=10**9, start=100, margin=5, tick=10**8, batch=8192, chain=8):
        self.frames, self.limit, self.accept, self.largest = frames, limit, accept, largest
        self.room = {"remote": remote, "disk": disk}
        self.start, self.margin, self.tick, self.batch = start, margin, tick, batch
        self.classes = classes(chain)
        self.resident = OrderedDict()  # the least recently used first
        self.size = {}
        self.where = OrderedDict()  # page → (tier, size in the pool), the first stored first
        self.count = Counter()
        self.reclaiming = False

    def run(self, rows, end):
        """Replay rows; the clock ticks up to ``end``, before the rows of its time."""
        now = rows[0][0]
        for t, kind, vm, ppn, *more in [*rows, (end + 1, "end", None, None)]:
            while self.start < 100 and now + self.tick <= min(t, end):
                now += self.tick
                self.look()
            if kind == "access":
                self.access((vm, ppn))
            elif kind == "content":
                digest, compressed = more
                self.size[vm, ppn] = "zero" if digest == ZERO_DIGEST else compressed
        return self

    def free(self):
        return self.frames - len(self.resident) - self.pool()

    def pool(self):
        """Frames of the pool: what the objects of each class take, side by side."""
        objects = Counter(self.class_of(size) for tier, size in self.where.values() if tier == "compressed")
        total = 0
        for (size, frames, fit), n in objects.items():
            total += n // fit * frames + ceil(n % fit * size / PAGE)
        return total

    def class_of(self, size):
        return next(c for c in self.classes if c[0] >= min(size + 8, PAGE))

    def access(self, page):
        self.count["accesses"] += 1
        if page in self.resident:
            self.resident.move_to_end(page)
            return
        if page in self.where:
            self.count["from_" + self.where.pop(page)[0]] += 1
        while self.free() == 0:
            self.page_out(waited=1)
        self.resident[page] = None

    def look(self):
        if self.free() < self.frames * (100 - self.start) / 100:
            self.reclaiming = True
        goal = ceil(self.frames * (100 - self.start + self.margin) / 100)
        for _ in range(self.batch if self.reclaiming else 0):
            if self.resident and self.free() < goal:
                self.page_out(waited=0)
        self.reclaiming = self.reclaiming and self.free() < goal

    def page_out(self, waited):
        page, _ = self.resident.popitem(last=False)
        tier = self.tier_for(page)
        self.count["to_" + tier] += 1
        self.count["waited"] += waited

    def tier_for(self, page):
        size = self.size.get(page, 32)
        if size == "zero":
            self.where[page] = "zero", 0
            return "zero"
        if size > self.largest:
            self.count["incompressible"] += 1
            return self.send_on(page)
        self.where[page] = "compressed", size
        if self.pool() <= self.limit:
            self.count["unknown"] += page not in self.size
            return "compressed"
        del self.where[page]
        self.count["full"] += 1
        while self.pool() > self.accept:
            oldest = next(page for page, (tier, _) in self.where.items() if tier == "compressed")
            self.count["written_back"] += 1
            self.send_on(oldest)
        return self.send_on(page)

    def send_on(self, page):
        tier = "remote" if self.held("remote") < self.room["remote"] else "disk"
        self.count["over"] += tier == "disk" and self.held("disk") >= self.room["disk"]
        self.where[page] = tier, 0
        return tier

    def held(self, tier):
        return sum(1 for name, _ in self.where.values() if name == tier)

    def table(self):
        """The host's row of the table swap."""
        tiers = ("zero", "compressed", "remote", "disk")
        row = {tier: self.held(tier) for tier in tiers}
        row |= {f"{way}_{tier}": self.count[f"{way}_{tier}"] for way in ("to", "from") for tier in tiers}
        row |= {name: self.count[name] for name in ("incompressible", "full", "written_back", "unknown", "over", "waited")}
        sizes = [size for tier, size in self.where.values() if tier == "compressed"]
        return row | {"pool": self.pool(), "compressed_bytes": sum(sizes)}
