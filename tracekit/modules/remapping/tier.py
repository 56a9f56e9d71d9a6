"""Memory tiers: which pages lie in near memory and which in far memory, and what that costs.

The question of hot page remapping on today's machines: memory that some can reach only slowly (CXL, another node) in place
of memory that some cannot reach. A policy decides which pages move. Where pages lie, which tier serves each access and
what moving costs is counted here, so that policies can be compared.

A trace's row stands for at least one access in its bucket; ``count`` says how many where the trace has it. So averages are
over touches of pages, and pages that are touched much within a bucket weigh less than in truth.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import Duration, Module, NoState, Out, Site, Size, pages_of, param
from tracekit.schema import TIERS
from tracekit.units import PAGE_BYTES

# Where a page lies.
NOWHERE, NEAR, FAR = np.uint8(0), np.uint8(1), np.uint8(2)

#: Counters of ``Tiers.tally`` by VM.
COUNTS = ("near", "far", "promoted", "demoted", "faults", "samples")
SERVED_NEAR, SERVED_FAR, PROMOTED, DEMOTED, FAULTS, SAMPLES = range(len(COUNTS))


class Tiers(NamedTuple):
    """Where pages lie, and what was counted."""

    where: np.ndarray  # uint8 by page: NOWHERE before its first access, NEAR or FAR
    used: np.ndarray  # bool by page: the accessed bit of the page table
    vm: np.ndarray  # uint16 by page
    free: np.ndarray  # int64, one: free pages of near memory
    hand: np.ndarray  # int64, one: where the search for cold pages stands
    tally: np.ndarray  # int64 (vm, count)


class Tier(Module):
    """A tiering policy. Subclasses may give hooks with ``@staticmethod @jit``:

    - ``place(s, page) -> bool``: whether a page goes to near memory at its first access, if there is room;
    - ``used(s, b, page, …)``: an access was served; it may also name ``t``, ``vm``, ``write``, ``count`` and ``was`` (the tier
      that served it), and calls ``promote(b, page)`` and ``demote(b, page)`` for pages that move. ``b`` is ``Tiers``.
    """

    family = "tier"
    needs = frozenset({"access"})
    tables = (TIERS,)
    #: Moving costs nothing: a bound.
    free_moves: ClassVar[bool] = False

    @dataclass(frozen=True)
    class Params:
        near: Size = param(Size(0), "near memory; 0: half of what the VMs have", "byte", low=0, high=1 << 44)
        near_latency: Duration = param(Duration(100), "an access served by near memory", "ns", low=1, high=10**6)
        far_latency: Duration = param(Duration(250), "an access served by far memory", "ns", low=1, high=10**6)
        move: Duration = param(Duration(3000), "cost of moving a page, besides the copy", "ns", low=0, high=10**9)
        bandwidth: Size = param(Size(10**10), "speed of copying a page from tier to tier", "byte/s", low=10**6, high=10**12)
        weight: int = param(1, "accesses to memory that a row stands for, against which moves are weighed", low=1, high=10**6)

    @staticmethod
    @jit
    def place(s, page):
        return True

    used: ClassVar[Any]

    def state(self, site: Site) -> Any:
        """The policy's arrays, as a NamedTuple."""
        return NoState(np.zeros(1, np.int64))

    def setup(self, site: Site) -> Any:
        self.site = site
        pages = site.trace.pages
        self.capacity = min(pages_of(self.params.near) or max(1, pages // 2), pages)
        self.tiers = Tiers(
            where=np.zeros(pages, np.uint8),
            used=np.zeros(pages, np.bool_),
            vm=site.host.page_vm,
            free=np.array([self.capacity], np.int64),
            hand=np.zeros(1, np.int64),
            tally=np.zeros((len(site.trace.vms), len(COUNTS)), np.int64),
        )
        return self.state(site)

    def further_states(self) -> Mapping[str, Any]:
        return {"tiers": self.tiers}

    def fault_cost(self) -> int:
        """What finding out about an access costs, in ns: a hint fault."""
        return 0

    def move_cost(self) -> float:
        """What moving a page costs, in ns."""
        return self.params.move + PAGE_BYTES * 1e9 / self.params.bandwidth

    def cost(self, of: Mapping[str, int]) -> int:
        """What these counts have cost, in ns."""
        p, moves = self.params, (of["promoted"] + of["demoted"]) * self.move_cost()
        near, far = p.near_latency * p.weight, p.far_latency * p.weight
        if self.free_moves:  # each far access may be had for one move instead, and no move costs more
            far, moves = min(far, near + self.move_cost()), 0
        return round(of["near"] * near + of["far"] * far + moves + of["faults"] * self.fault_cost())

    def report(self, now: int, out: Out) -> None:
        p, first = self.params, self.site.host.vm.first
        near, far = (np.add.reduceat((self.tiers.where == tier).astype(np.int64), first) for tier in (NEAR, FAR))
        for i, vm in enumerate(self.site.trace.vms):
            of: dict[str, int] = dict(zip(COUNTS, map(int, self.tiers.tally[i]), strict=True))
            accesses = of["near"] + of["far"]
            latency = (of["near"] * p.near_latency + of["far"] * p.far_latency) / accesses if accesses else None
            charged = self.cost(of) / (accesses * p.weight) if accesses else None
            moved = (of["promoted"] + of["demoted"]) * PAGE_BYTES
            pages = {"near_pages": int(near[i]), "far_pages": int(far[i])}
            out.row("tiers", now, vm.name, **of, **pages, migrated_bytes=moved, amat=latency, amat_moved=charged, cost=self.cost(of))


# Kernels on the tiers ``b``, called by the driver and by policies:


@jit
def serve(b, page, near, count):
    """Count an access and return the tier that serves it; ``near``: a page that lies nowhere yet may go to near memory."""
    if b.where[page] == NOWHERE:
        if near and b.free[0] > 0:
            b.free[0] -= 1
            b.where[page] = NEAR
        else:
            b.where[page] = FAR
    b.used[page] = True
    b.tally[b.vm[page], SERVED_NEAR if b.where[page] == NEAR else SERVED_FAR] += max(np.int64(count), 1)
    return b.where[page]


@jit
def promote(b, page):
    """Move a far page to near memory, which must have room."""
    b.where[page] = NEAR
    b.free[0] -= 1
    b.tally[b.vm[page], PROMOTED] += 1


@jit
def demote(b, page):
    """Move a near page to far memory."""
    b.where[page] = FAR
    b.free[0] += 1
    b.tally[b.vm[page], DEMOTED] += 1


@jit
def demote_unused(b, wanted):
    """Demote near pages that were not used since the hand last passed them, until ``wanted`` pages are free (CLOCK)."""
    for _ in range(2 * b.where.size):
        if b.free[0] >= wanted:
            return
        page = b.hand[0]
        b.hand[0] = (page + 1) % b.where.size
        if b.where[page] == NEAR:
            if b.used[page]:
                b.used[page] = False
            else:
                demote(b, page)
