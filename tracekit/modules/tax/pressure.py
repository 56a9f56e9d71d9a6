"""Memory by pressure: a VM shrinks as long as it hardly waits for memory (Weiner et al., "TMO", ASPLOS 2022: senpai)."""

from dataclasses import dataclass

import numpy as np

from tracekit.module import Duration, param
from tracekit.modules.tax.limits import Limited


class Pressure(Limited):
    """Each period memory · ratio · max(0, 1 − pressure / tolerated) is taken from each VM, whether memory is short or not.

    Pressure is the part of time that a VM waits for page-ins, its own or the host's, at a stated price each. At or above what
    is tolerated the VM may grow again as it likes; as a replay does not slow down, pressure is what the trace would suffer.
    """

    name = "pressure"

    @dataclass(frozen=True)
    class Params(Limited.Params):
        look: Duration = param(Duration(6 * 10**9), "period", "ns", low=10**6)
        ratio: float = param(0.0005, "part of a VM's memory that is taken in a period without pressure", low=0.0, high=1.0)
        tolerated: float = param(0.1, "pressure at which nothing is taken", "%", low=1e-6, high=100.0)
        page_in: Duration = param(Duration(100_000), "what a VM waits for a page-in", "ns", low=0)

    def observe(self, now: int) -> bool:
        began = self._looked
        ins = self.since(now, self.params.look)
        if ins is None:
            return False
        host, p = self.site.host, self.params
        pressure = 100.0 * ins * p.page_in / (now - began)
        held = np.minimum(host.vm.resident, self.limit)
        taken = np.ceil(held * p.ratio * np.maximum(0.0, 1 - pressure / p.tolerated)).astype(np.int64)
        self.limit = np.where(pressure >= p.tolerated, host.max, np.maximum(held - taken, 1))
        self.limit[host.vm.accesses == 0] = host.max[host.vm.accesses == 0]
        return True
