"""ESX's sampler as an estimator beside others, without the tax that it serves (paper section 5.3)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

from tracekit.kernel import jit
from tracekit.module import Out
from tracekit.modules.machine import window
from tracekit.modules.tax import sampler, sampling
from tracekit.modules.tax.estimator import Estimator
from tracekit.schema import SAMPLING


class Sampled(NamedTuple):
    """What is kept."""

    truth: window.Window
    samples: sampling.Samples


class EsxEstimator(Estimator):
    """Unmaps a few random pages of each VM and counts those that fault; the largest of three moving averages counts."""

    name = "esx"
    tables = (*Estimator.tables, SAMPLING)

    @dataclass(frozen=True)
    class Params(sampler.Params, Estimator.Params):
        pass

    def make(self, truth: window.Window) -> Sampled:
        self._sampler = sampler.Sampler(self.site, self.params, self.vms)
        return Sampled(truth, self._sampler.state)

    def start(self, kernels: ModuleType, states: Mapping[str, Any]) -> None:
        self._sampler.start(states)

    @staticmethod
    @jit
    def on_access(s, vm, page):
        window.see(s.truth, vm, page)
        sampling.count_touch(s.samples, vm, page)

    @staticmethod
    @jit
    def on_io(s, vm, page, to_device):
        sampling.count_device_write(s.samples, vm, page, to_device)

    @staticmethod
    @jit
    def on_event(s, t, vm, what, a):
        sampling.count_execution(s.samples, t, vm, what, a)

    def own_clocks(self) -> Mapping[str, int]:
        return {"sample": self._sampler.poll}

    def observe(self, now: int, due: Collection[str], out: Out) -> None:
        if "sample" in due:
            self._sampler.end_periods(now, out)
        self.faults[:], self.scans[:] = self._sampler.faults(), self._sampler.unmapped

    def estimate(self, vm: int) -> float:
        return self._sampler.estimate(vm)
