"""Counting equal contents: fast, and by VM, against counting by hand."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracekit.duplicates import GROUPED, by_vm, count_values
from tracekit.inspect import corrected_distinct


def counted(values, threads):
    distinct, counts = count_values(np.array(values, np.uint64), threads)
    assert len(set(distinct.tolist())) == len(distinct)
    return dict(zip(distinct.tolist(), counts.tolist(), strict=True))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2, 3, (1 << 64) - 1, 1 << 63, 7 << 32])), st.integers(1, 3))
def test_counts_equal_the_counters(values, threads):
    assert counted(values, threads) == Counter(values)


@pytest.mark.parametrize("kind", ["small numbers", "digests", "one value", "high bits", "many and two often"])
def test_many_values_over_many_parts(kind):
    rng = np.random.default_rng(4)
    values = {
        "small numbers": rng.integers(0, 5000, 200_000),
        "digests": rng.integers(0, 1 << 63, 50_000)[rng.integers(0, 50_000, 200_000)],
        "one value": np.full(200_000, 9),
        "many and two often": rng.permutation(np.concatenate([rng.integers(0, 1 << 63, 1_200_000), np.repeat([0, 77], 100_000)])),
        "high bits": rng.integers(0, 3000, 200_000) << 50,
    }[kind].astype(np.uint64)
    distinct, counts = np.unique(values, return_counts=True)
    assert counted(values, 2) == dict(zip(distinct.tolist(), counts.tolist(), strict=True))


def grouped(digests, owners, told, zero):
    """The columns of ``by_vm`` by VM, by their definition."""
    table, pages_of = defaultdict(Counter), defaultdict(list)
    for page, digest in enumerate(digests):
        if told[page]:
            pages_of[digest].append(page)
            table[owners[page]].update(pages=1, zero=int(digest == zero))
    for digest, pages in pages_of.items():
        table[owners[pages[0]]]["distinct"] += 1
        for k, page in enumerate(pages):
            table[owners[page]]["shared"] += len(pages) > 1
            if k:
                kind = "zero" if digest == zero else "within" if owners[pages[k - 1]] == owners[page] else "between"
                table[owners[page]][f"reclaimed_{kind}"] += 1
    return table


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.booleans()), max_size=40), st.integers(0, 4))
def test_grouping_by_vm_equals_the_definition(pages, zero):
    pages = sorted(pages, key=lambda page: page[1])
    digests, owners, told = ([page[i] for page in pages] for i in range(3))
    found = by_vm(np.array(digests, np.uint64), np.array(told, bool), np.array(owners, np.uint16), 3, zero)
    expected = grouped(digests, owners, told, zero)
    assert {name: found[name].tolist() for name in GROUPED} == {name: [expected[vm][name] for vm in range(3)] for name in GROUPED}
    parts = sum(found[f"reclaimed_{kind}"] for kind in ("zero", "within", "between"))
    assert (parts == found["pages"] - found["distinct"]).all() or parts.sum() == found["pages"].sum() - found["distinct"].sum()


def test_contents_behind_digests_of_few_bits_are_estimated_within_the_interval():
    rng, bits, contents = np.random.default_rng(2), 20, 60_000
    inside = 0
    for _ in range(100):
        estimate, low, high = corrected_distinct(bits, len(np.unique(rng.integers(0, 1 << bits, contents))))
        inside += low <= contents <= high
        assert estimate == pytest.approx(contents, rel=0.01)
    assert inside >= 90
    assert corrected_distinct(64, 10**6)[0] == pytest.approx(10**6, abs=0.01)
