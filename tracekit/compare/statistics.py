"""95 % intervals of means and of paired differences: over seeds by Student's t, over time by a block bootstrap.

A replay has one workload and no sampling error of its own; an interval says how far a difference could have been another with
other seeds, or with another stretch of a workload that goes on in the same way. It says nothing about other workloads.
"""

from typing import NamedTuple

import numpy as np

#: Fewer periods than this tell too little of how they depend on one another.
LEAST_PERIODS = 30
RESAMPLES = 2000
#: 97.5 % quantiles of Student's t for 1, 2, … degrees of freedom.
_STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


def student(degrees: int) -> float:
    """The 97.5 % quantile of Student's t (beyond 30 degrees of freedom to within 0.003)."""
    return _STUDENT[degrees - 1] if degrees <= len(_STUDENT) else 1.96 + 2.4 / degrees


def over_seeds(values: np.ndarray) -> Interval | None:
    """Interval of the mean of independent values, one a seed (paired differences are such); None for fewer than two."""
    if len(values) < 2:
        return None
    half = student(len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return Interval(float(values.mean() - half), float(values.mean() + half))


def block_length(series: np.ndarray) -> int:
    """Periods a block of the circular block bootstrap should have (Politis & White 2004, as corrected by Patton, Politis & White 2009).

    From autocovariances under a flat-top window as wide as they are seen to be significant: at |ρ| ≥ 2 √(log10 n / n), the rule
    of Politis (2003). 1 where periods are independent, at most the smaller of 3 √n and n / 3.
    """
    n = len(series)
    deviation = series - series.mean()
    if n < 4 or not deviation.any():
        return 1
    steps, most = max(5, int(np.ceil(np.sqrt(np.log10(n))))), int(np.ceil(np.sqrt(n)))
    lags = min(n - 1, 2 * (most + steps))
    covariance = np.array([deviation[: n - lag] @ deviation[lag:] for lag in range(lags + 1)]) / n
    small = np.abs(covariance[1:] / covariance[0]) < 2 * np.sqrt(np.log10(n) / n)
    runs = [lag for lag in range(len(small) - steps + 1) if small[lag : lag + steps].all()]
    width = min(2 * max(runs[0] if runs else most, 1), lags)
    lag = np.arange(1, width + 1)
    window = np.clip(2 * (1 - lag / width), 0, 1) * covariance[1 : width + 1]
    spectrum, slope = covariance[0] + 2 * window.sum(), 2 * (lag * window).sum()
    if spectrum <= 0:
        return 1
    best = (2 * slope**2 / (4 / 3 * spectrum**2)) ** (1 / 3) * n ** (1 / 3)
    return int(np.clip(np.ceil(best), 1, max(1, int(np.ceil(min(3 * np.sqrt(n), n / 3))))))


def over_time(pairs: np.ndarray, seed: int = 0) -> tuple[Interval, int] | None:
    """(interval, block length) of the difference of two figures of the same periods; None for fewer than ``LEAST_PERIODS``.

    ``pairs`` has a row a period and the columns x, w, y, v: the difference is Σx / Σw − Σy / Σv, with w and v 1 / periods for
    figures that are sums. Blocks of periods are drawn around a circle (Künsch 1989; Politis & Romano 1992), x and y together, so
    that what hits both at a time cancels. The interval is t with one degree of freedom less than there are blocks times the
    standard error of the drawn differences, scaled for the blocks' own mean: percentiles are too narrow where blocks are few.
    """
    n = len(pairs)
    if n < LEAST_PERIODS:
        return None
    found = _difference(pairs.sum(axis=0))
    length = block_length(_influence(pairs))
    starts = _draws(RESAMPLES * -(-n // length), n, seed).reshape(RESAMPLES, -1)
    rest = n - (starts.shape[1] - 1) * length  # the last block is cut, so that each resample has n periods
    around = np.concatenate([np.zeros((1, 4)), np.cumsum(np.concatenate([pairs, pairs[:length]]), axis=0)])
    whole, cut = around[length : length + n] - around[:n], around[rest : rest + n] - around[:n]
    drawn = _difference(whole[starts[:, :-1]].sum(axis=1) + cut[starts[:, -1]])
    blocks = n / length
    half = student(max(int(blocks) - 1, 1)) * drawn.std() * np.sqrt(blocks / (blocks - 1))
    return Interval(float(found - half), float(found + half)), length


def _difference(sums: np.ndarray) -> np.ndarray:
    x, w, y, v = np.moveaxis(sums, -1, 0)
    return x / w - y / v


def _influence(pairs: np.ndarray) -> np.ndarray:
    """What each period adds to the difference, to first order."""
    x, w, y, v = pairs.T
    return (x - x.sum() / w.sum() * w) / w.mean() - (y - y.sum() / v.sum() * v) / v.mean()


def _draws(count: int, below: int, seed: int) -> np.ndarray:
    """Integers below a bound, from raw bits, which NumPy promises not to change."""
    return ((np.random.PCG64(seed).random_raw(count) >> np.uint64(32)) * np.uint64(below) >> np.uint64(32)).astype(np.int64)
