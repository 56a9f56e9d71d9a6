"""Pure proportional shares: whoever pays the fewest shares a page gives way (paper section 5.1)."""

import numpy as np

from tracekit.modules.tax.allocation import Allocation


class Shares(Allocation):
    """Min-funding revocation without a tax; the same as the idle tax at rate 0."""

    name = "shares"

    def price(self, shares: np.ndarray, pages: np.ndarray, active: np.ndarray) -> np.ndarray:
        return shares / pages
