"""Allocation: who holds how much. What every policy has in common: sampling, states, targets, tables (sections 5, 6).

A policy answers one question: what a VM pays a page (``price``). The sampling of active pages, admission, min-funding
revocation, the host's states and the tables are here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from tracekit.errors import ScenarioError
from tracekit.host import STATES, VM_FIELDS, Host, saved
from tracekit.kernel import jit
from tracekit.module import Duration, Module, Out, Site, Size, pages_of, param
from tracekit.modules.tax import sampler, sampling
from tracekit.modules.tax.targets import admit, next_state, revoke
from tracekit.schema import ALLOCATION, SAMPLING


class Allocation(Module):
    """An allocation policy. Subclasses give ``price``."""

    family = "tax"
    needs = frozenset({"access", "exact"})
    writes = ("target", "active", "state", "shares", "min", "max")
    tables = (SAMPLING, ALLOCATION)

    @dataclass(frozen=True)
    class Params(sampler.Params):
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

    def perceived(self, vm: int) -> float:
        """Active pages that the policy believes in: the sampled estimate."""
        return self._sampler.estimate(vm)

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
        self._sampler = sampler.Sampler(site, p, self._vms)
        self._worst = 0  # state since the last report
        self._retarget()
        return self._sampler.state

    def start(self, kernels: ModuleType, states: Mapping[str, Any]) -> None:
        self._sampler.start(states)

    def clocks(self) -> Mapping[str, int]:
        return {"state": 10**9, "sample": self._sampler.poll, "reallocate": self.params.reallocate}

    @staticmethod
    @jit
    def on_access(s, vm, page):
        sampling.count_touch(s, vm, page)

    @staticmethod
    @jit
    def on_io(s, vm, page, to_device):
        sampling.count_device_write(s, vm, page, to_device)

    @staticmethod
    @jit
    def on_event(s, t, vm, what, a):
        if what == 0:  # clock
            sampling.advance_clock(s, vm, t, a)

    def control(self, now: int, due: Collection[str], out: Out) -> None:
        anew = "reallocate" in due
        if "sample" in due:
            anew |= self._sampler.end_periods(now, out)
        self._update_active()
        host = self.site.host
        p = self.params
        free = 100.0 * (int(host.free[0]) + self.site.usable - self.site.frames) / self.site.usable
        before = int(host.state[0])
        host.state[0] = next_state(before, free, (p.high, p.soft, p.hard, p.low), p.margin)
        self._worst = max(self._worst, int(host.state[0]))
        if anew or host.state[0] != before:
            self._retarget()

    def _update_active(self) -> None:
        host = self.site.host
        for vm in self._vms:
            host.active[vm] = round(self.perceived(vm))

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
