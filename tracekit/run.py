"""One variant on one trace: its host, its modules, its compiled driver, and its two clocks."""

import heapq
import os
import platform
import resource
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

import tracekit
from tracekit import driver, registry
from tracekit.errors import ScenarioError, TraceError
from tracekit.host import audit, make_host, snapshot, view
from tracekit.kernel import is_cold
from tracekit.module import Module, Out, Site, pages_of
from tracekit.scenario import BESIDE, Variant
from tracekit.schema import CAPABILITIES, KINDS, RESULTS, VM, Table
from tracekit.stream import DTYPES, Chunk
from tracekit.trace import Trace
from tracekit.units import PAGE_BYTES, format_bytes, format_duration, format_pages

#: Memory of a host sized from a trace that has accesses: this part of what its VMs believe to have.
OVERCOMMIT = 0.75
#: More ticks of one control clock than this are taken for a mistake: they would take hours.
_MOST_TICKS = 30_000_000
#: Bytes that a replay holds by guest page and by frame, with every stage present, and by page for each observer.
PAGE_COST, FRAME_COST, OBSERVER_COST = 260, 36, 28


def fit(trace: Trace, variants: Sequence[Variant]) -> tuple[list[Variant], list[str]]:
    """The variants that can be replayed on a trace, and why others cannot. Raises TracekitError if memory does not suffice."""
    fitting, refused = [], []
    for variant in variants:
        try:
            modules, _ = _fit(variant.make_modules(), trace)
        except TraceError as error:
            refused.append(str(error))
            continue
        variant.vm_options(trace.vms)
        _size_host(trace, variant, modules)
        fitting.append(variant)
    return fitting, refused


def is_cold_for(trace: Trace, variant: Variant) -> bool:
    """Whether the driver of a variant that fits a trace has to be compiled first."""
    modules, _ = _fit(variant.make_modules(), trace)
    return is_cold(driver.build(modules, trace.kinds).kernels)


class Run:
    """One variant on one trace: ``start``, then ``feed`` chunk by chunk, then ``finish``; ``tables`` has what it found."""

    def __init__(self, trace: Trace, variant: Variant, auditing: bool = False, of: int = 1):
        """``of`` is how many runs of this kind are held at a time; with ``auditing`` the books are proved after every chunk."""
        self.trace, self.variant, self._auditing = trace, variant, auditing
        self.elapsed = 0.0
        self._rows = 0
        self.modules, self.left_out = _fit(variant.make_modules(), trace)
        until = variant.replay.until
        self.end = trace.first_t + until if until else trace.last_t
        self._out = Out()
        self._setup(of)
        self._driver = driver.build(self.modules, trace.kinds)
        self.columns = tuple((kind, name) for kind, name in self._driver.columns if name in DTYPES)
        self._derives = len(self.columns) < len(self._driver.columns)

    @property
    def books(self) -> Any:
        """What the machine keeps of each VM (``host.VM_RECORD``)."""
        return self._host.vm

    @property
    def driver(self) -> str:
        """The name of the driver, which variants of the same modules have in common."""
        return self._driver.kernels.__name__.rpartition(".")[2]

    @property
    def is_cold(self) -> bool:
        """Whether the driver has to be compiled first."""
        return is_cold(self._driver.kernels)

    def _setup(self, of: int) -> None:
        trace, options = self.trace, self.variant.vm_options(self.trace.vms)
        self._frames, self._usable = _size_host(trace, self.variant, self.modules)
        _check_memory(trace, self._frames, of, sum(module.family in BESIDE for module in self.modules.values()))
        kin = getattr(self.modules.get("sharing"), "kin", False)
        self._host = make_host(trace.vms, self._frames, "sharing" in self.modules, kin, trace.digest_bits > 64)
        unbounded = getattr(self.modules.get("paging"), "name", "") == "unbounded"
        self._host.vm.populates[:] = [unbounded or "access" not in vm.kinds for vm in trace.vms]
        self._host.vm.sharing[:] = options["sharing"]
        self._states: dict[str, Any] = {"host": self._host}
        # Targets decide the pools of the policies, so whoever sets targets is set up first.
        for stage, module in sorted(self.modules.items(), key=lambda item: item[0] != "tax"):
            shown = view(self._host, module.writes)
            self._states[f"{stage}_host"] = shown
            site = Site(trace, shown, self.variant.replay.seed, stage, self._frames, self._usable, trace.first_t, self.modules, options)
            self._states[stage] = module.setup(site)
            self._states |= module.further_states()
        if "swap" in self.modules:  # paging out and in is the machine's; where to is in its hands from here on
            self._states["host"] = self._host._replace(swap=self._states["swap"])

    def start(self) -> None:
        """Compile, or load from the cache, everything that the replay will call; then set the clocks."""
        for module in self.modules.values():
            module.start(self._driver.kernels, self._states)
        self.advance(np.empty((0, 3), np.int64), [_empty(name) for _, name in self._driver.columns])
        self._ticks: list[tuple[int, int, int, str]] = []
        for order, (stage, module) in enumerate(self.modules.items()):
            for name, period in module.clocks().items():
                self._set_clock(order, period, name, stage)
            for when in set(module.appointments()):
                heapq.heappush(self._ticks, (when, order, 0, "appointment"))
        self._set_clock(len(self.modules), self._report_period(), "report", "replay")

    def _report_period(self) -> int:
        """As the scenario says; else 5 s, or in a long replay whole multiples of that, so that rows of reports stay few."""
        every = 5 * 10**9
        return self.variant.replay.report or every * max(1, -(-(self.end - self.trace.first_t) // (2000 * every)))

    def _set_clock(self, order: int, period: int, name: str, stage: str) -> None:
        span = self.end - self.trace.first_t
        if span // period > _MOST_TICKS:
            clock = f"{stage}'s clock {name!r} of {format_duration(period)}"
            raise ScenarioError(
                f"{self.trace.name}: its rows span {format_duration(span)}, too long for {clock}; are its times in ns? "
                "If so, make that period longer, or replay a part with --until"
            )
        self._push(order, period, name, self.trace.first_t)

    def feed(self, chunk: Chunk) -> None:
        """Replay a chunk's rows, and the control clocks that fall before its last row."""
        columns = self.arrays(chunk)
        row, stop = 0, chunk.before(self.end + 1)
        while self._ticks[0][0] <= min(chunk.last_t, self.end):
            until = chunk.before(self._ticks[0][0])
            row = self._rows_to(chunk, columns, row, until)
            self._tick()
        self._rows_to(chunk, columns, row, stop)
        if self._auditing:
            self._audit()

    def arrays(self, chunk: Chunk) -> list[np.ndarray]:
        """The chunk's columns as the driver takes them, with those that modules derive; empty for kinds not in it."""
        derived: dict[str, np.ndarray] = {}
        if self._derives and "access" in chunk.columns:
            for module in self.modules.values():
                derived |= module.derive(chunk.columns["access"]["vm"])
        columns = ({**chunk.columns.get(kind, {}), **derived}.get(name, _empty(name)) for kind, name in self._driver.columns)
        return list(columns)

    def _rows_to(self, chunk: Chunk, columns: Sequence[np.ndarray], row: int, until: int) -> int:
        if until > row:
            self.advance(chunk.runs_between(row, until), columns)
            self._rows += until - row
        return max(row, until)

    def advance(self, runs: np.ndarray, columns: Sequence[np.ndarray]) -> None:
        """Run the driver over ``runs`` of the rows in ``columns``."""
        self._driver.kernels.replay_rows(runs, *columns, *(self._states[name] for name in self._driver.states))

    def _push(self, order: int, period: int, name: str, now: int) -> None:
        heapq.heappush(self._ticks, (now + period, order, period, name))

    def _tick(self) -> None:
        """Run the next clock, with all clocks of the same stage due at the same time."""
        now, order, due = self._ticks[0][0], self._ticks[0][1], []
        while self._ticks[0][:2] == (now, order):
            _, _, period, name = heapq.heappop(self._ticks)
            due.append(name)
            if period:
                self._push(order, period, name, now)
        if order < len(self.modules):
            stage, module = list(self.modules.items())[order]
            module.control(now, due, self._out)
            if self._auditing and stage == "tax" and due != ["sample"]:  # a look at the clock ten times a second moves no page
                self._audit()
        elif now < self.end:  # the last report comes after the last rows
            self._report(now)

    def finish(self) -> None:
        """Let the control clocks run on to the end, and close the books."""
        while self._ticks[0][0] <= self.end:
            self._tick()
        self._report(self.end)
        for module in self.modules.values():
            module.finish(self.end, self._out)
        if self._auditing:
            self._audit()

    def _report(self, now: int) -> None:
        for module in self.modules.values():
            module.report(now, self._out)
        host = self._host
        if "paging" in self.modules:
            for i, vm in enumerate(self.trace.vms):
                columns = {name: host.target if name == "target" else host.vm[name] for name in VM.names[4:]}
                self._out.row("vm", now, vm.name, **{name: int(column[i]) for name, column in columns.items()})

    def _audit(self) -> None:
        audit(self._host, getattr(self, "_before", None))
        self._before = snapshot(self._host)
        for module in self.modules.values():
            module.audit()

    def tables(self) -> dict[str, tuple[Table, list[dict[str, Any]]]]:
        """The result tables' schemas and rows."""
        key = {"variant": self.variant.id, "trace": self.trace.name}
        known = RESULTS | {table.name: table for module in self.modules.values() for table in module.tables}
        names = ["vm", *(table.name for module in self.modules.values() for table in module.tables)]
        tables = {name: (known[name], [key | row for row in self._out.rows.get(name, [])]) for name in dict.fromkeys(names)}
        tables["variants"] = known["variants"], [{"variant": self.variant.id} | row for row in self.variant.rows()]
        tables["runs"] = known["runs"], [key | self._provenance()]
        return tables

    def _provenance(self) -> dict[str, Any]:
        trace = self.trace
        return {
            "tracekit": tracekit.__version__,
            "source": trace.digest,
            "synthetic": trace.synthetic,
            "kinds": " ".join(trace.kinds),
            "left_out": "; ".join(self.left_out),
            "notes": "; ".join(trace.notes),
            "vms": " ".join(f"{vm.name}={vm.pages}" for vm in trace.vms),
            "memory": self._usable * PAGE_BYTES,
            "rows": self._rows,
            "span": trace.last_t - trace.first_t,
            "elapsed": self.elapsed,
            "peak_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "seed": int(self.variant.replay.seed),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "environment": _environment(),
        }


def _fit(modules: Mapping[str, Module], trace: Trace) -> tuple[dict[str, Module], list[str]]:
    """The modules that the trace can support, with memory without end where nothing pages; and why others are left out."""
    fitting, left_out = {}, []
    for stage, module in modules.items():
        missing = sorted(module.needs - trace.capabilities, key=lambda name: (name not in KINDS, name))
        if missing:
            left_out.append(f"{stage}.{module.name}: needs {missing[0]} ({CAPABILITIES.get(missing[0], 'not in this capture')})")
        else:
            fitting[stage] = module
    if not fitting:
        raise TraceError(
            f"{trace.name}: has {', '.join(trace.kinds)} only, and no module of the scenario can work on that ({'; '.join(left_out)}); "
            "add files of the capture or choose another preset"
        )
    if "paging" not in fitting and not set(fitting) <= {"remap", "tier"}:
        unbounded = registry.load("paging", "unbounded")
        fitting["paging"] = unbounded(unbounded.Params())
    return fitting, left_out


def _size_host(trace: Trace, variant: Variant, modules: Mapping[str, Module]) -> tuple[int, int]:
    """(frames to model, machine pages for guest pages) of the host. No more frames are modelled than there are guest pages.

    VMs that come later or go will cost some of these pages for their overhead: ``Host.overhead``.
    """
    paging, tax = modules.get("paging"), modules.get("tax")
    each = pages_of(tax.params.overhead) if tax else 0
    staying = tax.staying(trace, variant.vm_options(trace.vms)) if tax else 0  # pyright: ignore[reportAttributeAccessIssue]
    overhead, coming = each * staying, each * (len(trace.vms) - staying)
    memory = pages_of(variant.host.memory)
    if variant.host.memory and memory <= overhead:
        raise ScenarioError(
            f"{trace.name}: {format_bytes(variant.host.memory)} of memory leave nothing for guest pages beyond the overhead of "
            f"{staying} VM(s), {format_pages(overhead)}; give the host more --memory{' or lower tax.overhead' if tax else ''}"
        )
    if paging is None or paging.name == "unbounded":
        return trace.pages, memory - overhead if memory else 2 * (trace.pages + overhead + coming)
    usable = (
        memory - overhead
        if memory and not paging.params.frames
        else coming + (paging.params.frames or max(1, int(trace.pages * OVERCOMMIT)))
    )
    return min(usable, trace.pages), usable


def _check_memory(trace: Trace, frames: int, variants: int, observers: int) -> None:
    """Refuse what this machine cannot hold, before the operating system does."""
    needed = (trace.pages * (PAGE_COST + observers * OBSERVER_COST) + frames * FRAME_COST) * variants
    present = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > present:
        raise TraceError(
            f"{trace.name}: replaying VMs of {format_pages(trace.pages)} through {variants} variant(s) takes about {format_bytes(needed)}, "
            f"this machine has {format_bytes(present)}; are the VMs' sizes right? If so, sweep fewer variants at a time"
        )


def _empty(column: str) -> np.ndarray:
    array = np.empty(0, DTYPES.get(column, np.int64))
    array.flags.writeable = False
    return array


def _environment() -> str:
    import numba
    import polars
    import pyarrow

    versions = {"numpy": np, "numba": numba, "polars": polars, "pyarrow": pyarrow}
    listed = ", ".join(f"{name} {module.__version__}" for name, module in versions.items())
    return f"Python {platform.python_version()}, {listed}, {platform.machine()}"
