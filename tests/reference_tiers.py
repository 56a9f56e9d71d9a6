"""A slow, readable twin of the tiers: where pages lie, who serves each access, and what every policy moves.

It shares no code with ``tracekit.modules.remapping``. A row is a dict with vm, ppn, t, write and count.
"""

from collections import Counter, defaultdict

PAGE = 4096


class Tiered:
    """Replays accesses. ``near`` is in pages, times in ns, rates in pages a period."""

    def __init__(self, vms, rows, policy, near, **given):
        self.sizes, self.rows, self.policy, self.capacity = vms, rows, policy, near
        self.of = {"sample": 3, "hot_reads": 2, "hot_writes": 1, "cool": 4, "rate": 1, "period": 10**9, "recent": 10**9,
                   "scan_period": 10**9, "scan_pages": 4, "below": 1, "upto": 1} | given  # fmt: skip
        self.pages = [(vm, ppn) for vm, size in vms.items() for ppn in range(size)]
        self.near, self.far = set(), set()
        self.count = defaultdict(Counter)
        self.used, self.hand = set(), 0
        self.unmapped, self.faulted, self.scan_hand, self.budget = {}, {}, Counter(), self.of["rate"]
        self.reads, self.writes, self.coolings, self.since, self.sampled = Counter(), Counter(), 0, 0, 0
        self.moves = {}
        self.latencies = []
        weight = Counter()
        for row in rows:
            weight[row["vm"], row["ppn"]] += max(row["count"], 1)
        self.best = set(sorted(self.pages, key=lambda page: (-weight[page], self.pages.index(page)))[:near])
        self.uses = defaultdict(list)
        for number, row in enumerate(rows):
            self.uses[row["vm"], row["ppn"]].append(number)

    def run(self, first_t):
        tick = first_t + self.of["scan_period"]
        for number, row in enumerate(self.rows):
            while tick <= row["t"] and self.policy in ("autonuma", "tpp"):
                self.scan(tick)
                tick += self.of["scan_period"]
            self.access((row["vm"], row["ppn"]), row, number)
        return self

    def access(self, page, row, number):
        n, new = max(row["count"], 1), page not in self.near | self.far
        if new:
            wanted = self.policy != "static" or page in self.best
            (self.near if wanted and len(self.near) < self.capacity else self.far).add(page)
        self.used.add(page)
        far = 0 if page in self.near else n
        if self.policy == "clairvoyant":
            far = self.foresee(page, number, new)
        self.count[page[0]].update({"near": n - far, "far": far})
        self.latencies += [100] * (n - far) + [250] * far
        if self.policy in ("autonuma", "tpp"):
            self.hint(page, row["t"])
        if self.policy in ("hemem", "memtis"):
            self.sample(page, row, n)

    def move(self, page, to_near):
        (self.far if to_near else self.near).remove(page)
        (self.near if to_near else self.far).add(page)
        self.count[page[0]]["promoted" if to_near else "demoted"] += 1

    # knowing the future

    def foresee(self, page, number, new):
        """Keep the pages that are used soonest; returns the accesses that must be far."""

        def due(p):
            """When a page is used next; pages never used again go by number, the last ones first."""
            ahead = [use for use in self.uses[p] if use > number]
            return ahead[0] if ahead else len(self.rows) + self.pages.index(p)

        if page in self.near:
            return 0
        furthest = max(self.near, key=due)
        if due(furthest) > due(page):
            self.move(furthest, False)
            self.move(page, True)
        return 0 if new else 1

    # hint faults

    def scan(self, now):
        """Unmap each VM's next pages, if they are far."""
        for vm, size in self.sizes.items():
            for k in range(min(self.of["scan_pages"], size)):
                page = vm, (self.scan_hand[vm] + k) % size
                if page in self.far:
                    self.unmapped[page] = now
            self.scan_hand[vm] = (self.scan_hand[vm] + self.of["scan_pages"]) % size
        self.budget = self.of["rate"]

    def hint(self, page, t):
        if page in self.far and page in self.unmapped:
            self.count[page[0]]["faults"] += 1
            since = self.unmapped[page] if self.policy == "autonuma" else self.faulted.get(page, -(10**18))
            if t - since <= self.of["recent"] and len(self.near) < self.capacity and self.budget:
                self.budget -= 1
                self.move(page, True)
            self.faulted[page] = t
        self.unmapped.pop(page, None)
        if self.capacity - len(self.near) < self.of["below"]:
            for _ in range(2 * len(self.pages)):
                if self.capacity - len(self.near) >= self.of["upto"]:
                    break
                cold = self.pages[self.hand]
                self.hand = (self.hand + 1) % len(self.pages)
                if cold in self.near and cold not in self.used:
                    self.move(cold, False)
                elif cold in self.near:
                    self.used.discard(cold)

    # sampling

    def sample(self, page, row, n):
        self.since += n
        if self.since < self.of["sample"]:
            return
        self.since %= self.of["sample"]
        self.count[page[0]]["samples"] += 1
        counts = self.writes if row["write"] and self.policy == "hemem" else self.reads
        counts[page] += 1
        self.sampled += 1
        if self.reads[page] + self.writes[page] >= self.of["cool"] if self.policy == "hemem" else self.sampled >= self.of["cool"]:
            self.sampled = 0
            for kept in (self.reads, self.writes):
                for p in kept:
                    kept[p] //= 2
        if page in self.far and self.is_hot(page) and self.may_move(row["t"]):
            if len(self.near) == self.capacity:
                self.make_room()
            if len(self.near) < self.capacity:
                self.moves[row["t"] // self.of["period"]] += 1
                self.move(page, True)

    def is_hot(self, page):
        if self.policy == "hemem":
            return self.reads[page] >= self.of["hot_reads"] or self.writes[page] >= self.of["hot_writes"]
        threshold = next(bits for bits in range(1, 65) if sum(n.bit_length() >= bits for n in self.reads.values()) <= self.capacity)
        return self.reads[page].bit_length() >= threshold

    def may_move(self, t):
        return self.moves.setdefault(t // self.of["period"], 0) < self.of["rate"]

    def make_room(self):
        """Demote the next near page that is not hot."""
        for _ in self.pages:
            page = self.pages[self.hand]
            self.hand = (self.hand + 1) % len(self.pages)
            if page in self.near and not self.is_hot(page):
                self.move(page, False)
                return
