"""Figure 6: a VM whose program touches memory of changing size, over a background set (paper section 5.3).

Phase by phase the toucher goes over its pages once a bucket; the guest's own background touches a random share of its set
each bucket. With ``spike``, the guest's zero-page thread writes every page that the toucher freed once it has exited, which
makes all of them look active for a moment (Windows does so, and the paper's figure shows it).

Events: ``clock`` at the end of each bucket (a = instructions so far, one a ns: the VM is never idle; b = accesses so far);
``mark`` at the start of a phase (a = phase from 1, b = pages that the program touches in it). Truth: distinct pages touched
in each phase and in each period of wall time, which is the VM's own time here. Everything else is a default of ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.metadata import VmInfo
from tracekit.synth.active import ActivePages
from tracekit.synth.capture import Capture, Plan
from tracekit.synth.draws import Draws
from tracekit.synth.params import flag, memory_size, memory_sizes, refuse, share, timespan, whole_multiple
from tracekit.units import PAGE_BYTES

NAME = "toucher"
MIB = 1 << 20
SECOND = 10**9


@dataclass(frozen=True)
class Params:
    memory: int = memory_size(320 * MIB, "size of the VM", low=4096)
    background: int = memory_size(16 * MIB, "memory that the guest itself uses")
    background_share: float = share(0.25, "share of the background touched in each bucket")
    sizes: tuple[int, ...] = memory_sizes([n * MIB for n in (50, 100, 150, 200, 250)], "memory touched, phase by phase")
    phase: int = timespan(90 * SECOND, "length of a phase")
    bucket: int = timespan(SECOND // 2, "time in which the program touches all of its memory once")
    writes: float = share(1.0, "share of the program's touches that are writes (a quarter of the background's are)")
    spike: bool = flag(False, "the guest zeroes all freed pages once the program has exited")
    zeroing: int = timespan(5 * SECOND, "time that zeroing takes")
    rest: int = timespan(0, "time with nothing but the background at the end", low=0)
    period: int = timespan(30 * SECOND, "period by which the truth counts active pages")

    def __post_init__(self) -> None:
        for name in ("phase", "zeroing", "rest"):
            whole_multiple(NAME, self, name, "bucket")
        if self.background + max(self.sizes) > self.memory:
            refuse(NAME, f"background and program need {self.background + max(self.sizes)} bytes of {self.memory}", "enlarge memory")


@dataclass(frozen=True)
class Phase:
    """A stretch of buckets; ``upto`` are the program's pages, all touched each bucket, or spread over the buckets."""

    upto: int
    buckets: int
    spread: bool = False

    def pages(self, bucket: int) -> range:
        """Pages of the program's area touched in this bucket."""
        if self.spread:
            return range(self.upto * bucket // self.buckets, self.upto * (bucket + 1) // self.buckets)
        return range(self.upto)


def plan(params: Params) -> Plan:
    """An access and an event file of one VM."""
    return Plan((VmInfo("toucher", params.memory // PAGE_BYTES),), ("event", "access"), params.bucket)


def phases(params: Params) -> Iterator[Phase]:
    """The phases in order: the sizes, then zeroing and rest where asked for."""
    for size in params.sizes:
        yield Phase(size // PAGE_BYTES, params.phase // params.bucket)
    if params.spike:
        yield Phase(max(params.sizes) // PAGE_BYTES, params.zeroing // params.bucket, spread=True)
    if params.rest:
        yield Phase(0, params.rest // params.bucket)


def generate(params: Params, seed: int, out: Capture) -> dict[str, Any]:
    """Write accesses and events; returns the truth."""
    pages, system = params.memory // PAGE_BYTES, params.background // PAGE_BYTES
    background, stores = Draws(NAME, seed, "background"), Draws(NAME, seed, "write")
    active = ActivePages("toucher", pages, params.period)
    t, accesses, story = 0, 0, []
    for number, phase in enumerate(phases(params), 1):
        begins, seen = t, np.zeros(pages, np.bool_)
        out.event(t, 0, "mark", number, phase.upto)
        for bucket in range(phase.buckets):
            own = np.flatnonzero(background.chance(params.background_share, system))
            touched = phase.pages(bucket)
            ppn = np.concatenate([own, system + np.arange(touched.start, touched.stop)]).astype(np.uint32)
            write = stores.chance(1.0 if phase.spread else params.writes, len(ppn))
            write[: len(own)] = np.arange(len(own)) % 4 == 0  # the guest itself mostly reads
            out.add("access", len(ppn), t=t, vm=0, ppn=ppn, write=write)
            active.touch(t, ppn)
            seen[ppn] = True
            t, accesses = t + params.bucket, accesses + len(ppn)
            out.event(t, 0, "clock", t, accesses)
        story.append({"phase": number, "begins": begins, "ends": t, "pages": phase.upto, "active": int(np.count_nonzero(seen))})
    return {"phases": story, "periods": active.close(t), "accesses": accesses}
