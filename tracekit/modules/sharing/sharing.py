"""Sharing: what every scheme has in common: the scan's pace, and the tables of savings and discovery (paper section 4).

A scheme answers which page is due for a scan, whether a page may be looked up, and whether a changed page is scanned at
once. The table of frames, reference counts, copy-on-write and the accounts are the machine's.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from tracekit.module import Duration, Module, NoState, Out, Site, param
from tracekit.modules.machine import defaults
from tracekit.modules.machine.discovery import make_discovery, quantile
from tracekit.modules.sharing.domains import LEVELS, vm_domains
from tracekit.modules.sharing.savings import Savings
from tracekit.schema import CHURN, DISCOVERY, SAVINGS
from tracekit.units import PAGE_BYTES


def vm_paces(rate: float, total: float, own: np.ndarray) -> np.ndarray:
    """Pages a second scanned of each VM: its own rate, or else (−1) the common one; less of each if all together exceed the total."""
    rates = np.where(own < 0, rate, own)
    return rates * min(1.0, (total or 4 * rate) / max(rates.sum(), 1e-9))  # 50 and 200 pages/s in ESX's guide


DOMAIN = param("host", "who may share: all of the host, or VMs of one tenant, of one salt ([[vm]] salt), or no two VMs", choices=LEVELS)
PAGE_COST = param(Duration(2700), "CPU time of scanning a page (measured: Linux's ksmd, a settled scan, on one machine)", "ns", low=0)
#: Bytes of the frame table for a listed frame: hash, machine page, count or back-reference, link (section 4.2).
FRAME_BYTES = 16
GIB = (1 << 30) // PAGE_BYTES


class Sharing(Module):
    """A sharing scheme. Subclasses may give hooks on their state, with ``@staticmethod @jit``:

    - ``due(s, h, vm) -> page``: the next page of the VM to scan, or −1 if none is due now;
    - ``trust(s, h, page)``: whether a page that is scanned may be looked up, and become a hint if nothing equals it;
    - ``changed(s, h, page)``: whether a page whose content has just changed is scanned at once;
    - ``seen(s, h, page, frame, outcome)``: what came of a scan (``tracekit.host``: ``ABSENT`` …), and the page's frame now;
    - ``advised(s, h, page, mergeable)``: the guest said whether it wants a page shared (``event`` rows ``madvise``);
    - ``on_access``, ``on_content``, ``on_io``, ``on_event``: a row, before the machine has followed it.

    ``shares_victims`` says whether a page about to be paged out is shared instead where an equal one is known; ``kin``
    whether the scheme tells equal pages apart (it then sets ``h.kin``, and lists it in ``writes``).
    """

    family = "sharing"
    needs = frozenset({"content", "digest64"})
    writes = ("domain", "rules")
    tables = (SAVINGS, DISCOVERY, CHURN)
    shares_victims: ClassVar[bool] = True
    kin: ClassVar[bool] = False

    @dataclass(frozen=True)
    class Params:
        rate: float = param(50.0, "pages scanned a second of each VM", "page/s", low=0.0, high=1e9)
        total: float = param(0.0, "pages scanned a second of all VMs together; 0: four times the rate", "page/s", low=0.0, high=1e9)
        period: Duration = param(Duration(10**8), "how often the scanner runs", "ns", low=10**6)
        page_cost: Duration = PAGE_COST
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
        self._discovery = make_discovery(site.trace.pages, len(site.trace.vms))
        site.host.domain[:] = vm_domains(site, self.params.domain)
        return self.state(site)

    def further_states(self) -> Mapping[str, Any]:
        return {"discovery": self._discovery}

    def start(self, kernels: ModuleType, states: Mapping[str, Any]) -> None:
        given = [states[name] for name in ("host", "paging", "sharing", "sharing_host", "discovery")]
        self._scan_pages = lambda vm, budget, first, gap: kernels.scan(*given, vm, budget, first, gap)
        self._scan_pages(0, 0, 0.0, 0.0)  # compiles it
        self._savings = Savings(states["host"], self.site.trace.zero_digest)
        self._savings.count(self.site.origin)  # likewise

    @cached_property
    def _paces(self) -> dict[int, float]:
        """Pages a second scanned, by VM."""
        paces = vm_paces(self.params.rate, self.params.total, self.site.vm_options["scan_rate"][self._vms])
        return dict(zip(self._vms, paces.tolist(), strict=True))

    def clocks(self) -> Mapping[str, int]:
        scans = type(self).due is not Sharing.due and any(self._paces.values())
        return {"scan": self.params.period} if scans else {}

    def scan(self, now: int, vm: int, budget: int) -> None:
        """Scan up to ``budget`` pages of a VM at trace time ``now``."""
        self._scan_pages(vm, budget, float(now), 0.0)

    def catch_up(self, now: int) -> None:
        """Scan what should have been scanned by now and was not: no rounding error builds up. Each page's scan counts as of when it
        was due, so that neither the pages found by a moment nor the time that it took depend on how often the scanner runs."""
        origin = self.site.origin
        for vm, pace in self._paces.items():
            quota, scanned = int(pace * (now - origin) // 1e9), int(self._scanned[vm])
            if quota > scanned:
                gap = 1e9 / pace
                self._scan_pages(vm, quota - scanned, origin + (scanned + 1) * gap, gap)
                self._scanned[vm] = quota

    def control(self, now: int, due: Collection[str], out: Out) -> None:
        self.catch_up(now)

    def report(self, now: int, out: Out) -> None:
        if "scan" in self.clocks():
            self.catch_up(now)  # a report may fall between two runs of the scanner
        host = self.site.host
        counts = self._savings.count(now) | {name: host.vm[name] for name in ("scanned", "merged", "false_matches", "breaks")}
        for i in [*self._vms, -1]:
            of = {name: int(column.sum() if i < 0 else column[i]) for name, column in counts.items()}
            listed = of["hints"] + (self._savings.shared_frames if i < 0 else 0)
            out.row("savings", now, self._name(i), **of, table_bytes=listed * FRAME_BYTES)

    def finish(self, now: int, out: Out) -> None:
        host, found = self.site.host, self._discovery
        saved = self._savings.count(now)["reclaimed"]
        for i in [*self._vms, -1]:
            of = slice(None) if i < 0 else slice(i, i + 1)
            times = found.times[of].sum(axis=0)
            scanned, merged = int(host.vm.scanned[of].sum()), int(times.sum())
            cpu, gib = scanned * self.params.page_cost / 1e9, int(saved[of].sum()) / GIB
            out.row(
                "discovery",
                now,
                self._name(i),
                found=merged,
                missed=int(found.missed[of].sum()),
                mean=int(found.total[of].sum()) / 1e6 / merged if merged else None,
                **{name: _seconds(quantile(times, part)) for name, part in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99))},
                scanned=scanned,
                wasted=scanned - int(host.vm.merged[of].sum()) - int(host.vm.hinted[of].sum()),
                cpu=cpu,
                cpu_per_gib=cpu / gib if gib else None,
            )
        self._savings.tell_churn(now, [(i, self._name(i)) for i in [*self._vms, -1]], out)

    def audit(self) -> None:
        self._savings.audit()

    def _name(self, vm: int) -> str:
        return "*" if vm < 0 else self.site.trace.vms[vm].name


def _seconds(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e9
