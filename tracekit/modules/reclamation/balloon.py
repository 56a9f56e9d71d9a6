"""The balloon (paper section 3.2): machine memory is taken back by having the guest give up pages of its choice."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from tracekit import registry
from tracekit.errors import ScenarioError
from tracekit.host import STATES
from tracekit.module import Duration, Module, Out, Site, Size, pages_of, param
from tracekit.modules.machine import defaults
from tracekit.modules.reclamation.replacement import Pools, Replacement


class Balloons(NamedTuple):
    """State of the balloon drivers, by VM."""

    hand: np.ndarray  # int64: where the search for free guest pages stands, counted from the VM's base
    in_use: np.ndarray  # int64: pages in use by the guest


class Balloon(Module):
    """ESX's balloon driver. The target is polled each second; inflation and deflation are limited in rate.

    Inflates only where the host is short of memory (state soft or worse), deflates when the target rises.
    """

    family = "balloon"
    name = "esx"
    needs = frozenset({"access"})

    @dataclass(frozen=True)
    class Params:
        guest: str = param("lru", "the guest's own replacement policy: any paging module that needs no future")
        poll: Duration = param(Duration(10**9), "how often the driver asks for its target", "ns", low=10**6)
        rate: Size = param(Size(64 << 20), "guest memory that a balloon can take or give in a second", "byte/s", low=4096)
        cap: float = param(0.65, "largest part of a VM's size that its balloon may take", low=0.0, high=1.0)

    def __init__(self, params: Any):
        super().__init__(params)
        guest = registry.load("paging", params.guest)
        if hasattr(guest, "see"):
            raise ScenarioError(f"balloon.guest = {params.guest!r} needs the future, which no guest knows; choose another policy")
        if guest.expired is not defaults.expired:
            raise ScenarioError(
                f"balloon.guest = {params.guest!r} gives pages up without need, which a balloon does not see; choose another policy"
            )
        self.guest: Replacement = guest(guest.Params())

    def setup(self, site: Site) -> Balloons:
        self.site = site
        host = site.host
        self._cap = (host.vm.pages * self.params.cap).astype(np.int64)
        self.guest.site = site._replace(stage="balloon.guest")
        self._guest_state = self.guest.state(
            Pools(len(host.vm), len(host.frame), host.vm.pages.copy(), host.vm.first.copy(), host.vm.pages.copy())
        )
        return Balloons(host.vm.pages.copy(), np.zeros(len(host.vm), np.int64))

    def further_states(self) -> Mapping[str, Any]:
        return {"guest": self._guest_state}

    def start(self, kernels: ModuleType, states: Mapping[str, Any]) -> None:
        h, p, b, g = (states[name] for name in ("host", "paging", "balloon", "guest"))
        self._inflate = lambda vm, count: kernels.inflate(h, p, b, g, vm, count)
        self._deflate = lambda vm, count: kernels.deflate(h, b, vm, count)
        self._inflate(0, 0)  # compiles it
        self._deflate(0, 0)

    def clocks(self) -> Mapping[str, int]:
        return {"poll": self.params.poll}

    def control(self, now: int, due: Collection[str], out: Out) -> None:
        host = self.site.host
        step = max(1, pages_of(self.params.rate) * self.params.poll // 10**9)
        lack = self._wanted() - host.vm.ballooned
        inflating = STATES[host.state[0]] != "high"
        for vm in np.flatnonzero(lack):
            count = int(min(abs(lack[vm]), step))
            if lack[vm] < 0:
                self._deflate(int(vm), count)
            elif inflating:
                self._inflate(int(vm), count)

    def shortfall(self) -> np.ndarray:
        """Pages by VM that the target asks for and the balloon cannot take."""
        host = self.site.host
        return np.maximum(host.vm.pages - host.target - self._cap, 0)

    def _wanted(self) -> np.ndarray:
        host = self.site.host
        return np.clip(host.vm.pages - host.target, 0, self._cap)
