"""Harvesting as Memtrade's producers do it: memory is taken piece by piece until the VM feels it (Maruf et al., SIGMETRICS 2023)."""

from dataclasses import dataclass

import numpy as np

from tracekit.module import Duration, Size, pages_of, param
from tracekit.modules.tax.limits import Limited


class Harvest(Limited):
    """Each epoch a VM's limit falls by a piece, until its page-ins a second exceed what they were by more than is tolerated;
    then the limit is off until it has recovered for some epochs, and harvesting begins anew.

    Memtrade watches the 99th percentile of a program's latency, or promotions from its swap; here it is page-ins, the host's
    and the guest's. What a VM's page-ins were is their mean over the epochs without a limit. What is harvested the others get
    by shares: there is no market.
    """

    name = "harvest"

    @dataclass(frozen=True)
    class Params(Limited.Params):
        epoch: Duration = param(Duration(5 * 10**9), "how often a piece is taken", "ns", low=10**6)
        piece: Size = param(Size(64 << 20), "what is taken at a time", "byte", low=4096)
        tolerated: float = param(10.0, "page-ins beyond those without a limit that are borne", "1/s", low=0.0)
        recovery: int = param(12, "epochs without a limit after too many page-ins", low=1, high=10**6)

    def _set_up(self) -> None:
        super()._set_up()
        vms = len(self.site.host.vm)
        self._rest = np.zeros(vms, np.int64)  # epochs of recovery left
        self._calm = np.zeros((vms, 2))  # seconds without a limit, and page-ins in them

    def observe(self, now: int) -> bool:
        began = self._looked
        ins = self.since(now, self.params.epoch)
        if ins is None:
            return False
        host, p = self.site.host, self.params
        seconds = (now - began) / 1e9
        unlimited = self.limit >= host.max
        self._calm[unlimited] += np.stack([np.full(len(ins), seconds), ins], axis=1)[unlimited]
        usual = self._calm[:, 1] / np.maximum(self._calm[:, 0], 1e-9)
        suffers = ~unlimited & (ins / seconds > usual + p.tolerated)
        self._rest = np.where(suffers, p.recovery, np.maximum(self._rest - 1, 0))
        lower = np.maximum(np.minimum(self.limit, host.vm.resident) - pages_of(p.piece), 1)
        self.limit = np.where((self._rest > 0) | (host.vm.accesses == 0), host.max, lower)
        return True
