"""Working sets, watched as the trace goes by: the curve over all windows, sizes over time, and where the heat is.

An observer: it writes nothing of the host. The clock is the trace's time. Memory is 16 bytes a guest page, and the bins.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import Duration, Module, Out, Site, param
from tracekit.modules.machine import window
from tracekit.modules.watch import heat, reuse
from tracekit.schema import HEAT, WORKING_SET, WORKING_SET_CURVE, WORKING_SET_PAIRS, WORKING_SET_SUMMARY

#: Sizes over time, and columns of the heat map, are kept below this unless the parameters ask for more.
_MANY, _COLUMNS = 2000, 150
_PERCENTILES = (5, 25, 50, 75, 95, 99)


class Watch(NamedTuple):
    """What is watched."""

    reuse: reuse.Reuses
    window: window.Window
    heat: heat.Heat


class WorkingSet(Module):
    """Working-set curve, sizes over time, correlation between VMs, reuse times, and a heat map of addresses."""

    family = "watch"
    name = "working-set"
    needs = frozenset({"access", "exact"})
    tables = (WORKING_SET_CURVE, WORKING_SET, WORKING_SET_SUMMARY, WORKING_SET_PAIRS, HEAT)

    @dataclass(frozen=True)
    class Params:
        window: Duration = param(Duration(10 * 10**9), "window of the sizes over time, which are told ten times a window", "ns", low=10)
        bands: int = param(64, "most bands of addresses that the heat map has a VM; each is a power of two of pages", low=1, high=1 << 20)
        period: Duration = param(
            Duration(0), "column of the heat map; 0: 1, 2 or 5 times a power of ten, so that there are at most 150", "ns", low=0
        )

    def setup(self, site: Site) -> Watch:
        self.site = site
        trace, pages, span = site.trace, site.host.vm.pages.copy(), site.trace.last_t - site.trace.first_t
        self._vms = [i for i, vm in enumerate(trace.vms) if "access" in vm.kinds]
        steps = next((n for n in (10, 5, 2) if self.params.window % n == 0 and span // (self.params.window // n) <= _MANY), 1)
        self._step = self.params.window // steps
        self._period = self.params.period or _round_up(span // _COLUMNS)
        self._period_began = site.origin
        self._times: list[int] = []
        self._sizes: list[np.ndarray] = []  # by sample: size by VM
        self._state = Watch(
            reuse.reuses(trace.pages, len(trace.vms), span),
            window.window(trace.pages, len(trace.vms), steps),
            heat.heat(site.host.vm.first.copy(), pages, self.params.bands),
        )
        return self._state

    def clocks(self) -> Mapping[str, int]:
        return {"step": self._step, "heat": self._period}

    @staticmethod
    @jit
    def on_access(s, t, vm, page):
        reuse.see(s.reuse, t, vm, page)
        window.see(s.window, vm, page)
        heat.see(s.heat, vm, page)

    def control(self, now: int, due: Collection[str], out: Out) -> None:
        if "step" in due:
            sizes = window.end_step(self._state.window)
            if now - self.site.origin >= self.params.window:
                self._times.append(now)
                self._sizes.append(sizes)
                for name, size in self._by_name(sizes):
                    out.row("working_set", now, name, window=int(self.params.window), pages=int(size))
        if "heat" in due:
            self._end_period(now, out)

    def finish(self, now: int, out: Out) -> None:
        self._end_period(now, out)
        self._curve(now, out)
        if self._times:
            self._summary(now, out)

    def _by_name(self, by_vm: np.ndarray) -> list[tuple[str, Any]]:
        """Figures by VM (the last axis may be anything), and their sum under *."""
        return [(self.site.trace.vms[i].name, by_vm[i]) for i in self._vms] + [("*", by_vm[self._vms].sum(0))]

    def _end_period(self, now: int, out: Out) -> None:
        for vm, ppn, pages, accesses, used in heat.end_period(self._state.heat):
            name, length = self.site.trace.vms[vm].name, self._period
            out.row("heat", self._period_began, name, length=length, ppn=ppn, pages=pages, accesses=accesses, used=used)
        self._period_began = now

    def _curve(self, now: int, out: Out) -> None:
        s = self._state.reuse
        sizes, misses = reuse.in_windows(s, self.site.host.vm.first, self.site.origin, now)
        seen = np.flatnonzero(s.counts[:, 1:].any(0))
        first = int(seen[0]) if len(seen) else len(s.windows) - 1  # shorter windows are empty, but for 0
        for (name, size), (_, missed), (_, reused) in zip(*map(self._by_name, (sizes, misses, s.counts))):
            accesses = int(missed[0] + reused[0])
            for k in (0, *range(max(first, 1), len(s.windows))):
                out.row(
                    "working_set_curve", now, name, window=int(s.windows[k]), size=None if np.isnan(size[k]) else float(size[k]),
                    misses=int(missed[k]), miss_ratio=float(missed[k] / accesses) if accesses else None, reuses=int(reused[k]),
                )  # fmt: skip

    def _summary(self, now: int, out: Out) -> None:
        sizes, given = np.array(self._sizes).T, int(self.params.window)
        peaks = sizes.max(1)
        for (name, mine), (_, peak) in zip(self._by_name(sizes), self._by_name(peaks)):
            percentiles = {f"p{p}": float(value) for p, value in zip(_PERCENTILES, np.percentile(mine, _PERCENTILES))}
            at = self._times[int(mine.argmax())]
            out.row(
                "working_set_summary", now, name, window=given, samples=len(self._times), mean=float(mine.mean()), **percentiles,
                peak=int(mine.max()), peak_t=at, sum_of_peaks=int(peak),
            )  # fmt: skip
        for place, i in enumerate(self._vms):
            for j in self._vms[place + 1 :]:
                names = self.site.trace.vms[i].name, self.site.trace.vms[j].name
                out.row("working_set_pairs", now, names[0], other=names[1], window=given, correlation=_correlation(sizes[i], sizes[j]))


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Pearson's; None where either never changes."""
    if a.min() == a.max() or b.min() == b.max():
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _round_up(ns: int) -> int:
    """The least of 1, 2, 5 times a power of ten that is no shorter, from 1 ms."""
    scale = 10**6
    while True:
        for digit in (1, 2, 5):
            if digit * scale >= ns:
                return digit * scale
        scale *= 10
