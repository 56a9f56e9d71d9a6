"""Hot now, not hot ever: copies count the less the older they are, smoothly or by a window."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import Duration, Site, param
from tracekit.modules.remapping.hot import Hot
from tracekit.modules.remapping.remap import Remap

#: Copies are counted in parts of 2⁻¹⁶, so that they can be halved.
_SHIFT = 16


class Aging(NamedTuple):
    """Copies of each page, by steps of time."""

    threshold: np.ndarray  # int64, one: copies
    step: np.ndarray  # int64, one: ns
    copies: np.ndarray  # int64 by page: copies in this step, or weight of all
    before: np.ndarray  # int64 by page: copies in the step before (window)
    at: np.ndarray  # int64 by page: number of the step that copies is of


def aging(threshold: int, step: int, site: Site) -> Aging:
    """No copies yet."""
    pages = site.trace.pages
    first = np.full(pages, site.origin // step, np.int64)
    return Aging(np.array([threshold]), np.array([step]), np.zeros(pages, np.int64), np.zeros(pages, np.int64), first)


class Decay(Remap):
    """A page is moved once its copies, each worth half as much after every half-life, exceed a threshold.

    Halving takes place at whole half-lives since time 0 (aging), for all pages alike.
    """

    name = "decay"
    Params = Hot.Params

    def state(self, site: Site) -> Aging:
        return aging(self.params.threshold << _SHIFT, self.params.half_life, site)

    @staticmethod
    @jit
    def hot(s, page, t, to_device):
        step = t // s.step[0]
        s.copies[page] >>= min(step - s.at[page], 62)
        s.at[page] = step
        s.copies[page] += (2 if to_device < 0 else 1) << _SHIFT
        return s.copies[page] > s.threshold[0]


class Window(Remap):
    """A page is moved once its copies within the last ``window`` exceed a threshold.

    Copies are counted by whole windows; of the last whole one the part counts that the sliding window still covers, as if
    its copies had come evenly, rounded down.
    """

    name = "window"

    @dataclass(frozen=True)
    class Params(Hot.Params):
        window: Duration = param(Duration(10**9), "time in which a hot page is copied so often", "ns", low=10**3)

    def state(self, site: Site) -> Aging:
        return aging(self.params.threshold, self.params.window, site)

    @staticmethod
    @jit
    def hot(s, page, t, to_device):
        step = t // s.step[0]
        passed = step - s.at[page]
        if passed > 0:
            s.before[page] = s.copies[page] if passed == 1 else 0
            s.copies[page] = 0
            s.at[page] = step
        s.copies[page] += 2 if to_device < 0 else 1
        left = (step + 1) * s.step[0] - t
        return s.copies[page] + s.before[page] * left // s.step[0] > s.threshold[0]
