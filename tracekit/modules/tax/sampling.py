"""Statistical sampling of active pages: what is counted, and what it says with which error (paper section 5.3)."""

import math
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.schema import EVENTS
from tracekit.stream import NO_PAGE

_CLOCK = EVENTS.index("clock")
#: 97.5 % quantile of the normal distribution: two-sided intervals of 95 %.
Z95 = 1.959963984540054


class Samples(NamedTuple):
    """State of the sampler. A page's stamp equals its VM's period if it was touched, or is sampled, in that period."""

    touched_in: np.ndarray  # int32 by page: last period in which the page was touched
    sampled_in: np.ndarray  # int32 by page: last period in which the page was in the sample
    device_in: np.ndarray  # int32 by page: last period in which a device wrote it
    period: np.ndarray  # int32 by VM: number of the running period, from 1
    active: np.ndarray  # int64 by VM: distinct pages touched in the running period
    hits: np.ndarray  # int64 by VM: sampled pages touched in the running period
    unseen: np.ndarray  # int64 by VM: pages that devices alone have written in the running period
    clock: np.ndarray  # int64 (vm, 3): ns of execution by the last clock event, its t, its a
    pace: np.ndarray  # float64 by VM: part of the time up to the last clock event that counted as executed
    rate: np.ndarray  # float64: instructions a second that count as executing all the time; 0: any progress does
    rng: np.ndarray  # uint64 (vm, 2)


def samples(pages: int, vms: int, rate: float, origin: int, streams: np.ndarray) -> Samples:
    """A sampler before its first period."""
    clock = np.zeros((vms, 3), np.int64)
    clock[:, 1] = origin
    return Samples(
        touched_in=np.zeros(pages, np.int32),
        sampled_in=np.zeros(pages, np.int32),
        device_in=np.zeros(pages, np.int32),
        period=np.zeros(vms, np.int32),
        active=np.zeros(vms, np.int64),
        hits=np.zeros(vms, np.int64),
        unseen=np.zeros(vms, np.int64),
        clock=clock,
        pace=np.ones(vms),
        rate=np.array([rate]),
        rng=streams,
    )


@jit
def count_touch(s, vm, page):
    """The first touch of a page in a period counts for the truth, and for the estimate if the page is sampled."""
    period = s.period[vm]
    if s.touched_in[page] != period:
        s.touched_in[page] = period
        s.active[vm] += 1
        if s.sampled_in[page] == period:
            s.hits[vm] += 1
        if s.device_in[page] == period:
            s.unseen[vm] -= 1


@jit
def count_device_write(s, vm, page, to_device):
    """A device writes a page, which no page table tells: counted apart until the VM itself touches the page."""
    period = s.period[vm]
    if to_device <= 0 and page != NO_PAGE and s.device_in[page] != period:
        s.device_in[page] = period
        if s.touched_in[page] != period:
            s.unseen[vm] += 1


@jit
def count_execution(s, t, vm, what, a):
    """An event; one of the clock says that the VM has executed ``a`` instructions by ``t``.

    The time since the last one counts as executed in proportion to the instructions, up to all of it.
    """
    if what != _CLOCK:
        return
    passed, progress = t - s.clock[vm, 1], a - s.clock[vm, 2]
    if passed > 0:
        s.pace[vm] = 0.0
        if progress > 0:
            s.pace[vm] = 1.0 if s.rate[0] == 0.0 else min(1.0, progress / s.rate[0] * 1e9 / passed)
        s.clock[vm, 0] += np.int64(s.pace[vm] * passed)
    s.clock[vm, 1] = t
    s.clock[vm, 2] = a


def own_time(s: Samples, vm: int, now: int) -> int:
    """ns of execution time that a VM has lived; since its last clock event, at the pace it had before.

    A VM without clock events lives in wall time.
    """
    return int(s.clock[vm, 0]) + int(s.pace[vm] * (now - int(s.clock[vm, 1])))


def interval(hits: int, n: int, pages: int) -> tuple[float, float]:
    """95 % interval of the number of active pages among ``pages``, of which ``hits`` of ``n`` sampled ones were.

    Wilson's score interval with the finite population correction: the variance of a sample drawn without replacement
    is smaller by (P − n)/(P − 1), which is that of a sample larger by the inverse. What the sample itself has seen
    bounds it: ``hits`` pages are active, ``n − hits`` are not.
    """
    if n >= pages:
        return float(hits), float(hits)
    size = n * (pages - 1) / (pages - n)
    f, z2 = hits / n, Z95 * Z95
    centre = (f + z2 / (2 * size)) / (1 + z2 / size)
    half = Z95 / (1 + z2 / size) * math.sqrt(f * (1 - f) / size + z2 / (4 * size * size))
    low = (centre - half) * pages if hits > 0 else 0.0  # exact where rounding would not be
    high = (centre + half) * pages if hits < n else float(pages)
    return max(low, float(hits)), min(high, float(pages - (n - hits)))


def standard_error(active: float, n: int, pages: int) -> float:
    """Standard error, in pages, of P · t/n when ``n`` of P ``pages`` are sampled without replacement and ``active`` are in use."""
    if n >= pages:
        return 0.0
    f = active / pages
    return math.sqrt(f * (1 - f) / n * (pages - n) / (pages - 1)) * pages


class Averages:
    """The slow and the fast moving average of one VM's active fraction. Before the first period all pages count as
    active: memory is not taxed without evidence.
    """

    def __init__(self, slow_gain: float, fast_gain: float):
        self._gains = slow_gain, fast_gain
        self.slow = self.fast = 1.0
        self._empty = True

    def add(self, fraction: float) -> None:
        """A period has ended with this fraction of its sample touched."""
        if self._empty:
            self.slow = self.fast = fraction
            self._empty = False
            return
        self.slow += self._gains[0] * (fraction - self.slow)
        self.fast += self._gains[1] * (fraction - self.fast)

    def estimate(self, running: float) -> float:
        """The largest of the slow, the fast, and the fast average with the running period's fraction folded in."""
        if self._empty:
            return 1.0
        return max(self.slow, self.fast, self.fast + self._gains[1] * (running - self.fast))
