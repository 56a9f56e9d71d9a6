"""Max-min fairness: whoever wants little gets it, and the others equally much (Bertsekas & Gallager, Data Networks, 1992)."""

import numpy as np

from tracekit.modules.tax.allocation import Allocation


class MaxMin(Allocation):
    """Every VM gets what it uses, or if that is too much for all, up to one level for all; what is left is dealt out likewise.

    What a VM wants is its estimate of active pages. Shares do not count.
    """

    name = "max-min"

    def divide(self, least: np.ndarray, most: np.ndarray, memory: int) -> np.ndarray:
        wanted = np.clip(self.site.host.active, least, most)
        level = fill(least, wanted, memory)
        return fill(level, most, memory) if level.sum() < memory else level


def fill(least: np.ndarray, most: np.ndarray, memory: int) -> np.ndarray:
    """Pages (int64), between ``least`` and ``most``, raised from below to one level until their sum is ``memory``.

    What rounding leaves over goes to the first that can take it. Σ least ≤ memory is the caller's to ensure.
    """
    low, high = 0, int(most.max(initial=0))
    while low < high:  # the highest level that memory suffices for
        level = (low + high + 1) // 2
        if np.clip(level, least, most).sum() <= memory:
            low = level
        else:
            high = level - 1
    found = np.clip(low, least, most).astype(np.int64)
    room = np.flatnonzero((found < most) & (found == low))
    found[room[: max(0, memory - int(found.sum()))]] += 1
    return found
