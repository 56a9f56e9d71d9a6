"""Dominant resource fairness over memory and processors (Ghodsi et al., NSDI 2011)."""

from dataclasses import dataclass

import numpy as np

from tracekit.errors import ScenarioError
from tracekit.module import param
from tracekit.modules.tax.allocation import Allocation
from tracekit.modules.tax.max_min import fill


class Drf(Allocation):
    """VMs want memory (their active pages) and instructions (their clock events: what they executed lately), in fixed proportion.

    A VM's dominant share is the larger of its parts of the two. All dominant shares are raised together, in proportion to the
    VMs' shares, until a resource is used up or a VM has what it wants; memory that nobody wants is dealt out as by max-min.
    A replay executes what the trace did: only memory is divided, the processors' part of each VM is as it would be.
    """

    name = "drf"
    needs = Allocation.needs | {"execution_clock"}

    @dataclass(frozen=True)
    class Params(Allocation.Params):
        instructions: float = param(0.0, "what the host's processors can execute in a second; 0: the most seen so far", "1/s", low=0.0)
        recent: float = param(0.3, "weight of the time since the last reallocation in what a VM executes", low=1e-3, high=1.0)

    def _set_up(self) -> None:
        vms = len(self.site.host.vm)
        self._executed, self._seen_at = np.zeros(vms), self.site.origin
        self._rate, self._most = np.zeros(vms), 0.0

    def observe(self, now: int) -> bool:
        passed = now - self._seen_at
        if passed < self.params.reallocate:
            return False
        executed = self._sampler.state.clock[:, 2].astype(float)
        rate = np.maximum(executed - self._executed, 0) / passed * 1e9
        self._rate = np.where(self._rate > 0, self._rate + self.params.recent * (rate - self._rate), rate)
        self._most = max(self._most, float(self._rate.sum()))
        self._executed, self._seen_at = executed, now
        return False

    def divide(self, least: np.ndarray, most: np.ndarray, memory: int) -> np.ndarray:
        host = self.site.host
        wanted = np.stack([np.minimum(host.active, most), np.where(most > 0, self._rate, 0)], axis=1).astype(float)
        capacity = np.array([memory, self.params.instructions or max(self._most, 1.0)], float)
        part = dominant(wanted, capacity, host.shares.astype(float))[:, 0].astype(np.int64)
        floor = np.clip(part, least, most)
        if floor.sum() > memory:  # minima come first
            return fill(least, floor, memory)
        return fill(floor, most, memory)


def dominant(wanted: np.ndarray, capacity: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What each gets of each resource (float, of the shape of ``wanted``: users × resources) by dominant resource fairness.

    Dominant shares rise together by weight. A user stops when it has what it wants, or when a resource that it wants is used up.
    """
    if (weights <= 0).any():
        raise ScenarioError("weights must be positive")
    share = (wanted / capacity).max(axis=1)  # dominant share of all that a user wants
    got, open_ = np.zeros(len(wanted)), share > 0  # got: the part of what it wants
    each = np.divide(wanted * weights[:, None], share[:, None], out=np.zeros_like(wanted), where=share[:, None] > 0)  # by unit of level
    left = capacity.astype(float).copy()
    level = 0.0
    while open_.any():
        rate = each[open_].sum(axis=0)
        steps = np.divide(left, rate, out=np.full(len(left), np.inf), where=rate > 0)
        until = np.where(open_, share / weights - level, np.inf)
        step = max(0.0, min(float(steps.min()), float(until.min())))
        level += step
        left = left - step * rate
        got[open_] = np.minimum(level * weights[open_] / share[open_], 1.0)
        spent = left <= capacity * 1e-12
        open_ &= (until > step * (1 + 1e-12)) & ~(each[:, spent] > 0).any(axis=1)
    return wanted * got[:, None]
