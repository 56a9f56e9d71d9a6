"""The guest as the balloon sees it: its state, its parameters, and what all modules that stand for a guest share.

A guest is its own replacement policy (any paging module that needs no future), a kernel that keeps some memory whatever
happens, a swap of its own, and perhaps a thread that zeroes free pages. ``ballooning.py`` has the kernels.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tracekit import registry
from tracekit.errors import ScenarioError
from tracekit.module import Duration, Module, Out, Site, Size, pages_of, param, parse_param
from tracekit.modules.machine import defaults
from tracekit.modules.reclamation.replacement import Pools, Replacement
from tracekit.schema import BALLOON
from tracekit.units import PAGE_BYTES, format_pages

#: What is kept of each guest: its memory and swap in pages, its driver, and counters.
GUEST_FIELDS = (
    "hand",  # where the search for free pages stands, counted from the VM's first
    "in_use",  # by programs and for files
    "kernel",  # pages that its kernel keeps
    "held",  # of those, how many it has: fewer where there was no page for it
    "swap",  # swap slots, −1 without limit
    "swap_used",
    "blind",  # the trace does not tell stores from loads: every access counts as a store
    "running",  # its balloon driver is loaded: 1; it has none, for there is no hypervisor: 2
    "began",  # when it booted, or was first seen; −1 before
    "asked",  # target that the trace tells; −1 none
    "dropped",
    "dropped_swapped",
    "yielded",
    "pops",
    "zeroed",
    "hinted",
)
GUEST_RECORD = np.dtype([(name, np.int64) for name in GUEST_FIELDS])


class Guests(NamedTuple):
    """State of all guests and their balloon drivers."""

    vm: Any  # record array GUEST_RECORD by VM
    mark: np.ndarray  # uint8 by page


def guests(site: Site) -> Guests:
    """Guests that have just come up, with all of their memory free."""
    host = site.host
    records = np.zeros(len(host.vm), GUEST_RECORD).view(np.recarray)
    records["hand"] = host.vm.pages
    records["swap"] = records["began"] = records["asked"] = -1
    records["blind"] = "writes" not in site.trace.capabilities
    return Guests(records, np.zeros(len(host.flags), np.uint8))


class Reclaiming(Module):
    """What every module of the family balloon has: the table."""

    family = "balloon"
    needs = frozenset({"access"})
    tables = (BALLOON,)
    template: ClassVar[str]  # file of its kernels
    guests: Guests

    def shortfall(self, goal: np.ndarray) -> np.ndarray:
        """Pages by VM beyond ``goal`` that this module cannot get from the guest: the host pages them out."""
        return np.maximum(self.site.host.vm.pages - goal, 0)

    def wanted(self, now: int) -> np.ndarray:
        """Pages by VM that the guest is to do without."""
        return np.zeros(len(self.site.host.vm), np.int64)

    def report(self, now: int, out: Out) -> None:
        host, mine = self.site.host, self.guests.vm
        wanted = host.vm.pages - self.wanted(now)
        for i, vm in enumerate(self.site.trace.vms):
            kept = {name: int(host.vm[name][i]) for name in ("ballooned", "guest_major", "guest_page_outs", "double_paged")}
            own = {name: int(mine[name][i]) for name in BALLOON.names if name in GUEST_FIELDS}
            out.row("balloon", now, vm.name, target=int(wanted[i]), **kept, **own)


class Guest(Reclaiming):
    """A guest with less memory than the trace's: its policy, kernel, swap and zero-page thread."""

    template = "ballooning"

    @dataclass(frozen=True)
    class Params:
        guest: str = param(
            "lru", "the guest's own replacement policy: any paging module that needs no future, with parameters as in '2q kin=0.5'"
        )
        kernel: Size = param(
            Size(0),
            "memory that the guest's kernel keeps whatever its size, beyond the pages that the trace touches",
            "byte",
            low=0,
            high=1 << 44,
        )
        per_page: int = param(
            0,
            "memory that it keeps for each page of its configured size, likewise (Linux's struct page: 64; a capture of all of the "
            "guest's accesses shows those pages already)",
            "byte",
            low=0,
            high=4096,
        )
        swap: Size = param(Size(0), "the guest's own swap; 0: without limit. Once it is full it gives up no more pages", "byte", low=0)
        zeroing: int = param(0, "free pages that the guest zeroes in a second, as Windows does; each is a touch", "1/s", low=0)
        poll: Duration = param(Duration(10**9), "how often the driver asks for its target, and pages are zeroed", "ns", low=10**6)

    def __init__(self, params: Any):
        super().__init__(params)
        self.guest = guest_policy(params.guest)

    def setup(self, site: Site) -> Guests:
        self.site, host = site, site.host
        self.guests = guests(site)
        self.guest.site = site._replace(stage="balloon.guest")
        self._policy = self.guest.state(
            Pools(len(host.vm), len(host.flags), host.vm.pages.copy(), host.vm.first.copy(), host.vm.pages.copy())
        )
        self.size_kernels(host.vm.pages)
        self.guests.vm["swap"] = pages_of(self.params.swap) or -1
        return self.guests

    def size_kernels(self, pages: np.ndarray) -> None:
        """Set how much the kernels keep of guests that were configured with ``pages``. Raises ScenarioError if nothing is left."""
        kernel = (self.params.kernel + pages * self.params.per_page) // PAGE_BYTES
        for vm in np.flatnonzero(kernel >= pages):
            raise ScenarioError(
                f"balloon.kernel and balloon.per_page: the kernel of {self.site.trace.vms[vm].name!r} keeps {format_pages(kernel[vm])} "
                f"of {format_pages(pages[vm])}; lower them"
            )
        self.guests.vm["kernel"] = kernel

    def further_states(self) -> Mapping[str, Any]:
        return {"guest": self._policy}

    def start(self, kernels: ModuleType, states: Mapping[str, Any]) -> None:
        h, p, b, g = (states[name] for name in ("host", "paging", "balloon", "guest"))
        self._inflate = lambda vm, count: kernels.inflate(h, p, b, g, vm, count)
        self._deflate = lambda vm, count: kernels.deflate(h, b, vm, count)
        self._start_driver = lambda vm: kernels.start_driver(h, b, vm)
        self._zero = lambda vm, count: kernels.zero(h, p, b, vm, count)
        for kernel in (self._inflate, self._deflate, self._zero)[: 3 if self.params.zeroing else 2]:
            kernel(0, 0)  # compiles it
        for vm in range(len(self.guests.vm)):
            self._inflate(vm, int(self.absent()[vm]))  # memory that the machine does not have was never there
            kernels.settle(h, b, vm)

    def absent(self) -> np.ndarray:
        """Pages by VM that its machine lacks from the start."""
        return np.zeros(len(self.guests.vm), np.int64)

    def clocks(self) -> Mapping[str, int]:
        return {"poll": self.params.poll}

    def control(self, now: int, due: Collection[str], out: Out) -> None:
        zeroing = self.params.zeroing * self.params.poll // 10**9
        if zeroing:
            for vm in np.flatnonzero(self.guests.vm.in_use):
                self._zero(int(vm), zeroing)


def guest_policy(text: str) -> Replacement:
    """The paging module that ``text`` names, with its parameters behind it: ``2q kin=0.5 kout=1``. Raises ScenarioError."""
    name, *settings = text.split() or [""]
    shown = f"balloon.guest = {text!r}"
    guest = registry.load("paging", name)
    if hasattr(guest, "see"):
        raise ScenarioError(f"{shown} needs the future, which no guest knows; choose another policy")
    if guest.expired is not defaults.expired:
        raise ScenarioError(f"{shown} gives pages up without need, which a balloon does not see; choose another policy")
    if guest.name == "unbounded":
        raise ScenarioError(f"{shown} can name no page to give up; choose another policy")
    hosts = {field.name for field in fields(Replacement.Params)}
    own = {field.name: field for field in fields(guest.Params) if field.name not in hosts}
    chosen = {key: value for key, _, value in (setting.partition("=") for setting in settings)}
    for key in chosen.keys() - own.keys():
        raise ScenarioError(f"{shown}: a guest under {name} has no parameter {key!r}; expected one of {', '.join(own) or 'none'}")
    return guest(guest.Params(**{key: parse_param(f"{shown}: {name}", own[key], value) for key, value in chosen.items()}))


def shares_of(memory: int, pages: np.ndarray) -> np.ndarray:
    """``memory`` pages divided over VMs of these sizes, in proportion; at least a page, at most its size each."""
    return np.clip(pages * memory // max(int(pages.sum()), 1), 1, pages)
