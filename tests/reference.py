"""A slow, readable twin of the machine: what the compiled kernels must do, in dicts, sets and lists.

It shares no code with ``tracekit.modules``. A trace is a list of rows, in replay order:

    {"kind": "content", "vm": "a", "ppn": 0, "digest": 7}
    {"kind": "access", "vm": "a", "ppn": 0, "write": True}
    {"kind": "io", "vm": "a", "ppn": None, "device": "nic", "to_device": True, "bytes": 64, "dma_mask": 2**32 - 1, "forced": False}

and optionally ``t`` (by default all rows have one t, so that only their order tells them apart). A page is (index of its VM, PPN).
"""

from collections import Counter, OrderedDict, defaultdict
from pathlib import Path

import make_trace
import numpy as np

INFINITY = float("inf")
PAGE = 4096


class Frame:
    """A machine page: the guest pages that map it, and whether several ever did."""

    def __init__(self):
        self.pages = set()
        self.shared = False  # copy-on-write


class Machine:
    """Replays accesses and contents. ``policy`` is lru, fifo, optimal or unbounded; ``sharing`` everything, never or None."""

    def __init__(self, vms, rows, frames=None, policy="unbounded", sharing=None, zero=0):
        self.names, self.sizes, self.rows = list(vms), list(vms.values()), rows
        self.policy, self.sharing, self.zero = policy, sharing, zero
        total = sum(self.sizes)
        self.free = total if policy == "unbounded" else min(frames, total)
        with_accesses = any(row["kind"] == "access" for row in rows)
        self.populates = policy == "unbounded" or not with_accesses
        self.frame, self.digest = {}, {}
        self.listed = {}  # digest → the one frame that is known to hold it
        self.pool = OrderedDict()  # pages that alone map their frame, the next FIFO or LRU victim first
        self.touched, self.swapped = set(), set()
        self.hand = 0
        self.count = Counter()  # (counter, index of the VM) → count
        self.uses = defaultdict(list)  # page → numbers of the accesses to it
        for number, row in enumerate(row for row in rows if row["kind"] == "access"):
            self.uses[self.page_of(row)].append(number)
        self.now = -1  # number of the running access

    def page_of(self, row):
        return self.names.index(row["vm"]), row["ppn"]

    def run(self):
        for row in self.rows:
            page = self.page_of(row)
            if row["kind"] == "access":
                self.now += 1
                self.access(page, row.get("write", False))
            elif row["kind"] == "content" and self.sharing:
                self.content(page, row["digest"])
        return self

    # rows

    def access(self, page, write):
        self.count["accesses", page[0]] += 1
        frame = self.frame.get(page)
        if frame is None:
            self.fault(page)
            self.scan(page)
        elif frame.shared and write:
            self.unshare(page)
            self.scan(page)
        else:
            self.use(page)
        self.count.update(("space", vm) for vm, _ in self.frame)

    def content(self, page, digest):
        new = self.digest.get(page) != digest
        frame = self.frame.get(page)
        if frame is None:
            self.digest[page] = digest
            if not self.populates or page in self.swapped:
                return
            self.touched.add(page)
            self.attach(page)
        else:
            if new and frame.shared:
                self.unshare(page)
            elif new:
                self.delist(self.frame[page])
            self.digest[page] = digest
        if new:
            self.scan(page)

    # what they do

    def fault(self, page):
        kind = "major" if page in self.swapped else "minor" if page in self.touched else "cold"
        self.count[kind, page[0]] += 1
        self.swapped.discard(page)
        self.touched.add(page)
        self.attach(page)

    def unshare(self, page):
        """A page that alone maps a once shared frame keeps it; any other gets a copy: a break."""
        frame = self.frame[page]
        if len(frame.pages) == 1:
            self.delist(frame)
            frame.shared = False
            self.use(page)
            return
        self.detach(page)
        self.attach(page)
        self.count["breaks", page[0]] += 1
        self.count["minor", page[0]] += 1

    def scan(self, page):
        """Share everything at once: move the page to the frame that holds its content, or let its own be that."""
        if self.sharing != "everything" or page not in self.digest:
            return
        self.count["scanned", page[0]] += 1
        frame = self.frame[page]
        known = self.listed.setdefault(self.digest[page], frame)
        if known is not frame:
            for alone in (page, *known.pages) if len(known.pages) == 1 else (page,):
                del self.pool[alone]
            self.detach(page)
            known.shared = True
            known.pages.add(page)
            self.frame[page] = known

    def use(self, page):
        if self.policy == "lru" and page in self.pool:
            self.pool.move_to_end(page)

    # frames

    def attach(self, page):
        while self.free == 0:
            self.page_out(self.victim())
        self.free -= 1
        self.frame[page] = Frame()
        self.frame[page].pages.add(page)
        self.pool[page] = None

    def detach(self, page):
        frame = self.frame.pop(page)
        frame.pages.remove(page)
        self.pool.pop(page, None)
        if not frame.pages:
            self.delist(frame)
            self.free += 1
        elif len(frame.pages) == 1:
            self.pool[next(iter(frame.pages))] = None

    def delist(self, frame):
        for digest in [digest for digest, known in self.listed.items() if known is frame]:
            del self.listed[digest]

    def page_out(self, page):
        self.detach(page)
        self.swapped.add(page)
        self.count["page_outs", page[0]] += 1

    def victim(self):
        if not self.pool:  # every frame is shared: the next resident page by number
            every = [(vm, ppn) for vm, size in enumerate(self.sizes) for ppn in range(size)]
            while every[self.hand] not in self.frame:
                self.hand = (self.hand + 1) % len(every)
            self.hand = (self.hand + 1) % len(every)
            return every[self.hand - 1]
        if self.policy == "optimal":
            return max(self.pool, key=self.next_use)
        return next(iter(self.pool))

    def next_use(self, page):
        return next((number for number in self.uses[page] if number > self.now), INFINITY)

    # tables

    def faults(self):
        """The table faults: VM → counts."""
        names = ("accesses", "cold", "major", "minor", "page_outs")
        time = sum(self.count["accesses", i] for i in range(len(self.names)))
        means = [self.count["space", i] / time if time else None for i in range(len(self.names))]
        return {vm: {name: self.count[name, i] for name in names} | {"mean_resident": means[i]} for i, vm in enumerate(self.names)}

    def misses(self):
        return sum(self.count[name, i] for name in ("cold", "major") for i in range(len(self.names)))

    def savings(self):
        """The table savings: VM or * → counts."""
        table = {vm: Counter() for vm in self.names}
        for pages in {id(frame): frame.pages for frame in self.frame.values()}.values():
            if len(pages) > 1:
                table[self.names[min(pages)[0]]]["reclaimed"] -= 1
                for vm, _ in pages:
                    table[self.names[vm]].update(["shared", "reclaimed"])
        equal = defaultdict(list)
        for page in sorted(self.digest):
            equal[self.digest[page]].append(page)
        for digest, pages in equal.items():
            first = table[self.names[pages[0][0]]]
            first["distinct"] += 1
            first["possible_reclaimed"] -= 1
            for vm, _ in pages:
                counts = ["pages", "possible_reclaimed"] + ["zero"] * (digest == self.zero) + ["possible_shared"] * (len(pages) > 1)
                table[self.names[vm]].update(counts)
        for i, vm in enumerate(self.names):
            table[vm].update({name: self.count[name, i] for name in ("scanned", "breaks")})
        names = ("pages", "shared", "reclaimed", "zero", "distinct", "possible_shared", "possible_reclaimed", "scanned", "breaks")
        whole = {vm: {name: counts[name] for name in names} for vm, counts in table.items()}
        return whole | {"*": {name: sum(counts[name] for counts in whole.values()) for name in names}}


# ------------------------------------------------------------------------------------------------- rows and files


def save(folder, rows, vms):
    """Write rows as trace files of one capture, one a kind; ``seq`` is the number of the row."""
    names = {
        "content": ("digest", *(["block"] if any("block" in row for row in rows) else [])),
        "access": ("write",),
        "io": ("device", "to_device", "bytes", "dma_mask", "forced"),
        "event": ("what", "a", "b"),
    }
    files = []
    for kind, own in names.items():
        mine = [(seq, row) for seq, row in enumerate(rows) if row["kind"] == kind]
        if mine:
            columns = {"t": [row.get("t", 0) for _, row in mine], "seq": [seq for seq, _ in mine], "vm": [row["vm"] for _, row in mine]}
            for name in own if kind == "event" else ("ppn", *own):
                columns[name] = [row.get(name, False if name in ("write", "forced") else 0) for _, row in mine]
                if name in ("digest", "dma_mask"):
                    columns[name] = np.array(columns[name], np.uint64)
            files.append(make_trace.write(Path(folder) / f"test.{kind}.parquet", kind, len(mine), vms, **columns))
    return files


def rows_of(results, table, *keys):
    """Rows of a result table at its last t, by VM (or the columns named), without the key columns."""
    frame = results.table(table).collect()
    frame = frame.filter(frame["t"] == frame["t"].max())
    keys = keys or ("vm",)
    found = {}
    for row in frame.to_dicts():
        key = tuple(row.pop(name) for name in keys)
        found[key if len(key) > 1 else key[0]] = {name: value for name, value in row.items() if name not in ("variant", "trace", "t", "vm")}
    return found


def agree(found, expected):
    """Assert that all expected counts are found: row by row, so that a difference is easy to read."""
    assert found.keys() == expected.keys()
    for key, counts in expected.items():
        assert {name: found[key][name] for name in counts} == counts, key
