"""Intervals and fronts: against slow twins, and how often intervals cover."""

import numpy as np
import pytest
import reference_statistics as slow
from hypothesis import given, settings
from hypothesis import strategies as st

from tracekit.compare import statistics
from tracekit.compare.pareto import front

VALUES = st.sampled_from([0.0, 1.0, 2.0, 3.0, float("nan")])


@given(st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=12))
def test_the_front_is_what_nothing_dominates(points):
    assert front(np.array(points)).tolist() == [not slow.dominated(points, i) for i in range(len(points))]


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=40))
def test_block_lengths_are_those_of_the_slow_twin(series):
    assert statistics.block_length(np.array(series, float)) == slow.block_length(series)


def walk(draw, n, rho):
    """A stationary series in which each value keeps ``rho`` of the one before."""
    values = [draw.standard_normal() / np.sqrt(1 - rho**2)]
    for shock in draw.standard_normal(n - 1):
        values.append(rho * values[-1] + shock)
    return np.array(values)


def test_blocks_grow_with_dependence():
    lengths = [np.mean([statistics.block_length(walk(np.random.default_rng(i), 400, rho)) for i in range(20)]) for rho in (0, 0.5, 0.9)]
    assert lengths[0] < 3 < lengths[1] < 14 < lengths[2] < 60
    # Of AR(1) the best length is (2 ρ / (1 − ρ²))^(2/3) (3/2 n)^(1/3).
    assert lengths[1] == pytest.approx((2 * 0.5 / 0.75) ** (2 / 3) * 600 ** (1 / 3), rel=0.3)


@given(st.integers(0, 1000), st.sampled_from([1, 2, 3, 7]))
@settings(max_examples=10)
def test_resamples_are_those_of_the_slow_twin(seed, length):
    draw = np.random.default_rng(seed)
    pairs = draw.integers(1, 9, (statistics.LEAST_PERIODS + seed % 5, 4)).astype(float)
    n = len(pairs)
    starts = statistics._draws(50 * -(-n // length), n, seed).reshape(50, -1)
    assert starts.min() >= 0 and starts.max() < n
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(statistics, "RESAMPLES", 50)
        patched.setattr(statistics, "block_length", lambda series: length)
        interval, told = statistics.over_time(pairs, seed)
    blocks = n / length
    half = (
        statistics.student(int(blocks) - 1) * slow.resampled(pairs.tolist(), starts.tolist(), length).std() * np.sqrt(blocks / (blocks - 1))
    )
    found = pairs[:, 0].sum() / pairs[:, 1].sum() - pairs[:, 2].sum() / pairs[:, 3].sum()
    assert told == length and interval == pytest.approx((found - half, found + half))


def paired(x, y):
    n = len(x)
    return np.column_stack([x, np.full(n, 1 / n), y, np.full(n, 1 / n)])


def test_the_difference_of_sums_and_of_ratios():
    x, y, accesses = np.arange(40.0), np.arange(40.0)[::-1] * 2, np.full(40, 10.0)
    (low, high), _ = statistics.over_time(paired(x, y))
    assert (low + high) / 2 == pytest.approx(x.sum() - y.sum())
    (low, high), _ = statistics.over_time(np.column_stack([x, accesses, y, accesses]))
    assert (low + high) / 2 == pytest.approx((x.sum() - y.sum()) / 400)


def test_what_hits_both_at_a_time_cancels_and_no_difference_is_certain():
    draw = np.random.default_rng(1)
    common = 100 * walk(draw, 100, 0.5)
    (low, high), _ = statistics.over_time(paired(common + draw.standard_normal(100), common))
    assert high - low < 200
    assert statistics.over_time(paired(common, common)) == ((0, 0), 1)
    assert statistics.over_time(paired(common, common)[: statistics.LEAST_PERIODS - 1]) is None


@pytest.mark.parametrize(("n", "rho", "least"), [(30, 0.0, 0.92), (100, 0.0, 0.92), (100, 0.5, 0.87), (400, 0.5, 0.91)])
def test_intervals_over_time_cover(n, rho, least, monkeypatch):
    """The difference of two series that both depend on their past, 200 times; docs/api.md tells what they cover."""
    monkeypatch.setattr(statistics, "RESAMPLES", 400)
    hits = 0
    for i in range(200):
        draw = np.random.default_rng(i)
        x, y = 5 + walk(draw, n, rho), 3 + walk(draw, n, rho)
        (low, high), _ = statistics.over_time(paired(x, y), i)
        hits += low <= 2 * n <= high
    assert least <= hits / 200 <= 0.99


def test_intervals_over_seeds_cover():
    draw = np.random.default_rng(0)
    found = [statistics.over_seeds(draw.normal(7, 2, 4)) for _ in range(1000)]
    assert np.mean([low <= 7 <= high for low, high in found]) == pytest.approx(0.95, abs=0.02)
    assert statistics.over_seeds(np.array([3.0])) is None
    assert statistics.over_seeds(np.array([3.0, 3.0])) == (3, 3)
