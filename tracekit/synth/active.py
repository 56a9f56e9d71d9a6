"""The truth about active pages: how many distinct pages a VM touched in each period."""

import numpy as np


class ActivePages:
    """Counts distinct pages of one VM by consecutive periods of ``period`` ns from 0; touches must come in time order."""

    def __init__(self, vm: str, pages: int, period: int):
        self._vm, self._period = vm, period
        self._touched = np.zeros(pages, np.bool_)
        self.periods: list[dict[str, int | str]] = []

    def touch(self, t: int, ppn: np.ndarray) -> None:
        """The pages ``ppn`` are touched at time ``t``."""
        self._end_before(t)
        self._touched[ppn] = True

    def close(self, t: int) -> list[dict[str, int | str]]:
        """End the last period at ``t``, perhaps before its time; returns all periods."""
        self._end_before(t)
        if t > len(self.periods) * self._period:
            self._end(t)
        return self.periods

    def _end_before(self, t: int) -> None:
        while t >= (len(self.periods) + 1) * self._period:
            self._end((len(self.periods) + 1) * self._period)

    def _end(self, t: int) -> None:
        begins = len(self.periods) * self._period
        self.periods.append({"vm": self._vm, "begins": begins, "ends": t, "active": int(np.count_nonzero(self._touched))})
        self._touched[:] = False
