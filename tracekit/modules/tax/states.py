"""The states of free memory: where they begin and end, and ESXi's sliding scale (paper section 6.3; vSphere's manuals)."""

from typing import Any

from tracekit.errors import ScenarioError
from tracekit.host import STATES
from tracekit.modules.tax.targets import next_state

#: The two readings of a threshold: a state begins below its own, or below that of the state above it.
READINGS = ("own", "above")
#: ESXi's minFree: this part of the memory up to so many GiB, from the first on.
_MIN_FREE = ((4, 0.06), (12, 0.04), (28, 0.02), (float("inf"), 0.01))


def min_free(memory: int) -> int:
    """Pages that ESXi 5 and later keep free of a machine's: 6 % of the first 4 GiB, 4 % up to 12, 2 % up to 28, 1 % beyond."""
    kept, below = 0.0, 0.0
    for gib, part in _MIN_FREE:
        pages = gib * (1 << 18)
        kept += part * max(0.0, min(memory, pages) - below)
        below = pages
    return int(kept)


class States:
    """The host's state over time. ``clear``, where there is such a state, is ESXi's, between high and soft: large pages are
    broken for sharing. All pages here are small, so nothing is done in it, and it counts as high for what reclaims.
    """

    def __init__(self, params: Any, machine: int):
        """``params`` are those of ``Allocation``, ``machine`` the host's pages. Raises ScenarioError if thresholds rise."""
        self._margin, self._reading = params.margin, params.reading
        self._names = ("high", "clear", "soft", "hard", "low") if params.clear else STATES
        self._thresholds = tuple(getattr(params, name) for name in self._names)
        if list(self._thresholds) != sorted(self._thresholds, reverse=True):
            said = ", ".join(f"{threshold:g}" for threshold in self._thresholds)
            raise ScenarioError(f"tax.{', '.join(self._names)} = {said}; they must not rise")
        self._min_free = min_free(machine) if params.of == "min-free" else 0
        self.level = 0

    def hundred(self, usable: int) -> int:
        """Pages that the thresholds are percentages of, where guest pages can use ``usable``."""
        return max(self._min_free or usable, 1)

    def advance(self, free: int, usable: int) -> bool:
        """Free memory has come to ``free`` pages; returns whether the state has changed."""
        before = self.level
        self.level = next_state(before, 100.0 * free / self.hundred(usable), self._thresholds, self._margin, self._reading)
        return self.level != before

    @property
    def name(self) -> str:
        return self._names[self.level]

    @property
    def index(self) -> int:
        """The state's index in ``STATES``."""
        return STATES.index("high" if self.name == "clear" else self.name)

    def name_of(self, level: int) -> str:
        return self._names[level]
