"""Paging: what every replacement policy has in common (paper section 3.3).

A policy answers which page leaves; residency, faults and page-outs are counted by the machine. A policy keeps, for
each *pool*, the pages that alone map their frame. There is one pool, as in a textbook cache, unless the host sets
targets: then there is one a VM, and the VM furthest above its target pays.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tracekit.host import STATES
from tracekit.module import Duration, Module, Out, Site, param
from tracekit.modules.machine import defaults
from tracekit.schema import FAULTS


class Pools(NamedTuple):
    """The pools of a policy: how many, and the capacity that each has, in pages.

    ``base`` and ``size`` give the page ids that a pool may hold: a VM's, or all.
    """

    number: int
    pages: int
    capacity: np.ndarray
    base: np.ndarray
    size: np.ndarray


class Replacement(Module):
    """A replacement policy. Subclasses give ``state`` and four hooks on it, all with ``@staticmethod @jit``:

    - ``touch(s, pool, page)``: a page of the pool was used;
    - ``admit(s, pool, page)``: a page has joined the pool;
    - ``remove(s, pool, page)``: a page has left the pool for another reason than the policy's choice;
    - ``victim(s, pool, page) -> page``: choose the page that leaves so that ``page`` can come in, and drop it.

    A policy that needs more of an access than the page may have ``see(s, page, …columns)``, called before each access.
    Two more hooks only save time, because memory is slow where page numbers come in no order: ``soon(s, page)`` tells of a
    page that will be accessed a little later, for the policy to ``prefetch`` what it keeps of it, and ``upcoming(s, pool)
    -> page`` names one that is likely to be chosen a little later.
    A policy of variable space has ``expired(s, pool, page, faults) -> page or NONE``, asked before each access until it
    answers NONE (so NONE once an access of the pool): a page that leaves though nobody needs its frame, and that the
    policy has dropped. ``page`` is the one about to be used, which ``faults`` or is resident.
    """

    family = "paging"
    needs = frozenset({"access"})
    tables = (FAULTS,)

    @dataclass(frozen=True)
    class Params:
        frames: int = param(0, "machine pages for guest pages; 0: what host.memory leaves", "page", low=0, high=(1 << 32) - 2)
        poll: Duration = param(Duration(10**9), "how often the host pages out in the states hard and low", "ns", low=10**6)

    touch: ClassVar[Any] = staticmethod(defaults.touch)
    admit: ClassVar[Any] = staticmethod(defaults.admit)
    remove: ClassVar[Any] = staticmethod(defaults.remove)
    victim: ClassVar[Any] = staticmethod(defaults.victim)
    soon: ClassVar[Any] = staticmethod(defaults.soon)
    upcoming: ClassVar[Any] = staticmethod(defaults.upcoming)
    expired: ClassVar[Any] = staticmethod(defaults.expired)

    def state(self, pools: Pools) -> Any:
        """The policy's arrays for these pools, as a NamedTuple."""
        raise NotImplementedError

    def setup(self, site: Site) -> Any:
        self.site = site
        host = site.host
        if len(host.vm) == 1 or "tax" not in site.stages:
            one = np.zeros(1, np.int64)
            return self.state(Pools(1, len(host.flags), one + site.usable, one, one + len(host.flags)))
        return self.state(Pools(len(host.vm), len(host.flags), host.target.copy(), host.vm.first.copy(), host.vm.pages.copy()))

    def start(self, kernels: ModuleType, states: Mapping[str, Any]) -> None:
        self._page_out = lambda vm, count: kernels.page_out(states["host"], states["paging"], vm, count)
        if self.clocks():
            self._page_out(0, 0)  # compiles it

    def clocks(self) -> Mapping[str, int]:
        return {"poll": self.params.poll} if "tax" in self.site.stages else {}

    def control(self, now: int, due: Collection[str], out: Out) -> None:
        """Page VMs down to their targets: all in the states hard and low, what the balloon cannot take in soft.

        In the state high only what exceeds a VM's max is paged out, but for a policy that takes memory before it is short.
        """
        host, state = self.site.host, STATES[self.site.host.state[0]]
        ahead = getattr(self.site.stages["tax"], "proactive", False)
        goal = host.max if state == "high" and not ahead else host.target
        excess = np.maximum(host.vm.resident - goal, 0)
        balloon: Any = self.site.stages.get("balloon")
        if state in ("high", "soft") and balloon is not None:
            excess = np.minimum(excess, balloon.shortfall(goal))
        for vm in np.flatnonzero(excess):
            self._page_out(int(vm), int(min(excess[vm], host.vm.sole[vm])))

    def finish(self, now: int, out: Out) -> None:
        host = self.site.host
        time = host.vm.accesses if "tax" in self.site.stages else np.full(len(host.vm), host.accesses[0])
        for i, vm in enumerate(self.site.trace.vms):
            counts = {name: int(host.vm[name][i]) for name in FAULTS.names[4:] if name != "mean_resident"}
            space = int(host.vm.resident[i] * time[i] + host.vm.space[i])
            out.row("faults", now, vm.name, **counts, mean_resident=space / time[i] if time[i] else None)


class NoPages(NamedTuple):
    """State of a policy that keeps nothing."""

    nothing: np.ndarray


class Unbounded(Replacement):
    """A frame for every page: nothing is ever paged out. The floor of every comparison."""

    name = "unbounded"

    def state(self, pools: Pools) -> NoPages:
        return NoPages(np.zeros(1, np.int64))

    def clocks(self) -> Mapping[str, int]:
        return {}  # not even where targets ask for it: it has no victim to name
