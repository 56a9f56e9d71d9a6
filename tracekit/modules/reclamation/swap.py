"""Swap: where the pages go that the host pages out, when it begins, and what it costs to have them back.

The replacement policy answers *which page*, and counts as before; a swap module answers *where to*: into remote memory
while there is room, else on disk; ``zswap`` has a compressed pool before them. It may also page out ahead of need, by the
same policy's choice: from a fill of memory on, on a clock as Linux's kswapd does, rather than when no frame is left.
Counts are the kernels'; times are made of counts and stated costs, when rows of the table are written.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tracekit.errors import ScenarioError
from tracekit.host import NONE, SWAPPED
from tracekit.kernel import jit
from tracekit.module import Duration, Module, Out, Site, Size, pages_of, param
from tracekit.modules.machine import defaults
from tracekit.schema import SWAP
from tracekit.units import PAGE_BYTES

#: Where a page can be that is paged out, by number; 0 is nowhere.
TIERS = ("zero", "compressed", "remote", "disk")
ZERO, COMPRESSED, REMOTE, DISK = range(1, 5)
#: What is counted by VM and tier: pages there now, page-outs to it, page-ins from it, page-outs to it that a fault waited for.
PAGES, STORES, LOADS, WAITS = range(4)
_ENDLESS = 1 << 62


class Tiers(NamedTuple):
    """Where swapped pages are."""

    tier: np.ndarray  # uint8 by page
    tally: np.ndarray  # int64 (vm, 4 counts, tier)
    room: np.ndarray  # int64 by tier: pages that it can still take
    over: np.ndarray  # int64 by VM: pages put on disk though it was full


@jit
def send_on(t, vm, page):
    """Put a page into remote memory while there is room, else on disk. Returns the tier."""
    tier = REMOTE
    if t.room[REMOTE] <= 0:
        tier = DISK
        if t.room[DISK] <= 0:
            t.over[vm] += 1
    t.room[tier] -= 1
    put(t, vm, page, tier)
    return tier


@jit
def put(t, vm, page, tier):
    """A page is in a tier from here on."""
    t.tier[page] = tier
    t.tally[vm, PAGES, tier] += 1


@jit
def take_back(t, vm, page):
    """A page is in no tier any more."""
    tier = t.tier[page]
    t.tier[page] = 0
    t.tally[vm, PAGES, tier] -= 1
    t.room[tier] += 1


@jit
def count_store(t, h, vm, tier, incoming):
    """Count a page-out, and for the VM whose fault waits for it the wait."""
    t.tally[vm, STORES, tier] += 1
    if incoming != NONE:
        t.tally[h.page_vm[incoming], WAITS, tier] += 1


class Swap(Module):
    """What all swap modules have in common. Subclasses give three hooks, all with ``@staticmethod @jit``:

    - ``store(s, h, page, incoming)``: a page was paged out; ``incoming`` is the page whose fault waits for it, or NONE;
    - ``load(s, h, page)``: a page is paged in;
    - ``drop(s, h, page)``: a page that was paged out is not needed any more.
    """

    family = "swap"
    needs = frozenset({"access"})
    tables = (SWAP,)

    @dataclass(frozen=True)
    class Params:
        start: float = param(
            100.0, "used part of memory above which cold pages are paged out ahead of need; 100: not before memory is full", "%", 0.0, 100.0
        )
        margin: float = param(5.0, "how far below start it brings memory before it rests", "%", low=0.0, high=100.0)
        tick: Duration = param(Duration(10**8), "how often it looks", "ns", low=10**6)
        batch: int = param(8192, "most pages that it pages out at a time", "page", low=1, high=1 << 30)
        local: Duration = param(Duration(100), "one access to local memory", "ns", low=1)
        fault: Duration = param(Duration(2000), "a fault that the host handles, without what it waits for", "ns", low=0)
        page_in: Duration = param(Duration(100_000), "reading a page from disk (flash: 80 to 100 µs)", "ns", low=0)
        page_out: Duration = param(Duration(20_000), "writing a page to disk, where a fault waits for it (flash: about 20 µs)", "ns", low=0)

    store: ClassVar[Any]
    load: ClassVar[Any]
    drop: ClassVar[Any]

    def __init__(self, params: Any):
        super().__init__(params)
        if params.margin > params.start:
            raise ScenarioError(f"swap.margin = {params.margin:g} is more than swap.start = {params.start:g}: memory cannot be that empty")

    def setup(self, site: Site) -> Any:
        self.site = site
        self._reclaiming = False
        room = np.zeros(1 + len(TIERS), np.int64)
        room[REMOTE] = pages_of(self.remote)
        disk = int(site.vm_options["swap"][0])
        room[DISK] = disk if disk >= 0 else _ENDLESS
        vms = len(site.host.vm)
        self._room = room.copy()
        self.tiers = Tiers(np.zeros(len(site.host.flags), np.uint8), np.zeros((vms, 4, len(room)), np.int64), room, np.zeros(vms, np.int64))
        return self.state(site)

    def state(self, site: Site) -> Any:
        """The arrays that the hooks take."""
        return self.tiers

    @property
    def remote(self) -> int:
        """Bytes of remote memory."""
        return getattr(self.params, "remote", 0)

    # when

    def start(self, kernels: ModuleType, states: Mapping[str, Any]) -> None:
        self._reclaim = lambda goal, count: kernels.reclaim(states["host"], states["paging"], goal, count)
        if self.clocks():
            self._reclaim(0, 0)  # compiles it

    def clocks(self) -> Mapping[str, int]:
        names_victims = type(self.site.stages["paging"]).victim is not defaults.victim  # pyright: ignore[reportAttributeAccessIssue]
        return {"reclaim": self.params.tick} if names_victims and self.params.start < 100 else {}

    def control(self, now: int, due: Collection[str], out: Out) -> None:
        """Page out cold pages once memory is fuller than ``start``, until it is emptier by ``margin``."""
        p, host, spare = self.params, self.site.host, self.site.usable - self.site.frames
        self._reclaiming |= int(host.free[0]) + spare < self.site.usable * (100 - p.start) / 100
        if self._reclaiming:
            goal = int(np.ceil(self.site.usable * (100 - p.start + p.margin) / 100)) - spare
            self._reclaim(goal, p.batch)
            self._reclaiming = int(host.free[0]) < goal

    # what it costs

    def costs(self) -> tuple[np.ndarray, np.ndarray]:
        """ns of a page-in from each tier, and of a page-out to each that a fault waits for."""
        p = self.params
        ins, outs = np.zeros((2, 1 + len(TIERS)))
        ins[DISK], outs[DISK] = p.page_in, p.page_out
        if self.remote:
            ins[REMOTE] = outs[REMOTE] = p.ratio * p.copy
        ins[1:] += p.fault
        return ins, outs

    def waits(self, outs: np.ndarray) -> np.ndarray:
        """ns by VM that its faults waited for page-outs."""
        return self.tiers.tally[:, WAITS] @ outs

    def pool(self) -> dict[str, np.ndarray]:
        """Columns by VM that only a compressed pool has, besides those of its tiers."""
        nothing = np.zeros(len(self.site.host.vm), np.int64)
        return dict.fromkeys(("compressed_bytes", "incompressible", "full", "written_back", "unknown"), nothing)

    def report(self, now: int, out: Out) -> None:
        host, tally = self.site.host, self.tiers.tally
        ins, outs = self.costs()
        columns: dict[str, np.ndarray] = {}
        for count, name in ((PAGES, "{}"), (STORES, "to_{}"), (LOADS, "from_{}")):
            columns |= {name.format(tier): tally[:, count, i] for i, tier in enumerate(TIERS, 1)}
        columns |= {"waited": tally[:, WAITS].sum(1), "over": self.tiers.over, **self.pool()}
        times = {"load_ns": tally[:, LOADS] @ ins, "wait_ns": self.waits(outs)}
        for i, vm in enumerate([*self.site.trace.vms, None]):
            one = slice(i, i + 1) if vm else slice(None)
            row: dict[str, float | None] = {name: int(column[one].sum()) for name, column in columns.items()}
            row |= {name: float(column[one].sum()) for name, column in times.items()}
            size, accesses = int(columns["compressed_bytes"][one].sum()), int(host.vm.accesses[one].sum())
            stall = float(sum(column[one].sum() for column in times.values()))
            row["ratio"] = int(columns["compressed"][one].sum()) * PAGE_BYTES / size if size else None
            row["access_ns"] = self.params.local + stall / accesses if accesses else None
            out.row("swap", now, vm.name if vm else "*", pool=None if vm else int(host.held[0]), **row)

    def audit(self) -> None:
        host, t = self.site.host, self.tiers
        assert ((t.tier > 0) == ((host.flags & SWAPPED) > 0)).all(), "a page in a tier is not swapped, or a swapped one in none"
        for tier in range(1, 1 + len(TIERS)):
            counted = np.bincount(host.page_vm[t.tier == tier], minlength=len(host.vm))
            assert (t.tally[:, PAGES, tier] == counted).all(), f"pages in the tier {TIERS[tier - 1]}: the books differ from a count"
            if tier in (REMOTE, DISK):
                assert t.room[tier] == self._room[tier] - counted.sum(), (
                    f"room in the tier {TIERS[tier - 1]}: the books differ from a count"
                )
        assert t.room[REMOTE] >= 0, "remote memory holds more than it can"


class Disk(Swap):
    """Every page goes to disk. ``host.swap`` limits it; what is put there beyond that is counted as over."""

    name = "disk"

    @staticmethod
    @jit
    def store(s, h, page, incoming):
        vm = h.page_vm[page]
        count_store(s, h, vm, send_on(s, vm, page), incoming)

    @staticmethod
    @jit
    def load(s, h, page):
        vm = h.page_vm[page]
        s.tally[vm, LOADS, s.tier[page]] += 1
        take_back(s, vm, page)

    @staticmethod
    @jit
    def drop(s, h, page):
        if s.tier[page] > 0:
            take_back(s, h.page_vm[page], page)


class Remote(Disk):
    """Pages go to remote memory or CXL while it has room, by copying at a fault; then to disk. What is there stays until used."""

    name = "remote"

    @dataclass(frozen=True)
    class Params(Swap.Params):
        remote: Size = param(Size(1 << 40), "remote memory", "byte", low=0, high=1 << 50)
        ratio: float = param(3.0, "latency of remote memory over that of local memory; CXL has about 2 to 3", low=1.0, high=1e6)
        copy: Duration = param(Duration(500), "copying a page within local memory (8 GB/s)", "ns", low=0)
