"""ESX's idle memory tax (paper section 5.2), and it with perfect knowledge of what is active."""

from dataclasses import dataclass

import numpy as np

from tracekit.module import param
from tracekit.modules.tax.allocation import Allocation
from tracekit.modules.tax.targets import idle_price
from tracekit.scenario import MOST_TAX, NOT_ALL


class IdleTax(Allocation):
    """Shares per page with idle pages k = 1/(1 − τ) times as dear: ρ = S / (P (f + k (1 − f)))."""

    name = "esx"

    @dataclass(frozen=True)
    class Params(Allocation.Params):
        rate: float = param(
            0.75,
            "tax rate τ: the part of an idle page's worth that is taken; 0 is pure shares, 1 is not defined",
            low=0.0,
            high=MOST_TAX,
            why=NOT_ALL,
        )

    def price(self, shares: np.ndarray, pages: np.ndarray, active: np.ndarray) -> np.ndarray:
        return idle_price(shares, pages, active, self.params.rate)


class ExactTax(IdleTax):
    """The idle tax on the truth instead of an estimate: the bound for every estimator.

    The truth is what the last full period touched, or what the running one has touched if that is more.
    """

    name = "exact"

    def perceived(self, vm: int) -> float:
        return float(max(self._sampler.last[vm], self._sampler.state.active[vm]))
