"""Allocation: who holds how much. What every policy has in common: sampling, states, targets, tables (sections 5, 6).

A policy answers one question: what a VM pays a page (``price``). The sampling of active pages, admission, min-funding
revocation, the host's states and the tables are here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from tracekit.errors import ScenarioError
from tracekit.host import STATES, VM_FIELDS, Host, saved
from tracekit.kernel import jit
from tracekit.module import Duration, Module, Out, Site, Size, pages_of, param
from tracekit.modules.tax import sampling
from tracekit.modules.tax.targets import admit, next_state, revoke
from tracekit.schema import ALLOCATION, SAMPLING

#: How often execution time is looked at to see whether a sampling period has ended.
_POLL = 10**8


class Allocation(Module):
    """An allocation policy. Subclasses give ``price``."""

    family = "tax"
    needs = frozenset({"access", "exact"})
    writes = ("target", "active", "state", "shares", "min", "max")
    tables = (SAMPLING, ALLOCATION)

    @dataclass(frozen=True)
    class Params:
        sample: int = param(100, "pages sampled a VM and period", "page", low=1, high=1 << 30)
        period: Duration = param(Duration(30 * 10**9), "sampling period, of the VM's own execution time", "ns", low=10**6)
        slow: float = param(0.2, "gain of the slow moving average", low=0.0, high=1.0)
        fast: float = param(0.6, "gain of the fast moving average", low=0.0, high=1.0)
        executing: float = param(
            0.0, "instructions a second that count as executing all of it; 0: any progress between two clock events does", "1/s", low=0.0
        )
        reallocate: Duration = param(Duration(15 * 10**9), "how often targets are computed anew", "ns", low=10**6)
        overhead: Size = param(Size(32 << 20), "machine memory that each VM costs beyond its pages", "byte", low=0)
        high: float = param(
            6.0, "free part of the memory for guest pages that targets aim for; above it nothing is reclaimed", "%", low=0.0, high=100.0
        )
        soft: float = param(4.0, "below this the host balloons", "%", low=0.0, high=100.0)
        hard: float = param(2.0, "below this it pages out", "%", low=0.0, high=100.0)
        low: float = param(1.0, "below this it also blocks VMs above target (a replay cannot block: it records the state)", "%", low=0.0)
        margin: float = param(1.0, "how far free memory must exceed a threshold to leave the state below it", "%", low=0.0, high=100.0)

    def price(self, shares: np.ndarray, pages: np.ndarray, active: np.ndarray) -> np.ndarray:
        """Shares a page that each VM pays when it holds ``pages`` of which ``active`` are in use; falls with pages."""
        raise NotImplementedError

    def perceived(self, vm: int, estimate: float) -> float:
        """Active pages that the policy believes in: the sampled estimate."""
        return estimate

    def __init__(self, params: "Allocation.Params"):
        super().__init__(params)
        if not params.high >= params.soft >= params.hard >= params.low:
            raise ScenarioError(
                f"tax.high, soft, hard, low = {params.high:g}, {params.soft:g}, {params.hard:g}, {params.low:g}; they must not rise"
            )

    def setup(self, site: Site) -> sampling.Samples:
        self.site = site
        host, p = site.host, self.params
        for name in ("min", "max", "shares"):
            getattr(host, name)[:] = site.vm_options[name]
        names = [vm.name for vm in site.trace.vms]
        overhead = pages_of(p.overhead)
        admit(names, host.min, host.max, overhead, site.usable + overhead * len(names), int(site.vm_options["swap"][0]))
        self._vms = [i for i, vm in enumerate(site.trace.vms) if "access" in vm.kinds]
        self._averages = [sampling.Averages(p.slow, p.fast) for _ in names]
        streams = site.streams(len(names), "sample")
        self._state = sampling.samples(len(host.flags), len(names), p.executing, site.origin, streams)
        self._began = np.full((len(names), 2), site.origin, np.int64)  # of the running period: wall and own time
        self._began[:, 1] = 0
        self._n = [0] * len(names)
        self._worst = 0  # state since the last report
        for vm in self._vms:
            self._begin(vm)
        self._retarget()
        return self._state

    @property
    def clock_source(self) -> str:
        """Whose time the sampling period is measured in."""
        return "execution" if "execution_clock" in self.site.trace.capabilities else "wall"

    def clocks(self) -> Mapping[str, int]:
        p = self.params
        ends = min(p.period, _POLL) if self.clock_source == "execution" else p.period
        return {"state": 10**9, "sample": ends, "reallocate": p.reallocate}

    @staticmethod
    @jit
    def on_access(s, vm, page):
        sampling.count_touch(s, vm, page)

    @staticmethod
    @jit
    def on_event(s, t, vm, what, a):
        if what == 0:  # clock
            sampling.advance_clock(s, vm, t, a)

    def control(self, now: int, due: Collection[str], out: Out) -> None:
        anew = "reallocate" in due
        if "sample" in due:
            for vm in self._vms:
                if sampling.own_time(self._state, vm, now) - self._began[vm, 1] >= self.params.period:
                    self._end(vm, now, out)
                    anew = True
        self._update_active()
        host = self.site.host
        p = self.params
        free = 100.0 * (int(host.free[0]) + self.site.usable - self.site.frames) / self.site.usable
        before = int(host.state[0])
        host.state[0] = next_state(before, free, (p.high, p.soft, p.hard, p.low), p.margin)
        self._worst = max(self._worst, int(host.state[0]))
        if anew or host.state[0] != before:
            self._retarget()

    def _begin(self, vm: int) -> None:
        base, pages = int(self.site.host.vm.first[vm]), int(self.site.host.vm.pages[vm])
        self._n[vm] = sampling.begin_period(self._state, vm, base, pages, self.params.sample)

    def _end(self, vm: int, now: int, out: Out) -> None:
        s, n, pages = self._state, self._n[vm], int(self.site.host.vm.pages[vm])
        hits, averages = int(s.hits[vm]), self._averages[vm]
        averages.add(hits / n)
        low, high = sampling.interval(hits, n, pages)
        out.row(
            "sampling",
            now,
            self.site.trace.vms[vm].name,
            active=int(s.active[vm]),
            n=n,
            touched=hits,
            estimate=max(averages.slow, averages.fast) * pages,
            slow=averages.slow * pages,
            fast=averages.fast * pages,
            low=low,
            high=high,
            length=now - int(self._began[vm, 0]),
        )
        self._began[vm] = now, self._began[vm, 1] + self.params.period  # what was polled too late is not lost
        self._begin(vm)

    def _update_active(self) -> None:
        host = self.site.host
        for vm in self._vms:
            estimate = self._averages[vm].estimate(int(self._state.hits[vm]) / self._n[vm]) * int(host.vm.pages[vm])
            host.active[vm] = round(self.perceived(vm, estimate))

    def _retarget(self) -> None:
        """Targets that bring free memory back to ``high``, counting on what sharing saves and compressed pages hold now."""
        host = self.site.host
        reserve = int(self.site.usable * self.params.high / 100)
        memory = max(self.site.usable - reserve - int(host.held[0]), int(host.min.sum()), len(host.min)) + saved(host)
        active = host.active.astype(float)
        host.target[:] = revoke(lambda pages: self.price(host.shares, pages, active), host.min, host.max, memory)

    def report(self, now: int, out: Out) -> None:
        host = self.site.host
        price = self.price(host.shares, np.maximum(host.vm.resident, 1).astype(float), host.active.astype(float))
        for vm in self._vms:
            held = {name: int(_held(host, name)[vm]) for name in ALLOCATION.names[4:-2]}
            out.row("allocation", now, self.site.trace.vms[vm].name, **held, price=float(price[vm]), state=STATES[self._worst])
        self._worst = int(host.state[0])


def _held(host: Host, name: str) -> np.ndarray:
    """A column of the allocation table: what the machine keeps of a VM, or what the host has set for it."""
    return host.vm[name] if name in VM_FIELDS else getattr(host, name)
