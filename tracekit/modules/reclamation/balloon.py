"""The balloon (paper section 3.2): machine memory is taken back by having the guest give up pages of its choice."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit import units
from tracekit.errors import ScenarioError
from tracekit.host import STATES
from tracekit.module import Duration, Out, Site, Size, pages_of, param
from tracekit.modules.reclamation.guest import Guest, Guests
from tracekit.units import parse_size


class Balloon(Guest):
    """ESX's balloon driver. The target is polled each second; inflation and deflation are limited in rate.

    The target is the scenario's schedule, ``balloon.targets``, if it has one; else the host's, if a stage sets targets,
    and then the balloon inflates only where memory is short (state soft or worse) or the VM is beyond its max; else what the
    trace's balloon events say.
    """

    name = "esx"

    @dataclass(frozen=True)
    class Params(Guest.Params):
        inflate: Size = param(Size(64 << 20), "guest memory that a balloon can take in a second", "byte/s", low=4096)
        deflate: Size = param(Size(64 << 20), "guest memory that a balloon can give back in a second", "byte/s", low=4096)
        cap: float = param(0.65, "largest part of a VM's size that its balloon may take", low=0.0, high=1.0)
        load: Duration = param(Duration(0), "when the driver loads, from the VM's boot event, or else from its first row", "ns", low=0)
        targets: str = param("", "schedule of targets of every VM, from the first row on: '30s=128MiB 42s=96MiB'; empty: none")

    def __init__(self, params: Any):
        super().__init__(params)
        self._schedule = parse_schedule(params.targets)

    def setup(self, site: Site) -> Guests:
        self._cap = (site.host.vm.pages * self.params.cap).astype(np.int64)
        return super().setup(site)

    def control(self, now: int, due: Collection[str], out: Out) -> None:
        self._load_drivers(now)
        host, poll = self.site.host, self.params.poll
        lack = np.where(self.guests.vm.running, self.wanted(now) - host.vm.ballooned, 0)
        ahead = getattr(self.site.stages.get("tax"), "proactive", False)  # the policy takes memory before it is short
        short = STATES[host.state[0]] != "high" or not self._by_host() or ahead
        if self._by_host():  # what is paged out already need not be ballooned as well
            lack = np.where(lack > 0, np.maximum(lack - host.vm.swapped, 0), lack)
        if not short:  # but a VM's max holds always
            beyond = np.minimum(host.vm.pages - host.max, self._cap) - host.vm.ballooned
            lack = np.minimum(lack, np.maximum(beyond, 0))
        for vm in np.flatnonzero(lack):
            if lack[vm] < 0:
                self._deflate(int(vm), min(-int(lack[vm]), max(1, pages_of(self.params.deflate) * poll // 10**9)))
            else:
                self._inflate(int(vm), min(int(lack[vm]), max(1, pages_of(self.params.inflate) * poll // 10**9)))
        super().control(now, due, out)

    def _load_drivers(self, now: int) -> None:
        mine = self.guests.vm
        first_seen = (mine.began < 0) & (self.site.host.vm.accesses > 0)
        mine.began[first_seen] = now
        for vm in np.flatnonzero((mine.began >= 0) & (mine.running == 0) & (now - mine.began >= self.params.load)):
            self._start_driver(int(vm))

    def shortfall(self, goal: np.ndarray) -> np.ndarray:
        excess = super().shortfall(goal)
        return np.where(self.guests.vm.running, np.maximum(excess - self._cap, 0), excess)

    def wanted(self, now: int) -> np.ndarray:
        host, mine = self.site.host, self.guests.vm
        pages = host.vm.pages
        if self._schedule:
            past = [target for t, target in self._schedule if t <= now - self.site.origin]
            targets = np.full_like(pages, past[-1]) if past else pages
        elif self._by_host():
            targets = host.target
        else:
            targets = np.where(mine.asked >= 0, mine.asked, pages)
        return np.clip(pages - targets, 0, self._cap)

    def _by_host(self) -> bool:
        return not self._schedule and "tax" in self.site.stages


def parse_schedule(text: str) -> list[tuple[int, int]]:
    """``"30s=128MiB 42s=96MiB"`` → [(ns, pages)] in order of time. Raises ScenarioError."""
    try:
        return units.parse_schedule(text, lambda size: pages_of(parse_size(size)))
    except ValueError as error:
        raise ScenarioError(f"balloon.targets = {text!r}: {error}; expected steps such as '30s=128MiB 42s=96MiB'") from None
