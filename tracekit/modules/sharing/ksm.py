"""Linux's kernel samepage merging: ksmd scans mergeable pages in order and merges those that keep still (Linux 6.18).

A page is looked up only if its checksum is what it was at the last visit; then first among merged pages (the stable
tree), then among pages that were checked in this scan (the unstable tree, thrown away after each full scan). A merged
page takes ``max_page_sharing`` mappers, then a further one is made for the same content.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from tracekit.host import MOST, OWN_ZERO, SHARED, ZERO
from tracekit.module import Duration, Out, Site, param
from tracekit.modules.sharing import ksm_books as books
from tracekit.modules.sharing.domains import domain_keys
from tracekit.modules.sharing.ksm_books import Items, make_items
from tracekit.modules.sharing.pace import Ksmtuned, ScanTimeAdvisor
from tracekit.modules.sharing.sharing import DOMAIN, PAGE_COST, Sharing
from tracekit.schema import CHURN, DISCOVERY, KSM, SAVINGS
from tracekit.units import PAGE_BYTES

#: Bytes of an rmap_item, one of which ksmd keeps for every page that it has met.
RMAP_ITEM_BYTES = 64
SECOND = 10**9


class Ksm(Sharing):
    """The kernel's KSM: checksum gate, stable and unstable tree, chains, zero pages, nodes, smart scan, advisor."""

    name = "ksm"
    tables = (SAVINGS, DISCOVERY, CHURN, KSM)
    shares_victims = False

    @dataclass(frozen=True)
    class Params:
        pages_to_scan: int = param(100, "pages visited a wake-up", "page", low=1, high=1 << 40)
        sleep_millisecs: int = param(20, "time between wake-ups; below 1 counts as 1", "ms", low=0, high=10**9)
        max_page_sharing: int = param(256, "most pages that may map one merged page", "page", low=2, high=1 << 31)
        use_zero_pages: bool = param(False, "zero pages are mapped to the kernel's own zero page")
        merge_across_nodes: bool = param(True, "pages of VMs on different nodes ([[vm]] node) may be merged")
        smart_scan: bool = param(True, "pages that found no partner for several scans are skipped for some")
        control: str = param("none", "who sets pages_to_scan while it runs", choices=("none", "scan-time", "ksmtuned"))
        target: Duration = param(Duration(200 * SECOND), "scan-time advisor: time that a full scan should take", "ns", low=SECOND)
        max_cpu: int = param(70, "scan-time advisor: most CPU time, of one CPU", "%", low=1, high=100)
        min_pages: int = param(500, "scan-time advisor: pages a wake-up to begin with", "page", low=1)
        max_pages: int = param(30_000, "scan-time advisor: most pages a wake-up", "page", low=1)
        page_cost: Duration = PAGE_COST
        domain: str = DOMAIN

    due = staticmethod(books.next_page)
    trust = staticmethod(books.unchanged)
    seen = staticmethod(books.note)
    advised = staticmethod(books.advised)

    def state(self, site: Site) -> Items:
        params, host = self.params, site.host
        self._pages = params.min_pages if params.control == "scan-time" else params.pages_to_scan
        self._advisor = ScanTimeAdvisor(params.target // SECOND, params.max_cpu, params.max_pages)
        self._ksmtuned = Ksmtuned(site.usable, site.trace.pages)
        self._began, self._scanned_before, self._told = site.origin, 0, -1
        if not params.merge_across_nodes:
            host.domain[:] ^= domain_keys("node", site.vm_options["node"].tolist())
        host.rules[MOST], host.rules[OWN_ZERO], host.rules[ZERO] = params.max_page_sharing, params.use_zero_pages, site.trace.zero_digest
        advised = any("madvise" in file.names_of("what") for file, _ in site.trace.files if file.kind == "event")
        self.items = make_items(site.trace.pages, len(host.refs), params.smart_scan, mergeable=not advised)
        return self.items

    def start(self, kernels: ModuleType, states: Mapping[str, Any]) -> None:
        super().start(kernels, states)
        self._drop_hints = lambda: kernels.drop_hints(states["host"])

    def clocks(self) -> Mapping[str, int]:
        wake = self._ksmtuned.sleep() if self.params.control == "ksmtuned" else max(self.params.sleep_millisecs, 1) * 10**6
        return {"wake": wake} | ({"tune": 60 * SECOND} if self.params.control == "ksmtuned" else {})

    def control(self, now: int, due: Collection[str], out: Out) -> None:
        if "tune" in due:
            self._pages = self._ksmtuned.tune(self._pages, int(self.site.host.free[0]))
        if "wake" not in due or not self._pages:
            return
        count = self.items.counts
        scans = int(count[books.FULL_SCANS])
        self.scan(now, 0, self._pages)
        if count[books.FULL_SCANS] > scans:
            self._tell(now, out)
            self._drop_hints()
            if self.params.control == "scan-time":
                self._advise(now)

    def _advise(self, now: int) -> None:
        scanned = int(self.items.counts[books.SCANNED])
        cpu_ms = (scanned - self._scanned_before) * self.params.page_cost // 10**6
        self._pages = self._advisor.advise(self._pages, (now - self._began) // SECOND, cpu_ms)
        self._began, self._scanned_before = now, scanned

    def finish(self, now: int, out: Out) -> None:
        super().finish(now, out)
        if self._told != self.items.counts[books.SCANNED]:
            self._tell(now, out)

    def _tell(self, now: int, out: Out) -> None:
        count = self.items.counts
        shared, sharing, unshared, items = (int(count[i]) for i in (books.SHARED_NODES, books.SHARING, books.UNSHARED, books.ITEMS))
        chains, dups = books.chains(self.items)
        zero = self._zero_pages()
        self._told = count[books.SCANNED]
        out.row(
            "ksm",
            now,
            "*",
            full_scans=int(count[books.FULL_SCANS]),
            pages_shared=shared,
            pages_sharing=sharing,
            pages_unshared=unshared,
            pages_volatile=items - shared - sharing - unshared,
            pages_scanned=int(count[books.SCANNED]),
            pages_skipped=int(count[books.SKIPPED]),
            ksm_zero_pages=zero,
            stable_node_chains=chains,
            stable_node_dups=dups,
            general_profit=(sharing + zero) * PAGE_BYTES - items * RMAP_ITEM_BYTES,
            pages_to_scan=self._pages,
        )

    def _zero_pages(self) -> int:
        """Pages that map the kernel's zero page now."""
        host = self.site.host
        if not self.params.use_zero_pages:
            return 0
        own = (host.kind == SHARED) & (host.hash == np.uint64(self.site.trace.zero_digest))
        return int(host.refs[own].sum())
