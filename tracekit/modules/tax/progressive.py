"""Idle memory taxed by its share or VM by VM, as the products after the paper did (paper section 5.2: "more progressive" taxes)."""

import numpy as np

from tracekit.modules.tax.esx import IdleTax
from tracekit.modules.tax.targets import idle_price


class ProgressiveTax(IdleTax):
    """The more of its memory a VM leaves idle, the higher its rate: τ (1 − f), from 0 for a busy VM to τ for an idle one.

    The paper says of later rates only that they are progressive; that the rate rises in proportion is tracekit's choice.
    """

    name = "progressive"

    def price(self, shares: np.ndarray, pages: np.ndarray, active: np.ndarray) -> np.ndarray:
        idle = 1.0 - np.minimum(active, pages) / pages
        return idle_price(shares, pages, active, self.params.rate * idle)
