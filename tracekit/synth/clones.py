"""Figure 4: identical VMs and what they share (paper section 4.4). ``clones_model`` derives the numbers.

The first snapshot tells every page of every VM, each VM having its pages in its own random order; later ones tell the pages
that changed: a share of those that no other page equals, given contents that are new again, so that sharing stays as it was.
With ``accesses`` the VMs also run between snapshots: they read at random, write exactly the pages that the next snapshot
finds changed, and report their clock (event ``clock``: a = instructions so far, one a ns; b = accesses so far).
Truth: sharing at each snapshot and, for the first, with the first 1, 2, … VMs alone; accesses and writes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.metadata import VmInfo
from tracekit.schema import ZERO_DIGEST
from tracekit.synth.capture import Capture, Plan
from tracekit.synth.clones_model import Mix, savings, solve
from tracekit.synth.draws import Draws, mix
from tracekit.synth.params import count, flag, memory_size, refuse, share, timespan, whole_multiple
from tracekit.units import PAGE_BYTES

NAME = "clones"
SECOND = 10**9


@dataclass(frozen=True)
class Params:
    vms: int = count(10, "identical VMs", low=1, high=1000)
    memory: int = memory_size(40 << 20, "size of each VM", low=4096)
    common: float = share(0.67, "share of a VM's pages that other pages equal, if there are two VMs or more")
    zero: float = share(0.066, "share of a VM's pages that are zero")
    again: float = share(0.035, "share of a VM's pages that are second copies of image pages")
    twins: float = share(0.019, "contents that a VM has twice and no other has, as a share of its pages")
    snapshots: int = count(4, "snapshots of the contents", low=1, high=10**6)
    every: int = timespan(30 * SECOND, "time between snapshots")
    change: float = share(0.05, "share of the unique pages that change between snapshots")
    accesses: bool = flag(False, "also write accesses and clocks")
    bucket: int = timespan(SECOND // 2, "bucket that accesses are gathered in")
    reads: float = share(0.02, "share of a VM's pages read in each bucket")

    def __post_init__(self) -> None:
        _mix(self)
        if self.accesses and self.snapshots < 2:
            refuse(NAME, "accesses lie between snapshots, and there is only one", "set snapshots to 2 or more")
        if self.accesses:
            whole_multiple(NAME, self, "every", "bucket")


@dataclass
class Guest:
    """A VM while it is being written."""

    index: int
    place: np.ndarray  # PPN of each page of the mix, in the order zero, image, again, twins, twins, unique
    accesses: int = 0
    writes: int = 0


def plan(params: Params) -> Plan:
    """A content file; with ``accesses`` an event and an access file too."""
    pages = params.memory // PAGE_BYTES
    kinds = ("event", "content", "access") if params.accesses else ("content",)
    return Plan(tuple(VmInfo(f"clone{i}", pages) for i in range(params.vms)), kinds, params.bucket)


def generate(params: Params, seed: int, out: Capture) -> dict[str, Any]:
    """Write the snapshots and what happens between them; returns the truth."""
    model = _mix(params)
    guests = [Guest(i, Draws(NAME, seed, "place", i).permutation(model.pages).astype(np.uint32)) for i in range(params.vms)]
    changed = round(params.change * model.unique)
    for guest in guests:
        _first_snapshot(guest, model, params, seed, out)
    for round_ in range(1, params.snapshots):
        touched = [_changes(guest, model, changed, round_, seed) for guest in guests]
        if params.accesses:
            _run(guests, touched, round_, params, seed, out)
        for guest, which in zip(guests, touched):
            digest = _digests(_private(guest, model, params, round_) + model.twins + which, seed)
            ppn = guest.place[model.pages - model.unique + which]
            order = np.argsort(ppn)
            out.add("content", len(ppn), t=round_ * params.every, vm=guest.index, ppn=ppn[order], digest=digest[order])
    return {
        "snapshots": [
            {"t": k * params.every, "changed": params.vms * (changed if k else model.pages)} | savings(model, params.vms)
            for k in range(params.snapshots)
        ],
        "by_vms": [{"vms": n} | savings(model, n) for n in range(1, params.vms + 1)],
        "accesses": sum(guest.accesses for guest in guests),
        "writes": sum(guest.writes for guest in guests),
    }


def _mix(params: Params) -> Mix:
    try:
        return solve(params.memory // PAGE_BYTES, params.common, params.zero, params.again, params.twins)
    except ValueError as error:
        refuse(NAME, str(error), "lower one of them or raise common")


def _digests(contents: np.ndarray, seed: int) -> np.ndarray:
    """Digests of contents by number: distinct numbers have distinct digests."""
    return mix(Draws(NAME, seed, "digest").key, contents.astype(np.uint64))


def _private(guest: Guest, model: Mix, params: Params, round_: int) -> int:
    """Number of the first content that only this guest has, and has had only since this snapshot."""
    return model.image + (round_ * params.vms + guest.index) * (model.twins + model.unique)


def _first_snapshot(guest: Guest, model: Mix, params: Params, seed: int, out: Capture) -> None:
    own = _private(guest, model, params, 0)
    twins = own + np.arange(model.twins)
    unique = own + model.twins + np.arange(model.unique)
    contents = np.concatenate([np.arange(model.image), np.arange(model.again), twins, twins, unique])
    by_page = np.empty(model.pages, np.uint64)
    by_page[guest.place] = np.concatenate([np.full(model.zero, ZERO_DIGEST, np.uint64), _digests(contents, seed)])
    out.add("content", model.pages, t=0, vm=guest.index, ppn=np.arange(model.pages, dtype=np.uint32), digest=by_page)


def _changes(guest: Guest, model: Mix, changed: int, round_: int, seed: int) -> np.ndarray:
    """Which of the guest's unique pages the snapshot finds changed."""
    return Draws(NAME, seed, "change", guest.index, round_).permutation(model.unique)[:changed]


def _run(guests: list[Guest], touched: list[np.ndarray], round_: int, params: Params, seed: int, out: Capture) -> None:
    """Accesses and clocks between the snapshot before and this one."""
    buckets = params.every // params.bucket
    draws = [Draws(NAME, seed, "run", guest.index, round_) for guest in guests]
    when = [draw.below(buckets, len(which)) for draw, which in zip(draws, touched)]
    for bucket in range(buckets):
        t = (round_ - 1) * params.every + bucket * params.bucket
        for guest, which, at, draw in zip(guests, touched, when, draws):
            pages = len(guest.place)
            read = np.flatnonzero(draw.chance(params.reads, pages))
            unique_from = pages - _mix(params).unique
            written = np.sort(guest.place[unique_from + which[at == bucket]])
            ppn = np.concatenate([read.astype(np.uint32), written])
            out.add("access", len(ppn), t=t, vm=guest.index, ppn=ppn, write=np.arange(len(ppn)) >= len(read))
            guest.accesses += len(ppn)
            guest.writes += len(written)
        for guest in guests:
            out.event(t + params.bucket, guest.index, "clock", t + params.bucket, guest.accesses)
