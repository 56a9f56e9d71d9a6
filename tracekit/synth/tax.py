"""Figure 7: two VMs of equal size and shares, one idle and one busy, for the idle memory tax (paper section 5.4).

At first each VM touches all of its memory, in ``fill``, as a booting guest does: what it never touched the host would not
have to hold, and the idle VM could not have more than its active set whatever it is entitled to. From then on it goes through
its active set, a random part of its memory, once a ``sweep`` and in a fresh random order, so that what it touches in any window
of two sweeps or more is its active set exactly: the truth is known beforehand, and a random sample of pages meets it evenly.
With 358 MB for guests, rate 0.75 and the default active sets (40 and 200 MB), shares per taxed page are equal at 119.0 and
239.0 MB; without the tax both have 179 MB.

Events: ``clock`` of each VM at the end of each bucket (a = instructions so far, one a ns of execution: the idle VM executes
for ``idle_clock`` of the time; b = accesses so far). Truth: active pages of each VM in each period of wall time.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.metadata import VmInfo
from tracekit.synth.active import ActivePages
from tracekit.synth.capture import Capture, Plan
from tracekit.synth.draws import Draws
from tracekit.synth.params import memory_size, refuse, share, timespan, whole_multiple
from tracekit.units import PAGE_BYTES

NAME = "tax"
MIB = 1 << 20
SECOND = 10**9
VMS = ("idle", "busy")


@dataclass(frozen=True)
class Params:
    memory: int = memory_size(256 * MIB, "size of each VM", low=4096)
    active1: int = memory_size(40 * MIB, "active set of the idle VM")
    active2: int = memory_size(200 * MIB, "active set of the busy VM")
    duration: int = timespan(600 * SECOND, "length of the capture")
    bucket: int = timespan(SECOND // 2, "bucket that touches are gathered in")
    sweep: int = timespan(5 * SECOND, "time in which a VM goes once through its active set")
    fill: int = timespan(5 * SECOND, "time at the start in which a VM touches all of its memory once; 0: it does not", low=0)
    writes: float = share(0.3, "share of the touches that are writes")
    idle_clock: float = share(1.0, "share of the time that the idle VM executes")
    period: int = timespan(30 * SECOND, "period by which the truth counts active pages")

    def __post_init__(self) -> None:
        whole_multiple(NAME, self, "sweep", "bucket")
        whole_multiple(NAME, self, "duration", "sweep")
        if self.fill:
            whole_multiple(NAME, self, "fill", "bucket")
        if max(self.active1, self.active2) > self.memory:
            refuse(NAME, f"an active set of {max(self.active1, self.active2)} bytes exceeds memory, {self.memory}", "shrink it")


class Guest:
    """One VM: its active set and where it stands in it."""

    def __init__(self, index: int, active: int, pages: int, params: Params, seed: int):
        self.index, self.executing = index, params.idle_clock if index == 0 else 1.0
        self._order = Draws(NAME, seed, VMS[index], "order")
        self._set = Draws(NAME, seed, VMS[index], "active").permutation(pages)[:active].astype(np.uint32)
        self._buckets, self._filling = params.sweep // params.bucket, params.fill // params.bucket
        self._all = Draws(NAME, seed, VMS[index], "fill").permutation(pages).astype(np.uint32)
        self.truth = ActivePages(VMS[index], pages, params.period)
        self.accesses = 0

    def touches(self, bucket: int) -> np.ndarray:
        """PPNs touched in this bucket."""
        if bucket < self._filling:
            return self._all[len(self._all) * bucket // self._filling : len(self._all) * (bucket + 1) // self._filling]
        part = (bucket - self._filling) % self._buckets
        if part == 0:
            self._set = self._set[self._order.permutation(len(self._set))]
        return self._set[len(self._set) * part // self._buckets : len(self._set) * (part + 1) // self._buckets]


def plan(params: Params) -> Plan:
    """An access and an event file of two VMs."""
    pages = params.memory // PAGE_BYTES
    return Plan(tuple(VmInfo(name, pages) for name in VMS), ("event", "access"), params.bucket)


def generate(params: Params, seed: int, out: Capture) -> dict[str, Any]:
    """Write accesses and events; returns the truth."""
    pages = params.memory // PAGE_BYTES
    sets = [size // PAGE_BYTES for size in (params.active1, params.active2)]
    guests = [Guest(i, active, pages, params, seed) for i, active in enumerate(sets)]
    stores = Draws(NAME, seed, "write")
    for bucket in range(params.duration // params.bucket):
        t = bucket * params.bucket
        for guest in guests:
            ppn = guest.touches(bucket)
            out.add("access", len(ppn), t=t, vm=guest.index, ppn=ppn, write=stores.chance(params.writes, len(ppn)))
            guest.truth.touch(t, ppn)
            guest.accesses += len(ppn)
        for guest in guests:
            out.event(t + params.bucket, guest.index, "clock", int((t + params.bucket) * guest.executing), guest.accesses)
    return {
        "active_set": dict(zip(VMS, sets)),
        "accesses": {VMS[guest.index]: guest.accesses for guest in guests},
        "periods": [period for guest in guests for period in guest.truth.close(params.duration)],
    }
