"""A slow, readable twin of remapping: zones, bounce buffers, the pool, policies and eviction, in dicts and lists.

It shares no code with ``tracekit.modules.remapping``. Rows are those of ``reference``; an event row ``{"kind": "event", "what":
"mark"}`` begins the VM's next phase.
"""

from collections import Counter, defaultdict
from itertools import pairwise

PAGE, SLOT, SET = 4096, 2048, 128
INFINITY = float("inf")
COSTS = {"bounce": 200_000, "byte": 100, "move": 3_000_000 + PAGE * 100, "mapping": 1_000_000}  # ps, the defaults


class Remapper:
    """Replays transfers. ``policy`` names a module; ``low`` is in pages, ``pool`` in slots, times in ns."""

    def __init__(self, vms, rows, policy="hot", threshold=8, low=1 << 20, evict="none", stay=0, half_life=10**10, window=10**9,
                 pool=32768, hold=200_000, place=None):  # fmt: skip
        self.rows, self.policy, self.threshold, self.evict = rows, policy, threshold, evict
        self.stay, self.half_life, self.window = stay, half_life, window
        self.vms, self.place = list(vms), place or {}
        masks = {row["dma_mask"] for row in rows if row["kind"] == "io"}
        self.ends = [*sorted({self.reach(mask) for mask in masks} - {0}), INFINITY]
        edges = [0, *self.ends]
        self.free = [max(0, min(low, end) - min(low, first)) for first, end in pairwise(edges)]
        if policy == "clairvoyant":
            self.free = [INFINITY] + [0] * len(self.ends)
        self.moved = {}  # page → zone
        self.used, self.since = {}, {}  # page → t; ``used`` in order of use
        self.copies, self.paid, self.been = Counter(), Counter(), set()
        self.decayed, self.windowed = {}, {}
        self.phase, self.table = Counter(), defaultdict(Counter)
        self.slots, self.next, self.held, self.peak, self.hold = [False] * pool, 0, [], 0, hold
        self.before, self.segment = None, None
        self.gains = self.look_ahead(rows)

    def reach(self, mask):
        """Whole pages whose last byte a device reaches."""
        return (mask + 1) // PAGE

    def home(self, page):
        """The zone that a page lies in at first."""
        machine_page = page[1] + self.place.get(page[0], 0)
        return next(zone for zone, end in enumerate(self.ends) if machine_page < end)

    def within(self, mask):
        return sum(end * PAGE - 1 <= mask for end in self.ends)

    def look_ahead(self, rows):
        """What all unforced copies of each page would cost, less moving it once."""
        gains = Counter()
        for row in rows:
            if row["kind"] == "io" and row["ppn"] is not None and not row["forced"]:
                page = row["vm"], row["ppn"]
                if self.home(page) >= self.within(row["dma_mask"]):
                    gains[page] += self.price(row)
        gains = Counter({page: gain - COSTS["move"] for page, gain in gains.items()})
        chosen = sorted((page for page in gains if gains[page] > 0), key=lambda page: (-gains[page], self.vms.index(page[0]), page[1]))
        return set(chosen) if self.policy == "clairvoyant" else set(chosen[: sum(self.free)])

    def price(self, row):
        return COSTS["bounce"] + self.copied(row) * COSTS["byte"]

    def copied(self, row):
        return row["bytes"] * (2 if row["to_device"] is None else 1)

    def run(self):
        for row in self.rows:
            if row["kind"] == "event":
                self.phase[row["vm"]] += row["what"] == "mark"
            else:
                self.transfer(row)
        self.end_segment()
        for count in self.table.values():
            copied = count["copied_bytes"]
            moves = (count["remapped"] + count["evicted"]) * COSTS["move"]
            mappings = count["mappings"] * COSTS["mapping"] * (self.policy == "iommu")
            count["cost"] = (count["bounced"] * COSTS["bounce"] + copied * COSTS["byte"] + moves + mappings) // 1000
        return self

    def transfer(self, row):
        page, t = (row["vm"], row["ppn"]), row.get("t", 0)
        count = self.table[row["vm"], row["device"], self.phase[row["vm"]]]
        within, known = self.within(row["dma_mask"]), row["ppn"] is not None
        movable = known and not row["forced"] and self.policy != "iommu"
        if movable and page in self.moved:
            self.used.pop(page)
            self.used[page] = t
        beyond = movable and self.moved.get(page, self.home(page)) >= within
        if beyond and self.policy in ("clairvoyant", "static") and page in self.gains:
            self.move(page, t, within, count)
            beyond = False
        self.account(row, beyond, count)
        if beyond and self.hot(row, page, t):
            self.move(page, t, within, count)

    def account(self, row, beyond, count):
        """Count a row, and the segment and mapping that it belongs to."""
        known, copied = row["ppn"] is not None, self.copied(row)
        into = row["bytes"] if row["to_device"] is not False else 0
        mapping = row.get("t", 0), row["vm"], row["device"], row["to_device"]
        if self.before is None or self.before[0] != mapping:
            count["mappings"] += 1
        at_home = known and self.home((row["vm"], row["ppn"])) >= self.within(row["dma_mask"])
        count.update({"transfers": 1, "bytes": row["bytes"], "unknown": not known, "unknown_bytes": 0 if known else row["bytes"]})
        if row["forced"] or at_home:
            count.update({"baseline": 1, "baseline_bytes": copied})
        if row["forced"] or beyond:
            count.update({"bounced": 1, "copied_in_bytes": into, "copied_out_bytes": copied - into, "copied_bytes": copied})
            if row["forced"]:
                count.update({"forced": 1, "forced_bytes": copied})
            follows = self.segment and known and self.before == (mapping, row["ppn"] - 1)
            if not follows or self.segment[1] + row["bytes"] > SLOT * SET:
                self.end_segment()
                count["segments"] += 1
                self.segment = [row.get("t", 0), 0, count]
            self.segment[1] += row["bytes"]
        else:
            self.end_segment()
        self.before = mapping, row["ppn"]

    def hot(self, row, page, t):
        times = 2 if row["to_device"] is None else 1
        self.copies[page] += times
        if self.policy == "hot":
            return self.copies[page] > self.threshold
        if self.policy == "break-even":
            self.paid[page] += self.price(row)
            due = self.paid[page] >= COSTS["move"]
            self.paid[page] *= not due
            return due
        if self.policy == "decay":
            step = t // self.half_life
            weight, at = self.decayed.get(page, (0, step))
            weight = int(weight / 2 ** (step - at)) + times * 65536
            self.decayed[page] = weight, step
            return weight > self.threshold * 65536
        if self.policy == "window":
            step = t // self.window
            counts = self.windowed.setdefault(page, Counter())
            counts[step] += times
            return counts[step] + counts[step - 1] * ((step + 1) * self.window - t) // self.window > self.threshold
        return self.policy == "remap-all"

    def move(self, page, t, within, count):
        """Move a page into reach; the least recently used one that has stayed long enough makes room."""
        if not any(self.free[:within]):
            leaving = next((p for p in self.used if self.moved[p] < within and t - self.since[p] >= self.stay), None)
            if self.evict == "none" or leaving is None:
                return
            self.free[self.moved.pop(leaving)] += 1
            del self.used[leaving]
            self.copies[leaving] = 0
            count["evicted"] += 1
        if page in self.moved:
            self.free[self.moved.pop(page)] += 1
            del self.used[page]
        zone = max(z for z in range(within) if self.free[z])
        self.free[zone] -= 1
        self.moved[page], self.since[page], self.used[page] = zone, t, t
        self.copies[page] = 0
        count.update({"remapped": 1, "again": page in self.been})
        self.been.add(page)

    def end_segment(self):
        """Find adjacent free slots within one set, from where the last search ended."""
        if not self.segment:
            return
        t, size, count = self.segment
        self.segment = None
        for first, slots, until in [held for held in self.held if held[2] <= t]:
            self.slots[first : first + slots] = [False] * slots
            self.held.remove((first, slots, until))
        slots = -(-size // SLOT)
        step, total = (1 if slots == 1 else 2), len(self.slots)
        begin = self.next // step * step
        for i in ((begin + k) % total for k in range(0, total, step)):
            if i // SET == (i + slots - 1) // SET and not any(self.slots[i : i + slots]):
                self.slots[i : i + slots] = [True] * slots
                self.held.append((i, slots, t + self.hold))
                self.next = (i + slots) % total
                self.peak = max(self.peak, sum(held[1] for held in self.held))
                return
        count.update({"exhausted": 1, "exhausted_bytes": size})
