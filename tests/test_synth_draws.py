"""Draws and weights of recipes against twins in exact arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from tracekit import rng
from tracekit.synth.draws import Draws, times
from tracekit.synth.zipf_table import Zipf, cumulative_weights


def test_draws_equal_their_twin_in_plain_integers():
    key, mask = Draws("a", 1).key, (1 << 64) - 1

    def word(counter: int) -> int:
        z = (key + counter * 0x9E3779B97F4A7C15) & mask
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        return z ^ z >> 31

    draws = Draws("a", 1)
    assert draws.bits(3).tolist() + draws.bits(2).tolist() == [word(i) for i in range(1, 6)]
    for limit in (1, 3, 1000, (1 << 62) - 1):
        exact = [(word(i) >> 11) * limit >> 53 for i in range(1, 1001)]
        assert all(abs(a - b) <= limit >> 50 for a, b in zip(Draws("a", 1).below(limit, 1000).tolist(), exact))


def test_draws_equal_the_engines_generator():
    state = rng.stream("a", 1)
    with np.errstate(over="ignore"):
        assert Draws("a", 1).bits(5).tolist() == [int(rng.bits(state)) for _ in range(5)]


def test_permutation_and_times():
    assert sorted(Draws("p").permutation(1000).tolist()) == list(range(1000))
    assert times(10**12, 3, 1001).tolist() == [(10**12 + i) * 10**9 // 1001 for i in range(3)]


@pytest.mark.parametrize("alpha", [0, 1, 2, 3])
def test_zipf_table_equals_exact_weights(alpha):
    table = cumulative_weights(3000, alpha)
    weights = np.diff(table, prepend=0).tolist()
    unit = 1 << 61 - (3000).bit_length()
    for rank, weight in enumerate(weights, 1):
        exact = Fraction(unit, rank**alpha)
        assert abs(weight - exact) <= 1 + exact / 10**14
    assert table[-1] < 1 << 62


@pytest.mark.parametrize("alpha", [0.6, 0.99, 1.3, 10.0])
def test_zipf_table_equals_powers(alpha):
    weights = np.diff(cumulative_weights(100_000, alpha), prepend=0)
    exact = np.arange(1, 100_001) ** -alpha * float(1 << 61 - (100_000).bit_length())
    assert (np.abs(weights - exact) <= 1 + exact * 1e-13).all()


@pytest.mark.parametrize(("pages", "alpha"), [(1, 1.0), (2, 0.0), (1000, 0.0), (1000, 0.8), (1000, 1.5), (777, 10.0)])
def test_the_alias_table_holds_the_weights(pages, alpha):
    """A page's parts of all slots make up its weight, in units of a slot's 2³² parts."""
    by_rank = Draws("order").permutation(pages).astype(np.uint32)
    table = Zipf(by_rank, alpha).table.astype(np.int64)
    held = np.bincount(np.arange(pages), table[:, 0], pages) + np.bincount(table[:, 1], (1 << 32) - table[:, 0], pages)
    weights = np.arange(1, pages + 1) ** -alpha
    expected = weights / weights.sum() * (pages << 32)
    assert held.sum() == pages << 32
    assert (np.abs(held[by_rank] - expected)[1:] <= 2 + expected[1:] * 1e-12).all()
    assert abs(held[by_rank[0]] - expected[0]) <= 2 * pages


def test_drawn_pages_equal_their_twin_in_plain_integers():
    law, draws = Zipf(Draws("order").permutation(1000).astype(np.uint32), 1.0), Draws("twin")
    words = Draws("twin").bits(500).tolist()
    expected = []
    for word in words:
        slot, part = divmod(word * 1000 >> 32, 1 << 32)
        expected.append(slot if part < int(law.table[slot, 0]) else int(law.table[slot, 1]))
    assert law.draw(draws, 200).tolist() + law.draw(draws, 300).tolist() == expected
