"""Allocation: who holds how much. What every policy has in common: admission, targets, states, tables (paper sections 5, 6).

A policy answers one question: what a VM pays a page (``price``), or how a memory is divided (``divide``). The sampling of
active pages is in ``sampler``, admission and min-funding revocation in ``targets``, the states of free memory in ``states``,
when VMs come and go in ``lifecycle``.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from tracekit.errors import ScenarioError
from tracekit.host import VM_FIELDS, saved, used
from tracekit.kernel import jit
from tracekit.module import Duration, Module, Out, Site, Size, pages_of, param
from tracekit.modules.tax import sampler, sampling
from tracekit.modules.tax.lifecycle import DEPART, RESHARE, Change, lifecycle
from tracekit.modules.tax.states import READINGS, States
from tracekit.modules.tax.targets import admit, revoke
from tracekit.schema import ALLOCATION, HOST, SAMPLING
from tracekit.trace import Trace
from tracekit.units import format_pages


class Allocation(Module):
    """An allocation policy. Subclasses give ``price`` or ``divide``."""

    family = "tax"
    needs = frozenset({"access", "exact"})
    writes = ("target", "active", "state", "shares", "min", "max")
    tables = (SAMPLING, ALLOCATION, HOST)
    #: Whether targets are enforced while memory is not short, too.
    proactive: ClassVar[bool] = False

    @dataclass(frozen=True)
    class Params(sampler.Params):
        reallocate: Duration = param(Duration(15 * 10**9), "how often targets are computed anew", "ns", low=10**6)
        overhead: Size = param(Size(32 << 20), "machine memory that each VM costs beyond its pages", "byte", low=0)
        high: float = param(
            6.0, "free part of the memory for guest pages that targets aim for; above it nothing is reclaimed", "%", low=0.0, high=1000.0
        )
        clear: float = param(
            0.0, "below this the host breaks large pages for sharing, as ESXi does; 0: there is no such state", "%", 0.0, 1000.0
        )
        soft: float = param(4.0, "below this the host balloons", "%", low=0.0, high=1000.0)
        hard: float = param(2.0, "below this it pages out", "%", low=0.0, high=1000.0)
        low: float = param(1.0, "below this it also blocks VMs above target (a replay cannot block: it counts the time)", "%", low=0.0)
        margin: float = param(1.0, "how far free memory must exceed a threshold to leave the state below it", "%", low=0.0, high=1000.0)
        aim: float = param(0.0, "free part that targets aim for; 0: high", "%", low=0.0, high=1000.0)
        reading: str = param("own", "a state begins below its own threshold, or below that of the state above it", choices=READINGS)
        of: str = param(
            "memory", "what thresholds are percentages of: the memory for guest pages, or ESXi's minFree", choices=("memory", "min-free")
        )

    def price(self, shares: np.ndarray, pages: np.ndarray, active: np.ndarray) -> np.ndarray:
        """Shares a page that each VM pays when it holds ``pages`` of which ``active`` are in use; falls with pages."""
        return shares / pages

    def divide(self, least: np.ndarray, most: np.ndarray, memory: int) -> np.ndarray:
        """Pages by VM, between ``least`` and ``most``, with the sum ``memory`` where the bounds allow: by min-funding revocation."""
        host = self.site.host
        active = host.active.astype(float)
        return revoke(lambda pages: self.price(host.shares, pages, active), least, most, memory)

    def perceived(self, vm: int) -> float:
        """Active pages that the policy believes in: the sampled estimate."""
        return self._sampler.estimate(vm)

    def observe(self, now: int) -> bool:
        """Called at every tick: for policies that watch more than active pages. Returns whether targets are to be set anew."""
        return False

    @classmethod
    def staying(cls, trace: Trace, options: Mapping[str, np.ndarray]) -> int:
        """How many VMs are on the host from the first row to the last."""
        return int(lifecycle(trace, options).stays.sum())

    def __init__(self, params: "Allocation.Params"):
        super().__init__(params)
        States(params, 0)  # refuses thresholds that rise, before a trace is opened

    # ---------------------------------------------------------------------------------------- set-up

    def setup(self, site: Site) -> Any:
        self.site = site
        host, p, options = site.host, self.params, site.vm_options
        for name in ("min", "max", "shares"):
            getattr(host, name)[:] = options[name]
        self._names = [vm.name for vm in site.trace.vms]
        self._life = lifecycle(site.trace, options)
        self._overhead = pages_of(p.overhead)
        self._machine = site.usable + self._overhead * int(self._life.stays.sum())
        self._present = ~self._life.absent
        self._charged = 0  # pages of overhead of VMs that do not stay; of these frames are Host.overhead
        self._admit(self._present)
        self._vms = [i for i, vm in enumerate(site.trace.vms) if "access" in vm.kinds]
        self._sampler = sampler.Sampler(site, p, self._vms)
        self._states = States(p, self._machine)
        self._worst = 0  # level since the last report
        self._blocked = np.zeros(len(host.vm), np.int64)
        self._last = site.origin
        self._set_up()
        self._retarget()
        return self.own_state(self._sampler.state)

    def _set_up(self) -> None:
        """What a policy sets up of its own, before the first targets."""

    def own_state(self, samples: sampling.Samples) -> Any:
        """The state of the hooks."""
        return samples

    def start(self, kernels: ModuleType, states: Mapping[str, Any]) -> None:
        self._sampler.start(states)
        h, p = states["host"], states["paging"]
        self._take = lambda count: int(kernels.charge_overhead(h, p, count))
        self._return = lambda count: kernels.return_overhead(h, count)
        self._end = lambda vm, now: kernels.end_vm(vm, now, *(states[name] for name in kernels.ENDING))
        self._set_absent = lambda vm, absent: kernels.set_absent(h, vm, absent)
        if not self._life.stays.all():
            for vm in np.flatnonzero(self._life.absent):
                self._set_absent(int(vm), 1)
            self._charge()

    def clocks(self) -> Mapping[str, int]:
        return {"state": 10**9, "sample": self._sampler.poll, "reallocate": self.params.reallocate}

    def appointments(self) -> Collection[int]:
        return [change.t for change in self._life.changes]

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
        sampling.count_execution(s, t, vm, what, a)

    # ---------------------------------------------------------------------------------------- what happens over time

    def control(self, now: int, due: Collection[str], out: Out) -> None:
        anew = "reallocate" in due
        anew |= self._notice_ends(now, out)
        if "appointment" in due:
            for change in self._life.changes:
                if change.t == now:
                    anew |= self._change(change, now, out)
        if "sample" in due:
            anew |= self._sampler.end_periods(now, out)
        self._update_active()
        anew |= self.observe(now)
        self._count_blocked(now)
        if self._charged != self._overhead * self._coming():
            self._charge()
        changed = self._states.advance(self._free(), self._usable())
        self.site.host.state[0] = self._states.index
        self._worst = max(self._worst, self._states.level)
        if anew or changed or ("state" in due and self._outdated()):
            self._retarget()
        if changed:
            self._tell(now, "*", "state", out)

    def _change(self, change: Change, now: int, out: Out) -> bool:
        """Let a change happen, if it can. Returns whether anything has changed."""
        vm, note = change.vm, ""
        if change.what == RESHARE:
            self.site.host.shares[vm] = change.shares
        elif change.what == DEPART:
            if not self._present[vm]:
                return False
            self._end(vm, now)
            self._present[vm] = False
            self._charge()
        elif self._present[vm]:
            return False  # a reboot
        else:
            note = self._refusal(vm)
            if not note:
                self._arrive(vm, now)
        self._tell(now, self._names[vm], "refused" if note else change.what, out, note)
        return not note

    def _arrive(self, vm: int, now: int) -> None:
        self._present[vm] = True
        self._set_absent(vm, 0)
        self._sampler.restart(vm, now)
        self._retarget()  # so that those above their new targets pay for its overhead
        self._charge()

    def _refusal(self, vm: int) -> str:
        """Why a VM cannot be admitted beside those present, or nothing."""
        wanted = self._present.copy()
        wanted[vm] = True
        try:
            self._admit(wanted)
        except ScenarioError as error:
            return str(error)
        return ""

    def _admit(self, wanted: np.ndarray) -> None:
        host, names = self.site.host, [name for name, there in zip(self._names, wanted, strict=True) if there]
        admit(names, host.min[wanted], host.max[wanted], self._overhead, self._machine, int(self.site.vm_options["swap"][0]))
        if self._machine < (self._overhead + 1) * len(names):
            raise ScenarioError(
                f"not admitted: {len(names)} VMs × overhead {format_pages(self._overhead)} leave less than a page for each of "
                f"{format_pages(self._machine)}; give it more --memory or lower tax.overhead"
            )

    def _notice_ends(self, now: int, out: Out) -> bool:
        """VMs that have powered themselves off since the last tick: their rows have freed their pages, here goes the rest."""
        ended = np.flatnonzero(self._present & (self.site.host.vm.absent > 0))
        for vm in ended:
            self._present[vm] = False
            self._charge()
            self._tell(now, self._names[vm], DEPART, out)
        return len(ended) > 0

    def _coming(self) -> int:
        """VMs present of those that do not stay throughout."""
        return int((self._present & ~self._life.stays).sum())

    def _charge(self) -> None:
        """Have the host's frames pay for the overhead of the VMs present, as far as there are any to take; the rest later."""
        host = self.site.host
        spare = max(0, self.site.usable - self.site.frames)  # machine pages that are no frames pay first
        due = max(0, self._overhead * self._coming() - spare)
        if due > host.overhead[0]:
            self._take(due - int(host.overhead[0]))
        elif due < host.overhead[0]:
            self._return(int(host.overhead[0]) - due)
        self._charged = min(self._overhead * self._coming(), spare) + int(host.overhead[0])

    # ---------------------------------------------------------------------------------------- memory, targets, states

    def _usable(self) -> int:
        """Machine pages for guest pages, now."""
        return self.site.usable - self._charged

    def _free(self) -> int:
        """Machine pages that are free."""
        host = self.site.host
        return int(host.free[0]) + self.site.usable - self.site.frames - (self._charged - int(host.overhead[0]))

    def _update_active(self) -> None:
        host = self.site.host
        for vm in self._vms:
            host.active[vm] = round(self.perceived(vm)) if self._present[vm] else 0

    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the most pages of each VM: nothing if it is not there."""
        host = self.site.host
        return np.where(self._present, host.min, 0), np.where(self._present, host.max, 0)

    def _memory(self) -> int:
        """Pages to be divided so that free memory is what targets aim for: without what sharing saves."""
        usable, p = self._usable(), self.params
        reserve = int(self._states.hundred(usable) * (p.aim or p.high) / 100)
        least, _ = self._bounds()
        return max(usable - reserve - int(self.site.host.held[0]), int(least.sum()), int(self._present.sum()))

    def _retarget(self) -> None:
        """Targets that bring free memory back to its aim, counting on what sharing saves and compressed pages hold now."""
        host = self.site.host
        host.target[:] = self.divide(*self._bounds(), self._memory() + saved(host))

    def _outdated(self) -> bool:
        """Whether memory is short and targets count on savings that are gone, by more than a hundredth of the memory.

        Nobody need then be above its target, and neither balloon nor paging would do anything.
        """
        beyond = int(self.site.host.target.sum()) - self._memory() - saved(self.site.host)
        return self._states.name != "high" and beyond > self._states.hundred(self._usable()) / 100

    def _entitled(self) -> np.ndarray:
        shares = self.site.host.shares
        return revoke(lambda pages: shares / pages, *self._bounds(), self._memory())

    def _count_blocked(self, now: int) -> None:
        """Execution of a VM above its target is blocked in the state low (section 6.3): the trace goes on, the time is counted."""
        if self._states.name == "low":
            host = self.site.host
            self._blocked[self._present & (host.vm.resident > host.target)] += now - self._last
        self._last = now

    # ---------------------------------------------------------------------------------------- tables

    def report(self, now: int, out: Out) -> None:
        host = self.site.host
        price = self.price(host.shares, np.maximum(host.vm.resident, 1).astype(float), host.active.astype(float))
        more = {"price": price, "entitled": self._entitled(), "blocked": self._blocked}
        state = self._states.name_of(self._worst)
        for vm in self._vms:
            held = {name: (more[name] if name in more else self._held(name))[vm].item() for name in ALLOCATION.names[4:-1]}
            out.row("allocation", now, self._names[vm], **held, state=state)
        self._worst = self._states.level
        self._tell(now, "*", "report", out)

    def _held(self, name: str) -> np.ndarray:
        """A column of the allocation table: what the machine keeps of a VM, or what the host has set for it."""
        host = self.site.host
        return host.vm[name] if name in VM_FIELDS or name == "ignored" else getattr(host, name)

    def _tell(self, now: int, vm: str, why: str, out: Out, note: str = "") -> None:
        """A row of the table ``host``."""
        host = self.site.host
        books, (least, _) = host.vm, self._bounds()
        out.row(
            "host", now, vm, why=why, note=note, state=self._states.name, vms=int(self._present.sum()), memory=self._machine,
            overhead=self._machine - self.site.usable + self._charged, used=used(host), held=int(host.held[0]), free=self._free(),
            resident=int(books.resident.sum()), shared=int(books.resident.sum() - books.sole.sum()), saved=saved(host),
            ballooned=int(books.ballooned.sum()), swapped=int(books.swapped.sum()), min=int(least.sum()), target=int(host.target.sum()),
        )  # fmt: skip
