"""From a setup to rows: time is cut into stretches, each block makes its rows of a stretch, and they are merged by time.

A stretch ends where anything begins or ends that counts something (a block, a phase, a period, a snapshot, a clock, a bucket)
and where its rows would no longer fit into memory; it has no meaning, and rows do not depend on it. Memory is bounded by the
pages of the VMs and the rows of a stretch, not by the capture's length.
"""

import heapq
from collections.abc import Iterator
from itertools import chain, pairwise

import numpy as np

from tracekit.schema import EVENTS
from tracekit.synth.blocks import Block
from tracekit.synth.blocks.base import SECOND, Rows, Site
from tracekit.synth.capture import Capture, Piece, Plan
from tracekit.synth.draws import Draws
from tracekit.synth.memory import Contents, Layout, lay_out
from tracekit.synth.setup import CaptureKeys, Run, Setup, Vm
from tracekit.synth.truth import Touched, Truth

#: About how many rows a stretch may have.
STRETCH_ROWS = 1 << 20


def plan(setup: Setup) -> Plan:
    """The kinds of rows that the setup makes, its VMs and devices."""
    runs = [run for vm in setup.vms for run in vm.runs]
    some = {
        "event": setup.keys.clock or any(run.mark for run in runs) or any(vm.arrives or vm.departs or vm.blank for vm in setup.vms),
        "content": setup.keys.snapshots,
        "io": any(run.kind.kind == "io" for run in runs),
        "access": setup.keys.accesses and any(run.kind.kind == "access" and run.kind.name != "pause" for run in runs),
    }
    devices = dict.fromkeys(run.params.device for run in runs if run.kind.kind == "io")
    kinds = tuple(kind for kind, made in some.items() if made)
    return Plan(tuple(vm.info for vm in setup.vms), kinds, setup.keys.bucket, tuple(devices), setup.keys.clock > 0)


def generate(setup: Setup, seed: int, out: Capture) -> Truth:
    """Write all rows; returns the truth."""
    truth = Truth()
    layouts = [lay_out(vm, seed) for vm in setup.vms]
    contents = Contents(setup.vms, layouts, seed) if setup.keys.snapshots else None
    guests = [Guest(i, vm, layout, setup, seed) for i, (vm, layout) in enumerate(zip(setup.vms, layouts))]
    devices = {device: i for i, device in enumerate(out.names["device"])}
    for begins, ends in chain(pairwise(_cuts(setup)), [(setup.ends, None)]):
        pieces = [piece for guest in guests for piece in guest.tick(begins, setup, truth)]
        if contents:
            pieces += _snapshot(begins, setup, guests, contents, truth)
        if ends is not None:
            for guest in guests:
                pieces += guest.stretch(begins, ends, setup.keys, contents, devices)
        out.merge(pieces)
    return truth


def _cuts(setup: Setup) -> Iterator[int]:
    """Times at which stretches begin, each once, in order, and the end."""
    keys, ends = setup.keys, setup.ends
    runs = [run for vm in setup.vms for run in vm.runs]
    single = {0, ends} | {t for run in runs for t in (run.begins, run.ends or 0)}
    single |= {t for vm in setup.vms for t in (vm.arrives, vm.departs or 0) if t <= ends}
    rate = sum(run.kind.rate(run.params, run.pages) for run in runs)
    longest = max(1, int(STRETCH_ROWS * SECOND / rate)) if rate else max(ends, 1)
    if keys.bucket:
        longest = keys.bucket
    steps = {step for step in (longest, keys.bucket, keys.clock, keys.snapshots, keys.period) if step}
    phases = (t for run in runs for t, _ in run.phases(run.ends or 0))
    last = -1
    for t in heapq.merge(sorted(single), sorted(phases), *(range(0, ends, step) for step in steps)):
        if t != last:
            yield t
        last = t


def _snapshot(t: int, setup: Setup, guests: list["Guest"], contents: Contents, truth: Truth) -> list[Piece]:
    """Content rows at ``t`` of the VMs that tell theirs now, and what they make equal."""
    due = t % setup.keys.snapshots == 0
    telling = [guest for guest in guests if guest.present(t) and (due or t == guest.vm.arrives)]
    pieces, changed, equalled = [], 0, 0
    for guest in telling:
        ppn, digest, copies = contents.snapshot(guest.index)
        pieces.append(Piece("content", len(ppn), {"t": t, "vm": guest.index, "ppn": ppn, "digest": digest}))
        changed, equalled = changed + len(ppn), equalled + copies
    if telling:
        present = [guest.index for guest in guests if guest.present(t)]
        if not setup.keys.period or t % setup.keys.period == 0 or t == setup.ends:
            found = contents.sharing(present)
            for n in range(1, len(present) + 1) if t == 0 else (len(present),):
                names = ("pages", "zero", "shared", "reclaimable", "contents")
                truth.tell(t, t, "*", {name: getattr(found, name)[n - 1] for name in names}, vms=n)
        truth.tell(t, t, "*", {"changed": changed, "changed_shared": equalled}, vms=len(present))
    return pieces


class Guest:
    """A VM while its rows are made."""

    def __init__(self, index: int, vm: Vm, layout: Layout, setup: Setup, seed: int):
        self.index, self.vm, self._layout = index, vm, layout
        self._works = [Work(run, self, seed) for run in vm.runs]
        counts = setup.keys.accesses and any(run.kind.kind == "access" for run in vm.runs)
        self._touched = Touched(vm.info.pages) if counts else None
        self._accesses = self._marks = 0
        self._counted = vm.arrives

    def present(self, t: int) -> bool:
        """Whether the VM runs from ``t`` on."""
        return self.vm.arrives <= t and (self.vm.departs is None or t < self.vm.departs)

    def place(self, region: str, index: np.ndarray) -> np.ndarray:
        """PPNs of pages of a region."""
        return self._layout.place(region, index)

    def tick(self, t: int, setup: Setup, truth: Truth) -> list[Piece]:
        """What happens at ``t``, before any access at ``t``: events, and the truth about what has ended."""
        if not self.vm.arrives <= t <= (self.vm.departs or setup.ends):
            return []
        told = [("boot", 0, 0)] if t == self.vm.arrives and (t or self.vm.blank) else []
        if setup.keys.clock and t > self.vm.arrives and t % setup.keys.clock == 0:
            told.append(("clock", int((t - self.vm.arrives) * self.vm.executes), self._accesses))
        for work in self._works:
            for pages in work.tick(t, truth, setup.keys.accesses):
                if work.run.mark:
                    self._marks += 1
                    told.append(("mark", self._marks, pages))
        over = t == (self.vm.departs or setup.ends)
        if self._touched and t > self._counted and (over or (setup.keys.period and t % setup.keys.period == 0)):
            truth.tell(self._counted, t, self.vm.info.name, self._touched.end())
            self._counted = t
        told += [("power-off", 0, 0)] if t == self.vm.departs else []
        return [event(t, self.index, *what) for what in told]

    def stretch(self, begins: int, ends: int, keys: CaptureKeys, contents: Contents | None, devices: dict[str, int]) -> list[Piece]:
        """Rows of begins ≤ t < ends, a piece a block; and what they do to contents."""
        pieces, stores = [], []
        for work in self._works:
            rows = work.rows(begins, ends, keys.bucket)
            if rows is None or not len(rows.t):
                continue
            ppn = self.place(work.run.region, rows.index)
            if contents:
                stores.append((rows.t[rows.write], ppn[rows.write], np.full(np.count_nonzero(rows.write), work.run.kind.leaves, np.uint8)))
            columns = {"t": rows.t, "vm": self.index, "ppn": ppn}
            if rows.device is not None:
                pieces.append(Piece("io", len(ppn), columns | rows.device | {"device": devices[work.run.params.device]}))
            elif keys.accesses:
                pieces.append(Piece("access", len(ppn), columns | {"write": rows.write}))
                self._accesses += len(ppn)
                if self._touched:
                    self._touched.add(ppn, rows.write)
        if contents and stores:
            t, ppn, leaves = (np.concatenate(column) for column in zip(*stores))
            order = np.argsort(t, kind="stable")
            contents.write(self.index, ppn[order], leaves[order])
        return pieces


class Work:
    """A block of a VM from its beginning to its end."""

    def __init__(self, run: Run, guest: Guest, seed: int):
        self.run, self._guest, self._seed = run, guest, seed
        self._block: Block | None = None
        self._ends = run.ends or 0
        self._phases = run.phases(self._ends)
        self._phase, self._since = 0, run.begins
        self._touched = None if run.kind.kind == "io" else Touched(run.pages)

    def rows(self, begins: int, ends: int, bucket: int) -> Rows | None:
        """Its rows of a stretch; accesses gathered if there are buckets."""
        if not self.run.begins <= begins < self._ends:
            return None
        if self._block is None:
            self._block = self.run.kind(self.run.params, self._site())
        rows = self._block.rows(begins, ends)
        if rows is not None and self._touched:
            rows = _gathered(rows, begins) if bucket else rows
            self._touched.add(rows.index, rows.write)
        return rows

    def tick(self, t: int, truth: Truth, accesses: bool) -> list[int]:
        """Tell what ended at ``t``; returns the pages of the phase that begins then, if one does."""
        name, vm = self.run.name, self._guest.vm.info.name
        begun = self._phase < len(self._phases) and t == self._phases[self._phase][0]
        over = t == self._ends
        if self._phase and (begun or over) and self._touched:
            found = self._touched.end() if accesses else {}
            truth.tell(self._since, t, vm, {"phase_pages": self._phases[self._phase - 1][1]} | found, name, self._phase)
        if over and self._block is not None:
            truth.tell(self.run.begins, t, vm, self._block.truth(), name)
            self._block = self._touched = None
        if not begun:
            return []
        self._phase, self._since = self._phase + 1, t
        return [self._phases[self._phase - 1][1]]

    def _site(self) -> Site:
        run, guest, seed = self.run, self._guest, self._seed
        return Site(
            run.pages, run.begins, self._ends,
            lambda index: guest.place(run.region, index),
            lambda purpose: Draws(seed, guest.vm.info.name, run.name, purpose),
        )  # fmt: skip


def _gathered(rows: Rows, t: int) -> Rows:
    """Rows of a bucket that begins at ``t``: a row a page, in the order of the first touches; written if any was."""
    _, first, which = np.unique(rows.index, return_index=True, return_inverse=True)
    written = np.bincount(which, rows.write, len(first)) > 0
    order = np.argsort(first)
    return Rows(np.full(len(first), t, np.int64), rows.index[first[order]], written[order])


def event(t: int, vm: int, what: str, a: int, b: int) -> Piece:
    """One event row."""
    return Piece("event", 1, {"t": t, "vm": vm, "what": EVENTS.index(what), "a": a, "b": b})
