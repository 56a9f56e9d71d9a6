"""The full idle-page bitmap, as of Linux's page_idle: every page is marked idle, and looked at when a period has passed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tracekit.kernel import jit
from tracekit.module import Duration, Out, param
from tracekit.modules.machine import window
from tracekit.modules.tax.accessed import Accessed, accessed, clear, mark
from tracekit.modules.tax.estimator import Estimator


class Bitmap(NamedTuple):
    """What is kept."""

    truth: window.Window
    accessed: Accessed


class IdleBitmap(Estimator):
    """Marks every page idle at the start of a period and counts those that are not at its end: exact then, stale in between."""

    name = "idle-bitmap"

    @dataclass(frozen=True)
    class Params(Estimator.Params):
        period: Duration = param(Duration(30 * 10**9), "how often all pages are looked at and marked idle again", "ns", low=10**6)

    def make(self, truth: window.Window) -> Bitmap:
        self._found = None
        self._state = Bitmap(truth, accessed(self.site.trace.pages, len(self.site.trace.vms)))
        return self._state

    @staticmethod
    @jit
    def on_access(s, vm, page):
        window.see(s.truth, vm, page)
        mark(s.accessed, vm, page)

    def own_clocks(self) -> Mapping[str, int]:
        return {"scan": self.params.period}

    def observe(self, now: int, due: Collection[str], out: Out) -> None:
        if "scan" in due:
            self._found = clear(self._state.accessed)
            self.scans += 2 * self.site.host.vm.pages  # read, and marked idle again

    def estimate(self, vm: int) -> float | None:
        return None if self._found is None else float(self._found[vm])
