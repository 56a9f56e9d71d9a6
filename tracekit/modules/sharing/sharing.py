"""Sharing: what every scheme has in common: the scan's pace and the savings table (paper section 4).

A scheme answers which page is due for a scan, whether a page may become a hint, and whether a changed page is scanned
at once. The table of frames, reference counts, copy-on-write and the accounts are the machine's.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from tracekit.module import Duration, Module, NoState, Out, Site, param
from tracekit.modules.machine import defaults
from tracekit.modules.sharing.domains import LEVELS, vm_domains
from tracekit.modules.sharing.savings import Bound, count_found
from tracekit.schema import SAVINGS


def vm_pace(rate: float, total: float, vms: int) -> float:
    """Pages a second scanned of each of ``vms`` VMs: its own rate, or its part of the total (50 and 200 in ESX's guide)."""
    return min(rate, (total or 4 * rate) / max(vms, 1))


DOMAIN = param("host", "who may share: all of the host, or VMs of one tenant, of one salt ([[vm]] salt), or no two VMs", choices=LEVELS)


class Sharing(Module):
    """A sharing scheme. Subclasses may give three hooks on their state, with ``@staticmethod @jit``:

    - ``due(s, h, vm) -> page``: the next page of the VM to scan, or −1 if none is due now;
    - ``trust(s, h, page)``: whether a page that is scanned may be looked up, and become a hint if nothing equals it;
    - ``changed(s, h, page)``: whether a page whose content has just changed is scanned at once;
    - ``seen(s, h, page, frame, outcome)``: what came of a scan (``tracekit.host``: ``ABSENT`` …), and the page's frame now;
    - ``advised(s, h, page, mergeable)``: the guest said whether it wants a page shared (``event`` rows ``madvise``).

    ``shares_victims`` says whether a page about to be paged out is shared instead where an equal one is known.
    """

    family = "sharing"
    needs = frozenset({"content", "digest64"})
    writes = ("domain", "rules")
    tables = (SAVINGS,)
    shares_victims: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Params:
        rate: float = param(50.0, "pages scanned a second of each VM", "page/s", low=0.0, high=1e9)
        total: float = param(0.0, "pages scanned a second of all VMs together; 0: four times the rate", "page/s", low=0.0, high=1e9)
        period: Duration = param(Duration(10**8), "how often the scanner runs", "ns", low=10**6)
        domain: str = DOMAIN

    due: ClassVar[Any] = staticmethod(defaults.due)
    trust: ClassVar[Any] = staticmethod(defaults.trust)
    changed: ClassVar[Any] = staticmethod(defaults.changed)
    seen: ClassVar[Any] = staticmethod(defaults.seen)
    advised: ClassVar[Any] = staticmethod(defaults.advised)

    def state(self, site: Site) -> Any:
        """The scheme's arrays, as a NamedTuple."""
        return NoState(np.zeros(1, np.int64))

    def setup(self, site: Site) -> Any:
        self.site = site
        self._vms = [i for i, vm in enumerate(site.trace.vms) if "content" in vm.kinds]
        self._scanned = np.zeros(len(site.trace.vms), np.int64)
        self._bound = Bound(site.host, site.trace.zero_digest)
        site.host.domain[:] = vm_domains(site, self.params.domain)
        return self.state(site)

    def start(self, kernels: ModuleType, states: Mapping[str, Any]) -> None:
        given = [states[name] for name in ("host", "paging", "sharing", "sharing_host")]
        self._scan = lambda vm, budget: kernels.scan(*given, vm, budget)
        self._scan(0, 0)  # compiles it

    @property
    def pace(self) -> float:
        """Pages a second scanned of each VM."""
        return vm_pace(self.params.rate, self.params.total, len(self._vms))

    def clocks(self) -> Mapping[str, int]:
        scans = type(self).due is not Sharing.due and self.pace > 0
        return {"scan": self.params.period} if scans else {}

    def control(self, now: int, due: Collection[str], out: Out) -> None:
        # What should have been scanned by now, less what was: no rounding error builds up.
        quota = int(self.pace * (now - self.site.origin) // 1e9)
        for vm in self._vms:
            budget = quota - int(self._scanned[vm])
            if budget > 0:
                self._scan(vm, budget)
                self._scanned[vm] = quota

    def report(self, now: int, out: Out) -> None:
        host = self.site.host
        found, possible = count_found(host), self._bound.count()
        names = [vm.name for vm in self.site.trace.vms]
        for i in [*self._vms, -1]:
            total = i < 0
            out.row(
                "savings",
                now,
                "*" if total else names[i],
                **{name: int(counts.sum() if total else counts[i]) for name, counts in (found | possible).items()},
                scanned=int(host.vm.scanned.sum() if total else host.vm.scanned[i]),
                breaks=int(host.vm.breaks.sum() if total else host.vm.breaks[i]),
            )
