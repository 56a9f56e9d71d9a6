"""Estimators of the working set beside one another: what all of them have in common, the truth and the table ``estimators``.

An estimator answers one question: how many pages of a VM are in use. The truth beside it is the same for all: distinct pages
used within a window before (Denning 1968), in trace time. Estimators are observers, and each keeps its own truth, so that
what one says does not depend on whether another is there. ``faults`` are page faults that the guest takes because it is
watched, ``scans`` pages whose mapping or accessed bit the watcher looks at or changes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from tracekit.errors import ScenarioError
from tracekit.module import Duration, Module, Out, Site, param
from tracekit.modules.machine import window
from tracekit.schema import ESTIMATOR_SUMMARY, ESTIMATORS
from tracekit.units import format_duration

#: Moments at which truth and estimate are told, unless the parameters ask for more.
_MANY = 2000


class Estimator(Module):
    """An estimator. Subclasses make their state in ``make``, count a touch in ``on_access``, and give ``estimate``."""

    family = "estimate"
    needs = frozenset({"access", "exact"})
    tables = (ESTIMATORS, ESTIMATOR_SUMMARY)

    @dataclass(frozen=True)
    class Params:
        window: Duration = param(Duration(30 * 10**9), "window of the working set that is estimated", "ns", low=10**6)
        every: Duration = param(
            Duration(0), "how often truth and estimate are told; 0: up to thirty times a window, at most 2000 times in all", "ns", low=0
        )

    def make(self, truth: window.Window) -> tuple:
        """Make the state: a NamedTuple of arrays with a field ``truth``, whose ``window.see`` the hook calls."""
        raise NotImplementedError

    def estimate(self, vm: int) -> float | None:
        """Pages of a VM in use, as the estimator believes at this moment; None while it knows nothing."""
        raise NotImplementedError

    def own_clocks(self) -> Mapping[str, int]:
        """Periods in ns at which ``observe`` is called."""
        return {}

    def observe(self, now: int, due: Collection[str], out: Out) -> None:
        """Called when clocks are due, before the estimate is told."""

    def tell(self, now: int, vm: int, out: Out) -> None:
        """Add rows to tables of the estimator's own, when the estimate is told."""

    def setup(self, site: Site) -> tuple:
        self.site = site
        trace, p = site.trace, self.params
        self.vms = [i for i, vm in enumerate(trace.vms) if "access" in vm.kinds]
        #: Cost so far, by VM.
        self.faults, self.scans = np.zeros(len(trace.vms), np.int64), np.zeros(len(trace.vms), np.int64)
        #: What its rows call it: the label of its stage (``estimate_label``), or its name.
        self.label = site.stage.partition("_")[2] or self.name
        self._every = p.every or self._pace(trace.last_t - trace.first_t)
        if p.window % self._every:
            raise ScenarioError(
                f"{site.stage}.window = {format_duration(p.window)} must be a whole multiple of {site.stage}.every = "
                f"{format_duration(self._every)}"
            )
        self._truth = window.window(trace.pages, len(trace.vms), p.window // self._every)
        self._told: list[tuple[np.ndarray, list[float | None]]] = []  # by moment: truth by VM, estimate by watched VM
        return self.make(self._truth)

    def _pace(self, span: int) -> int:
        """A thirtieth, tenth, fifth or half of the window, or all of it: the shortest that makes no more than ``_MANY`` moments."""
        w = self.params.window
        return next((w // n for n in (30, 10, 5, 2) if w % n == 0 and span // (w // n) <= _MANY), w)

    def clocks(self) -> Mapping[str, int]:
        return {**self.own_clocks(), "tell": self._every}

    def control(self, now: int, due: Collection[str], out: Out) -> None:
        self.observe(now, due, out)
        if "tell" not in due:
            return
        truth = window.end_step(self._truth)
        if now - self.site.origin < self.params.window:
            return
        self._told.append((truth, [self.estimate(vm) for vm in self.vms]))
        for vm, estimate in zip(self.vms, self._told[-1][1]):
            out.row(
                "estimators", now, self.site.trace.vms[vm].name, estimator=self.label, window=int(self.params.window),
                truth=int(truth[vm]), estimate=estimate, faults=int(self.faults[vm]), scans=int(self.scans[vm]),
            )  # fmt: skip
            self.tell(now, vm, out)

    def finish(self, now: int, out: Out) -> None:
        for place, vm in enumerate(self.vms):
            known = [(truth[vm], estimates[place]) for truth, estimates in self._told if estimates[place] is not None]
            if not known:
                continue
            truth, estimate = np.array(known, float).T
            error = estimate - truth
            lag, error_at_lag = lag_of(truth, estimate)
            out.row(
                "estimator_summary", now, self.site.trace.vms[vm].name, estimator=self.label, window=int(self.params.window),
                moments=len(known), truth=float(truth.mean()), estimate=float(estimate.mean()), bias=float(error.mean()),
                error=float(np.abs(error).mean()), rms=float(np.sqrt((error * error).mean())),
                lag=None if lag is None else lag * self._every, error_at_lag=error_at_lag,
                faults=int(self.faults[vm]), scans=int(self.scans[vm]),
            )  # fmt: skip


def lag_of(truth: np.ndarray, estimate: np.ndarray) -> tuple[int | None, float | None]:
    """By how many moments the estimate is late: the shift of the truth that leaves the least mean absolute error, and that error.

    Shifts go up to a half of the series (or ``_MANY``), and each is judged over the same moments, those behind the longest. None
    where the truth never changes, so that nothing tells.
    """
    most = min(len(truth) // 2, _MANY)
    if truth.min() == truth.max():
        return None, None
    errors = [float(np.abs(estimate[most:] - truth[most - shift : len(truth) - shift]).mean()) for shift in range(most + 1)]
    best = int(np.argmin(errors))
    return best, errors[best]
