"""The dirty log of a hypervisor, as of KVM's: pages are write-protected, and the first write of each in a period is logged."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tracekit.kernel import jit
from tracekit.module import Duration, Out, param
from tracekit.modules.machine import window
from tracekit.modules.tax.accessed import accessed, clear, mark
from tracekit.modules.tax.estimator import Estimator
from tracekit.modules.tax.idle_bitmap import Bitmap


class DirtyLog(Estimator):
    """Counts the pages written in a period; pages that are only read it cannot see."""

    name = "dirty-log"
    needs = Estimator.needs | {"writes"}

    @dataclass(frozen=True)
    class Params(Estimator.Params):
        period: Duration = param(Duration(30 * 10**9), "how often the log is read and its pages protected again", "ns", low=10**6)

    def make(self, truth: window.Window) -> Bitmap:
        self._found = None
        self._state = Bitmap(truth, accessed(self.site.trace.pages, len(self.site.trace.vms)))
        return self._state

    @staticmethod
    @jit
    def on_access(s, vm, page, write):
        window.see(s.truth, vm, page)
        if write:
            mark(s.accessed, vm, page)

    def own_clocks(self) -> Mapping[str, int]:
        return {"read": self.params.period}

    def observe(self, now: int, due: Collection[str], out: Out) -> None:
        if "read" in due:
            self._found = clear(self._state.accessed)
            self.faults += self._found
            self.scans += self._found

    def estimate(self, vm: int) -> float | None:
        return None if self._found is None else float(self._found[vm])
