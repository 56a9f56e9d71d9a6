"""The fused driver of a variant: one loop over the rows that calls every stage at every event.

A copy-on-write break needs a frame, which may page out another page, which may be in a sample: stages meet at the
event, not at the chunk, or the chunk size would change results. So a variant's loop is written out as source: the
templates of the machine with the variant's policies bound, then a loop that calls each stage's hooks in stage order.
See ``tracekit.kernel.instantiate`` for how it stays cached. This is the one clever thing here; keep it small.

Order at an access: what policies want to see of it, the guest behind its balloon, what leaves
without need, residency, sharing, then the other
stages in the scenario's order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tracekit.kernel import instantiate, template_body
from tracekit.module import Module, arguments
from tracekit.modules import machine, reclamation, sharing
from tracekit.modules.machine import defaults
from tracekit.schema import EVENTS, KINDS
from tracekit.stream import KIND_ORDER

#: Families whose rows go through the machine; all others have plain hooks, and so has swap.
CORE = ("paging", "swap", "sharing", "balloon", "remap", "tier")
_POLICY = {
    "paging": {name: name for name in ("touch", "admit", "remove", "victim", "expired", "see", "soon", "upcoming")},
    "swap": {"swap_store": "store", "swap_load": "load", "swap_drop": "drop"},
    "guest": {"guest_touch": "touch", "guest_admit": "admit", "guest_remove": "remove", "guest_victim": "victim"},
    "remap": {"remap_hot": "hot", "remap_worth": "worth", "remap_ahead": "ahead"},
    "tier": {"tier_place": "place", "tier_used": "used"},
    "sharing": {"due": "due", "trust": "trust", "changed": "changed", "seen": "seen", "advised": "advised"},
}
#: How many accesses ahead the processor is told of a page: its arrays are larger than caches, and order is the trace's.
_AHEAD = 16
#: States that the functions of sharing/scan.py take.
_SCANNING = ("host", "paging", "sharing", "sharing_host", "discovery")


@dataclass(frozen=True)
class Driver:
    """A compiled driver: ``columns`` and ``states`` are what ``kernels.replay_rows`` takes after the runs, in order."""

    kernels: ModuleType
    columns: tuple[tuple[str, str], ...]
    states: tuple[str, ...]


def build(stages: Mapping[str, Module], kinds: tuple[str, ...]) -> Driver:
    """The driver of these stages for a trace that has these kinds of rows."""
    policies = {family: type(stage) for family, stage in stages.items() if family in CORE}
    if hasattr(stages.get("balloon"), "guest"):
        policies["guest"] = type(stages["balloon"].guest)  # pyright: ignore[reportAttributeAccessIssue]
    others = {stage: type(module) for stage, module in stages.items() if stage not in CORE or stage == "swap"}
    lines = _Rows(policies, others)
    loops = [lines.loop(kind) for kind in KINDS if kind in kinds]
    loops = [loop for loop in loops if loop]
    columns, states = tuple(lines.columns), tuple(lines.states)
    parameters = ["runs", *(f"{kind}_{column}" for kind, column in columns), *(f"{state}_state" for state in states)]
    body = "\n".join(loops) or "        pass"
    source = (
        f'"""Driver of {", ".join(f"{role}.{cls.name}" for role, cls in (policies | others).items())}; written by tracekit."""\n'
        + _imports(policies, others)
        + _templates(policies)
        + lines.ending()
        + f"\n\n@entry\ndef replay_rows({', '.join(parameters)}):\n    for run in range(runs.shape[0]):\n"
        + f"        kind, first, end = runs[run, 0], runs[run, 1], runs[run, 2]\n{body}\n"
    )
    return Driver(instantiate(source, [*policies.values(), *others.values()]), columns, states)


def _imports(policies: Mapping[str, type], others: Mapping[str, type]) -> str:
    """Bind every policy's functions, and every other stage's hooks, to the names that the code below uses."""
    lines = [
        "import numpy as np",
        "from tracekit.kernel import entry, jit, rare",
        "from tracekit.prefetch import prefetch",
        f"may_share = {'sharing' in policies}",
        f"one_pool = {'tax' not in others}",
        f"plain = {not {'sharing', 'swap', 'tax'} & {*policies, *others}}",
        f"shares_victims = {getattr(policies.get('sharing'), 'shares_victims', False)}",
    ]
    for role, cls in policies.items():
        if role in _POLICY:
            lines.append(f"from {cls.__module__} import {cls.__qualname__} as {role}_policy")
            for name, attribute in _POLICY[role].items():
                if hasattr(cls, attribute):
                    lines.append(f"{name} = {role}_policy.{attribute}")
    if "swap" not in policies:
        lines += [f"from {defaults.__name__} import {attribute} as {name}" for name, attribute in _POLICY["swap"].items()]
    if "remap" in policies:
        lines.append("from tracekit.modules.remapping.bounce import account, beyond_reach, mark, move, room_for")
        lines.append("from tracekit.modules.remapping.low import FREE, NOBODY")
    if "tier" in policies:
        lines.append("from tracekit.modules.remapping.tier import NOWHERE, serve")
    if "sharing" in policies:
        lines += [f"sharing_{kind} = sharing_policy.on_{kind}" for kind in KINDS if policies["sharing"].hook(kind)]
    for stage, cls in others.items():
        lines.append(f"from {cls.__module__} import {cls.__qualname__} as {stage}_module")
        lines += [f"{stage}_{kind} = {stage}_module.on_{kind}" for kind in KINDS if cls.hook(kind)]
    return "\n".join(lines) + "\n"


def _templates(policies: Mapping[str, type]) -> str:
    """The machine's source, and that of the stages that live in it."""
    files = []
    if "paging" in policies:
        files += [_file(machine, "frames"), _file(machine, "residency")]
    if "sharing" in policies:
        files += [_file(machine, "discovery"), _file(sharing, "scan")]
    if "balloon" in policies:
        files.append(_file(reclamation, policies["balloon"].template))  # pyright: ignore[reportAttributeAccessIssue]
    return "".join("\n\n" + template_body(file) for file in files)


def _file(package: ModuleType, name: str) -> Path:
    return Path(package.__path__[0]) / f"{name}.py"


def _unsigned(column: str, value: str) -> str:
    """A VM's number as an index that the compiled code need not ask whether it is negative, as it does not of rows either."""
    return f"np.uint32({value})" if column == "vm" else value


class _Rows:
    """Writes the loops over rows, and collects the columns and states that they take."""

    def __init__(self, policies: Mapping[str, type], others: Mapping[str, type]):
        self._policies, self._others = policies, others
        self.columns: dict[tuple[str, str], None] = {}
        self.states: dict[str, None] = {}

    def loop(self, kind: str) -> str:
        """The loop over a run of rows of ``kind``, or nothing if no stage cares."""
        hooked = {stage: cls for stage, cls in self._policies.items() if stage == "sharing"} | dict(self._others)
        calls = [self._hook(stage, cls, kind) for stage, cls in hooked.items() if cls.hook(kind)]
        first = calls[:1] if "sharing" in hooked and hooked["sharing"].hook(kind) else []  # a scheme sees a row before the machine does
        calls = first + getattr(self, f"_{kind}", list)() + calls[len(first) :]
        if not calls:
            return ""
        if "tax" in self._others:
            self._want(kind, "vm")
        wanted = [column for k, column in self.columns if k == kind]
        fetch = "".join(f"                {column} = {_unsigned(column, f'{kind}_{column}[i]')}\n" for column in wanted)
        if "tax" in self._others and kind != "event":
            books = f"{self._state('host')}.vm[vm]"
            calls = [f"if {books}.absent:\n    {books}.ignored += 1\n    continue", *calls]
        body = "".join(f"                {line}\n" for call in calls for line in call.splitlines())
        before, each, after = self._clock(kind)
        rows = f"{before}            for i in range(np.uint64(first), np.uint64(end)):\n{each}{fetch}{body}{after}".rstrip()
        return f"        if kind == {KIND_ORDER.index(kind)}:  # {kind}\n{rows}"

    def _clock(self, kind: str) -> tuple[str, str, str]:
        """Lines before, in and after the loop that count accesses: those so far must be known at any of them."""
        if kind != "access" or "paging" not in self._policies:
            return "", "", ""
        host = self._state("host")
        before = f"            before = {host}.accesses[0] - first\n            count_accesses({host}, access_vm, first, end)\n"
        return before, f"                {host}.accesses[0] = before + np.int64(i)\n", f"            {host}.accesses[0] = before + end\n"

    def _want(self, kind: str, *columns: str) -> None:
        for column in columns:
            self.columns.setdefault((kind, column))

    def _state(self, *names: str) -> str:
        for name in names:
            self.states.setdefault(name)
        return ", ".join(f"{name}_state" for name in names)

    def _access(self) -> list[str]:
        return self._paging() + self._tier()

    def _paging(self) -> list[str]:
        if "paging" not in self._policies:
            return []
        self._want("access", "vm", "page", "write")
        calls = [
            f"ahead = access_page[min(i + np.uint64({_AHEAD}), np.uint64(end - 1))]",
            f"prefetch({self._state('host')}.flags, ahead)",
            f"soon({self._state('paging')}, ahead)",
        ]
        see = getattr(self._policies["paging"], "see", None)
        if see is not None:
            names = arguments(see)[1:]
            self._want("access", *names)
            calls.append(f"see({self._state('paging')}, {', '.join(names)})")
        if "guest" in self._policies:
            calls.append(f"guest_access({self._state('host', 'paging', 'balloon', 'guest')}, vm, page, write)")
        if self._policies["paging"].expired is not defaults.expired:
            calls.append(f"release({self._state('host', 'paging')}, vm, page)")
        call = f"access({self._state('host', 'paging')}, vm, page, write)"
        if "sharing" in self._policies and self._policies["sharing"].changed is not defaults.changed:
            self._want("access", "t")
            call = f"if {call}:\n    now_private({self._state(*_SCANNING)}, page, t)"
        return [*calls, call]

    def _tier(self) -> list[str]:
        if "tier" not in self._policies:
            return []
        used = arguments(self._policies["tier"].used)  # pyright: ignore[reportAttributeAccessIssue]
        b, s = self._state("tiers"), self._state("tier")
        given = {"s": s, "b": b, "was": "was", "new": "new"}
        self._want("access", "vm", "page", "count", *(name for name in used if name not in given))
        new = f"new = {b}.where[page] == NOWHERE\n"
        call = f"was = serve({b}, page, tier_place({s}, page), count)\n"
        return [new + call + f"tier_used({', '.join(given.get(name, name) for name in used)})"]

    def _content(self) -> list[str]:
        if "sharing" not in self._policies:
            return []
        self._want("content", "vm", "page", "digest", "digest_hi", "t")
        return [f"on_content({self._state(*_SCANNING)}, vm, page, digest, digest_hi, t)"]

    def _io(self) -> list[str]:
        if "remap" not in self._policies:
            return []
        row = ("t", "vm", "page", "device", "to_device", "bytes", "dma_mask", "forced")
        hot = arguments(self._policies["remap"].hot)  # pyright: ignore[reportAttributeAccessIssue]
        b, s = self._state("bounces"), self._state("remap")
        given = {"s": s, "b": b, "copies": f"{b}.copies[page]"}
        self._want("io", *row, *(name for name in hot if name not in given))
        return [
            f"beyond = beyond_reach({b}, t, page, bytes, to_device, dma_mask, forced)\n"
            f"if beyond and remap_ahead({s}, page):\n"
            f"    leaving = room_for({b}, t, dma_mask)\n"
            "    if leaving != NOBODY:\n"
            f"        move({b}, t, vm, page, device, dma_mask, leaving)\n"
            "        beyond = False\n"
            f"account({b}, {', '.join(row)}, beyond)\n"
            f"if beyond and remap_hot({', '.join(given.get(name, name) for name in hot)}):\n"
            f"    leaving = room_for({b}, t, dma_mask)\n"
            f"    if leaving == FREE or (leaving != NOBODY and remap_worth({s}, {b}, page, leaving, t)):\n"
            f"        move({b}, t, vm, page, device, dma_mask, leaving)"
        ]

    def _event(self) -> list[str]:
        calls = []
        self._want("event", "vm", "what")
        if "guest" in self._policies:
            self._want("event", "t", "a")
            calls.append(f"guest_event({self._state('host', 'balloon', 'guest')}, vm, t, what, a)")
        elif "balloon" in self._policies:
            self._want("event", "a", "b")
            calls.append(f"hint_event({self._state('host', 'paging', 'balloon')}, vm, what, a, b)")
        if "sharing" in self._policies:
            if self._policies["sharing"].advised is not defaults.advised:
                self._want("event", "a", "b", "t")
                calls.append(f"if what == {EVENTS.index('madvise')}:\n    on_madvise({self._state(*_SCANNING)}, vm, a, b, t)")
        if "paging" in self._policies:
            calls.append(f"if what == {EVENTS.index('power-off')}:\n    " + "\n    ".join(self._vm_ends()))
        if "remap" in self._policies:
            calls.append(f"mark({self._state('bounces')}, vm, what)")
        return calls

    def _vm_ends(self) -> list[str]:
        """What frees the memory of a VM that has ended."""
        lines = [f"contents_end({self._state('host', 'discovery')}, vm)"] if "sharing" in self._policies else []
        lines.append(f"power_off({self._state('host', 'paging')}, vm)")
        return [*lines, f"{self._state('host')}.vm[vm].absent = 1"] if "tax" in self._others else lines

    def ending(self) -> str:
        """A function that ends a VM though the trace goes on, and the states that it takes: for an allocation stage."""
        if "tax" not in self._others or "paging" not in self._policies:
            return ""
        before, self.states = self.states, {}
        lines = (
            [f"guest_event({self._state('host', 'balloon', 'guest')}, vm, t, {EVENTS.index('power-off')}, 0)"]
            if "guest" in self._policies
            else []
        )
        lines += self._vm_ends()
        states, self.states = self.states, before
        parameters = ", ".join(f"{state}_state" for state in states)
        body = "".join(f"    {line}\n" for line in lines)
        return f"\n\nENDING = {tuple(states)}\n\n\n@entry\ndef end_vm(vm, t, {parameters}):\n{body}"

    def _hook(self, stage: str, cls: type[Module], kind: str) -> str:
        names = arguments(cls.hook(kind))  # pyright: ignore[reportArgumentType]
        self._want(kind, *(name for name in names if name not in ("s", "h")))
        given = {"s": lambda: self._state(stage), "h": lambda: self._state(f"{stage}_host")}
        return f"{stage}_{kind}({', '.join(given[name]() if name in given else name for name in names)})"
