"""No hypervisor at all: the baseline of every comparison, a guest that was configured with the memory that there is."""

from dataclasses import dataclass

import numpy as np

from tracekit.errors import ScenarioError
from tracekit.module import Site, Size, pages_of, param
from tracekit.modules.reclamation.guest import Guest, Guests, shares_of
from tracekit.units import format_pages


class Native(Guest):
    """No hypervisor: each VM's guest runs under its own policy on a machine of ``memory``, which it was configured for.

    The kernel is sized for that memory, and nothing but the guest pages.
    """

    name = "native"

    @dataclass(frozen=True)
    class Params(Guest.Params):
        memory: Size = param(Size(0), "memory of each machine; 0: the host's, divided by the VMs' sizes", "byte", low=0, high=1 << 44)

    def setup(self, site: Site) -> Guests:
        if "tax" in site.stages:
            raise ScenarioError("balloon.native is a guest without a hypervisor, which sets no targets; leave tax out")
        state = super().setup(site)
        pages = site.host.vm.pages
        self._memory = np.minimum(pages, pages_of(self.params.memory)) if self.params.memory else shares_of(site.usable, pages)
        if self._memory.sum() > site.usable:
            raise ScenarioError(
                f"balloon.memory: {len(pages)} machine(s) of {format_pages(pages_of(self.params.memory))} need more than the host's "
                f"{format_pages(site.usable)}; nothing but the guests may page, so give the host more --memory"
            )
        self.size_kernels(self._memory)
        state.vm["running"] = 2
        return state

    def absent(self) -> np.ndarray:
        return self.site.host.vm.pages - self._memory

    def wanted(self, now: int) -> np.ndarray:
        return self.absent()
