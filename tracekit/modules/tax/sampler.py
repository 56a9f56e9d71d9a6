"""The sampler of active pages: its periods in each VM's own time, its estimate, and the truth beside it (paper section 5.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit import rng
from tracekit.host import BALLOONED, RESIDENT
from tracekit.module import Duration, Out, Site, param
from tracekit.modules.tax.sampling import Averages, interval, own_time, samples, standard_error

#: How often execution time is looked at to see whether a sampling period has ended.
_POLL = 10**8


@dataclass(frozen=True)
class Params:
    """What decides how pages are sampled. The paper is silent about the gains."""

    sample: int = param(100, "pages sampled a VM and period", "page", low=1, high=1 << 30)
    period: Duration = param(Duration(30 * 10**9), "sampling period, of the VM's own execution time", "ns", low=10**6)
    slow: float = param(0.2, "gain of the slow moving average", low=0.0, high=1.0)
    fast: float = param(0.6, "gain of the fast moving average", low=0.0, high=1.0)
    executing: float = param(
        0.0, "instructions a second that count as executing all of it; 0: any progress between two clock events does", "1/s", low=0.0
    )


class Sampler:
    """Samples the pages of VMs period by period, each VM in its own time, and tells each period in the table ``sampling``."""

    def __init__(self, site: Site, params: Any, vms: Sequence[int]):
        """``params`` are ``Params``, or have its fields; ``vms`` are the VMs to sample."""
        names, host = site.trace.vms, site.host
        self._site, self._params, self._vms = site, params, vms
        self._zone: np.ndarray | None = None  # where remapping has put pages
        self._averages = [Averages(params.slow, params.fast) for _ in names]
        self._began = np.full((len(names), 2), site.origin, np.int64)  # of the running period: wall and own time
        self._began[:, 1] = 0
        self._sample = [np.empty(0, np.int64) for _ in names]
        self._places = [np.empty(0, np.int64) for _ in names]
        self._faults = np.zeros(len(names), np.int64)  # in periods that have ended
        #: Pages unmapped so far, by VM.
        self.unmapped = np.zeros(len(names), np.int64)
        #: Truth by VM: pages active in the last period that has ended; all of them before.
        self.last = host.vm.pages.copy()
        self.state = samples(len(host.flags), len(names), params.executing, site.origin, site.streams(len(names), "sample"))
        for vm in vms:
            self._begin(vm)

    def start(self, states: Mapping[str, Any]) -> None:
        """Learn of the variant's other states where remapped pages lie."""
        if "bounces" in states:
            self._zone = states["bounces"].zone
            for vm in self._vms:
                self._places[vm] = self._place(vm)

    @property
    def poll(self) -> int:
        """How often ``end_periods`` is to be called, in ns of trace time."""
        own = "execution_clock" in self._site.trace.capabilities
        return min(self._params.period, _POLL) if own else self._params.period

    def estimate(self, vm: int) -> float:
        """Pages of a VM in use, as the host believes at this moment."""
        return self._averages[vm].estimate(int(self.state.hits[vm]) / len(self._sample[vm])) * int(self._site.host.vm.pages[vm])

    def faults(self) -> np.ndarray:
        """Faults that guests have taken on sampled pages so far, by VM."""
        return self._faults + self.state.hits

    def end_periods(self, now: int, out: Out) -> bool:
        """End the periods that are over; returns whether any was."""
        ended = False
        for vm in self._vms:
            if self._site.host.vm.absent[vm]:
                continue
            lived = own_time(self.state, vm, now)
            if lived - self._began[vm, 1] >= self._params.period:
                self._end(vm, now, out)
                # What was polled too late is not lost. A clock that jumps has made one long period, not empty ones after it.
                began = int(self._began[vm, 1]) + self._params.period
                self._began[vm] = now, began if lived - began < self._params.period else lived
                self._begin(vm)
                ended = True
        return ended

    def restart(self, vm: int, now: int) -> None:
        """A VM has come up: nothing is known of it."""
        self._averages[vm] = Averages(self._params.slow, self._params.fast)
        self._began[vm] = now, own_time(self.state, vm, now)
        self.last[vm] = self._site.host.vm.pages[vm]
        self._begin(vm)

    def _begin(self, vm: int) -> None:
        s, books = self.state, self._site.host.vm
        s.period[vm] += 1
        s.active[vm] = s.hits[vm] = s.unseen[vm] = 0
        self._sample[vm] = int(books.first[vm]) + rng.sample(s.rng[vm], int(books.pages[vm]), self._params.sample)
        s.sampled_in[self._sample[vm]] = s.period[vm]
        self.unmapped[vm] += len(self._sample[vm])
        self._places[vm] = self._place(vm)

    def _end(self, vm: int, now: int, out: Out) -> None:
        s, n, pages = self.state, len(self._sample[vm]), int(self._site.host.vm.pages[vm])
        hits, active, averages = int(s.hits[vm]), int(s.active[vm]), self._averages[vm]
        averages.add(hits / n)
        self._faults[vm] += hits
        self.last[vm] = active
        low, high = interval(hits, n, pages)
        out.row(
            "sampling", now, self._site.trace.vms[vm].name, stage=self._site.stage, active=active, n=n, touched=hits,
            estimate=max(averages.slow, averages.fast) * pages, slow=averages.slow * pages, fast=averages.fast * pages,
            low=low, high=high, error=standard_error(active, n, pages), device=int(s.unseen[vm]),
            ballooned=int(((self._site.host.flags[self._sample[vm]] & BALLOONED) != 0).sum()),
            remapped=int(((self._places[vm] != 0) & (self._places[vm] != self._place(vm))).sum()), length=now - int(self._began[vm, 0]),
        )  # fmt: skip

    def _place(self, vm: int) -> np.ndarray:
        """Where the sampled pages lie: 0 if not resident, else a number that changes with the frame or the zone."""
        host, sample = self._site.host, self._sample[vm]
        frame = host.frame[sample].astype(np.int64) if len(host.frame) else np.zeros(len(sample), np.int64)
        zone = self._zone[sample] if self._zone is not None else 0
        return np.where((host.flags[sample] & RESIDENT) != 0, (frame + 1) * 256 + zone, 0)
