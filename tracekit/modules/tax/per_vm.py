"""The idle tax at a rate of each VM's own: ``[[vm]] tax``, and ``tax.rate`` where a VM has none."""

import numpy as np

from tracekit.modules.tax.esx import IdleTax
from tracekit.modules.tax.targets import idle_price


class PerVmTax(IdleTax):
    """ρ = S / (P (f + k (1 − f))) with a k of each VM (paper section 5.2 has one for all; reviewers asked for weights by VM)."""

    name = "per-vm"

    def price(self, shares: np.ndarray, pages: np.ndarray, active: np.ndarray) -> np.ndarray:
        own = self.site.vm_options["tax"]
        return idle_price(shares, pages, active, np.where(own >= 0, own, self.params.rate))
