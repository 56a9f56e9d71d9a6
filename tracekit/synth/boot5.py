"""Figure 8: five Windows VMs boot on one host, work, and one of them falls idle and comes back (paper section 6.4).

Two Exchange servers of 256 MB, two Citrix servers of 320 and an SQL server of 320: with 32 MB of overhead each, 59 % more than
the paper's host of 1 GB. For the scenario: min is half of max, shares in proportion to max, balloon drivers load after the boot.

All VMs boot at once. Each touches every page of its memory, in order, and fills it with zeros, as Windows does, in ``boot``.
Then programs come up, in ``load``: a share ``loaded`` of the memory gets contents, of which a share ``common`` is
the same in all VMs (Windows itself) and the rest is each VM's own. Then each goes through its active set, a random part of
what is loaded, once a ``sweep`` in a fresh random order, and writes a share of it (with contents that are new).
The SQL server is ``idle`` from one time to another: it touches a share ``background`` of its memory only.

Events: ``boot``, and ``clock`` of each VM at the end of each bucket (a = instructions so far, one a ns; b = accesses so far).
Truth: zero pages once programs are up, contents by kind, active pages of each VM in each period.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.metadata import VmInfo
from tracekit.schema import ZERO_DIGEST
from tracekit.synth.active import ActivePages
from tracekit.synth.capture import Capture, Plan
from tracekit.synth.draws import Draws, mix
from tracekit.synth.params import memory_size, refuse, share, timespan, whole_multiple
from tracekit.units import PAGE_BYTES

NAME = "boot5"
MIB = 1 << 20
SECOND = 10**9
VMS = ("exchange1", "exchange2", "citrix1", "citrix2", "sql")


@dataclass(frozen=True)
class Params:
    small: int = memory_size(256 * MIB, "size of each Exchange VM", low=65536)
    large: int = memory_size(320 * MIB, "size of each Citrix VM and of the SQL VM", low=65536)
    boot: int = timespan(60 * SECOND, "time in which a VM fills all of its memory with zeros")
    load: int = timespan(60 * SECOND, "time after that in which programs come up")
    loaded: float = share(0.8, "share of a VM's memory that programs fill")
    common: float = share(0.25, "share of that, whose contents are the same in all VMs")
    active: float = share(0.6, "share of a VM's memory that it uses while it works")
    background: float = share(0.05, "share of its memory that the SQL VM uses while it is idle")
    idle: int = timespan(180 * SECOND, "when the SQL VM falls idle")
    query: int = timespan(600 * SECOND, "when a query wakes it")
    duration: int = timespan(900 * SECOND, "length of the capture")
    bucket: int = timespan(SECOND // 2, "bucket that touches are gathered in")
    sweep: int = timespan(10 * SECOND, "time in which a VM goes once through its active set")
    writes: float = share(0.2, "share of the touches that are writes")
    period: int = timespan(30 * SECOND, "period by which the truth counts active pages")

    def __post_init__(self) -> None:
        for name in ("boot", "load", "sweep", "idle", "query", "duration"):
            whole_multiple(NAME, self, name, "bucket")
        if not self.boot + self.load <= self.idle <= self.query <= self.duration:
            refuse(NAME, "boot and load, idle, query and duration are not in order of time", "let each be no later than the next")
        if max(self.active, self.background) > self.loaded:
            refuse(NAME, f"VMs cannot use more than is loaded, {self.loaded:g} of their memory", "lower active and background")


class Guest:
    """One VM: what it loads, what it uses, and where it stands."""

    def __init__(self, index: int, params: Params, seed: int):
        self.index, self.name, self.params = index, VMS[index], params
        self.pages = (params.small if index < 2 else params.large) // PAGE_BYTES
        place = Draws(NAME, seed, self.name, "place").permutation(self.pages)
        loaded = int(params.loaded * self.pages)
        self.loaded = np.sort(place[:loaded]).astype(np.uint32)
        smallest = params.small // PAGE_BYTES
        self.common = place[: int(params.common * params.loaded * smallest)].astype(np.uint32)
        self._working = place[: int(params.active * self.pages)].astype(np.uint32)
        self._resting = place[: int(params.background * self.pages)].astype(np.uint32)
        self._order = Draws(NAME, seed, self.name, "order")
        self._stores = Draws(NAME, seed, self.name, "write")
        self._key = Draws(NAME, seed, "digest").key
        self._fresh = (index + 1) << 40  # number of the next content that is its own
        self._set, self._part = self._working[:0], 0
        self.truth = ActivePages(self.name, self.pages, params.period)
        self.accesses = 0

    def first_contents(self) -> np.ndarray:
        """Digests of what programs fill its pages with, by page; those of ``common`` are the same in all VMs."""
        digest = mix(self._key, np.uint64(self._fresh) + np.arange(self.pages, dtype=np.uint64))
        digest[self.common] = mix(self._key, np.arange(len(self.common), dtype=np.uint64) + np.uint64(1))
        self._fresh += self.pages
        return digest

    def touches(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """Pages touched in the bucket at ``t``, after the boot, and which are written (bool)."""
        p, buckets = self.params, self.params.sweep // self.params.bucket
        resting = self.name == "sql" and p.idle <= t < p.query
        if self._part == 0:
            members = self._resting if resting else self._working
            self._set = members[self._order.permutation(len(members))]
        first, last = (len(self._set) * part // buckets for part in (self._part, self._part + 1))
        self._part = (self._part + 1) % buckets
        ppn = self._set[first:last]
        return ppn, self._stores.chance(p.writes, len(ppn))

    def new_contents(self, count: int) -> np.ndarray:
        """Digests that no page has had."""
        self._fresh += count
        return mix(self._key, np.uint64(self._fresh - count) + np.arange(count, dtype=np.uint64))


def plan(params: Params) -> Plan:
    """Accesses, contents and events of five VMs."""
    sizes = [params.small] * 2 + [params.large] * 3
    vms = tuple(VmInfo(name, size // PAGE_BYTES) for name, size in zip(VMS, sizes))
    return Plan(vms, ("event", "content", "access"), params.bucket)


def generate(params: Params, seed: int, out: Capture) -> dict[str, Any]:
    """Write the boot and the work after it; returns the truth."""
    guests = [Guest(i, params, seed) for i in range(len(VMS))]
    contents = [guest.first_contents() for guest in guests]
    for guest in guests:
        out.event(0, guest.index, "boot", 0, 0)
    for bucket in range(params.duration // params.bucket):
        t = bucket * params.bucket
        for guest, digest in zip(guests, contents):
            if t < params.boot + params.load:
                _come_up(guest, digest, bucket, out)
            else:
                _work(guest, t, out)
        for guest in guests:
            out.event(t + params.bucket, guest.index, "clock", t + params.bucket, guest.accesses)
    return {
        "zero_pages": {guest.name: guest.pages - len(guest.loaded) for guest in guests},
        "common_pages": len(guests[0].common),
        "loaded_pages": {guest.name: len(guest.loaded) for guest in guests},
        "accesses": {guest.name: guest.accesses for guest in guests},
        "periods": [period for guest in guests for period in guest.truth.close(params.duration)],
    }


def _come_up(guest: Guest, digest: np.ndarray, bucket: int, out: Capture) -> None:
    """In this bucket the VM zeroes the next of its pages, or once it has zeroed all, programs fill the next of theirs."""
    t, booting = bucket * guest.params.bucket, guest.params.boot // guest.params.bucket
    loading = guest.params.load // guest.params.bucket
    if bucket < booting:
        first, last = (guest.pages * part // booting for part in (bucket, bucket + 1))
        ppn = np.arange(first, last, dtype=np.uint32)
        content = np.full(len(ppn), ZERO_DIGEST, np.uint64)
    else:
        first, last = (len(guest.loaded) * part // loading for part in (bucket - booting, bucket - booting + 1))
        ppn = guest.loaded[first:last]
        content = digest[ppn]
    _touch(guest, t, ppn, True, out)
    out.add("content", len(ppn), t=t, vm=guest.index, ppn=ppn, digest=content)


def _work(guest: Guest, t: int, out: Capture) -> None:
    ppn, writes = guest.touches(t)
    _touch(guest, t, ppn, writes, out)
    written = np.sort(ppn[writes])
    out.add("content", len(written), t=t, vm=guest.index, ppn=written, digest=guest.new_contents(len(written)))


def _touch(guest: Guest, t: int, ppn: np.ndarray, writes: Any, out: Capture) -> None:
    out.add("access", len(ppn), t=t, vm=guest.index, ppn=ppn, write=writes)
    guest.truth.touch(t, ppn)
    guest.accesses += len(ppn)
