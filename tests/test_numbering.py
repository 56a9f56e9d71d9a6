"""Page numbers by first touch: what a dict would give, whatever the ids and wherever blocks are cut."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tracekit.formats.numbering import Numbering

IDS = st.one_of(st.integers(0, 5), st.integers(0, 2**64 - 1), st.integers(0, 2**19).map(lambda i: i << 44))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(IDS, st.integers(0, 2)), max_size=300), st.integers(1, 300))
def test_numbers_are_those_of_a_dict(rows, block):
    twin, expected = [{}, {}, {}], []
    for key, vm in rows:
        expected.append(twin[vm].setdefault(key, len(twin[vm])))
    numbering = Numbering(3)
    found = []
    for at in range(0, len(rows), block):
        part = rows[at : at + block]
        found += numbering.number(np.array([key for key, _ in part], np.uint64), np.array([vm for _, vm in part], np.int32)).tolist()
    assert found == expected
    assert numbering.counts.tolist() == [len(each) for each in twin]


def test_the_table_grows():
    """Ids that share their low and high bits, many more than the table begins with; then again, all known."""
    ids = np.arange(50_000, dtype=np.uint64) << np.uint64(20)
    numbering = Numbering(1)
    vm = np.zeros(len(ids), np.int32)
    assert (numbering.number(ids, vm) == np.arange(len(ids))).all()
    assert (numbering.number(ids[::-1].copy(), vm) == np.arange(len(ids))[::-1]).all()
    assert numbering.counts.tolist() == [len(ids)]
