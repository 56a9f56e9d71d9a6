"""The dirty log of a hypervisor, as of KVM's: pages are write-protected, and the first write of each in a period is logged."""

from dataclasses import dataclass

from tracekit.kernel import jit
from tracekit.module import Duration, Out, param
from tracekit.modules.machine import window
from tracekit.modules.tax.accessed import clear, mark
from tracekit.modules.tax.estimator import Estimator
from tracekit.modules.tax.scanner import Scanner


class DirtyLog(Scanner):
    """Counts the pages written in a period; pages that are only read it cannot see."""

    name = "dirty-log"
    needs = Estimator.needs | {"writes"}

    @dataclass(frozen=True)
    class Params(Scanner.Params):
        period: Duration = param(Duration(30 * 10**9), "how often the log is read and its pages protected again", "ns", low=10**6)

    @staticmethod
    @jit
    def on_access(s, vm, page, write):  # pyright: ignore[reportIncompatibleMethodOverride]
        window.see(s.truth, vm, page)
        if write:
            mark(s.accessed, vm, page)

    def scan(self, now: int, out: Out) -> None:
        self.found = clear(self.bits)
        self.faults += self.found
        self.scans += self.found
