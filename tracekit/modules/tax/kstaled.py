"""Page ages by scans of all accessed bits, as kstaled keeps them (Lagar-Cavilla et al., ASPLOS 2019)."""

from dataclasses import dataclass

import numpy as np

from tracekit.module import Duration, Out, param
from tracekit.modules.machine import window
from tracekit.modules.tax.accessed import clear
from tracekit.modules.tax.estimator import Estimator
from tracekit.modules.tax.scanner import Bits, Scanner
from tracekit.schema import ESTIMATOR_AGES

#: Ages are kept in 8 bits; pages that were never touched are of the last.
OLDEST = 255


class Kstaled(Scanner):
    """Ages pages by scans: 0 if touched since the scan before, else one more; the working set is what is young enough.

    The histogram of ages is the cold-age histogram of far memory, and the ages at which touched pages are found its
    promotion histogram.
    """

    name = "kstaled"
    tables = (*Estimator.tables, ESTIMATOR_AGES)

    @dataclass(frozen=True)
    class Params(Scanner.Params):
        period: Duration = param(Duration(120 * 10**9), "how often all accessed bits are read and cleared", "ns", low=10**6)

    def make(self, truth: window.Window) -> Bits:
        self._scanned = False
        self._age = np.full(self.site.trace.pages, OLDEST, np.uint8)
        return super().make(truth)

    def scan(self, now: int, out: Out) -> None:
        bits = self.bits
        touched = bits.touched_in == bits.interval[0]
        before = self._age.copy()
        self._age[:] = np.where(touched, 0, np.minimum(self._age, OLDEST - 1) + 1)
        clear(bits)
        self._scanned = True
        self.scans += self.site.host.vm.pages
        for vm in self.vms:
            mine = self._pages(vm)
            pages = np.bincount(self._age[mine], minlength=OLDEST + 1)
            promoted = np.bincount(before[mine][touched[mine]], minlength=OLDEST + 1)
            for age in np.flatnonzero(pages + promoted):
                out.row(
                    "estimator_ages", now, self.site.trace.vms[vm].name, estimator=self.label, age=int(age), pages=int(pages[age]),
                    promoted=int(promoted[age]),
                )  # fmt: skip

    def estimate(self, vm: int) -> float | None:
        young = -(-self.params.window // self.params.period)
        return float((self._age[self._pages(vm)] < young).sum()) if self._scanned else None

    def _pages(self, vm: int) -> slice:
        first = int(self.site.host.vm.first[vm])
        return slice(first, first + int(self.site.host.vm.pages[vm]))
