"""Slow, readable twins of ``tracekit.compare.statistics`` and ``pareto``."""

import math

import numpy as np


def dominated(points, i):
    """Whether any other point is no worse in all and better in one (less is better)."""
    mine = points[i]
    if any(math.isnan(x) for x in mine):
        return True
    return any(all(a <= b for a, b in zip(other, mine)) and any(a < b for a, b in zip(other, mine)) for other in points)


def autocovariance(series, lag):
    mean = sum(series) / len(series)
    return sum((series[i] - mean) * (series[i + lag] - mean) for i in range(len(series) - lag)) / len(series)


def block_length(series):
    """Politis & White (2004), section 3.2 and the corrected constants of Patton, Politis & White (2009), circular bootstrap."""
    n = len(series)
    if n < 4 or len(set(series)) == 1:
        return 1
    in_a_row = max(5, math.ceil(math.sqrt(math.log10(n))))
    most = math.ceil(math.sqrt(n))
    lags = min(n - 1, 2 * (most + in_a_row))
    correlation = [autocovariance(series, lag) / autocovariance(series, 0) for lag in range(lags + 1)]
    small = [abs(correlation[lag]) < 2 * math.sqrt(math.log10(n) / n) for lag in range(1, lags + 1)]
    m = next((lag for lag in range(len(small) - in_a_row + 1) if all(small[lag : lag + in_a_row])), most)
    width = min(2 * max(m, 1), lags)

    def flat_top(x):
        return 1 if abs(x) <= 0.5 else 2 * (1 - abs(x)) if abs(x) <= 1 else 0

    every = range(-width, width + 1)
    g = sum(flat_top(k / width) * autocovariance(series, abs(k)) for k in every)
    slope = sum(flat_top(k / width) * abs(k) * autocovariance(series, abs(k)) for k in every)
    if g <= 0:
        return 1
    best = (2 * slope**2 / (4 / 3 * g**2)) ** (1 / 3) * n ** (1 / 3)
    return int(min(max(math.ceil(best), 1), math.ceil(min(3 * math.sqrt(n), n / 3))))


def resampled(pairs, starts, length):
    """The difference of each resample: blocks laid end to end around the circle and cut to n periods."""
    n, found = len(pairs), []
    for blocks in starts:
        rows = [(start + i) % n for start in blocks for i in range(length)][:n]
        x, w, y, v = (sum(pairs[row][column] for row in rows) for column in range(4))
        found.append(x / w - y / v)
    return np.array(found)
