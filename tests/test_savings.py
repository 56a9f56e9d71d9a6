"""Counting sharing by what changed: the groups against counting by hand; every module within its bound; order of VMs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_trace import ZERO_DIGEST
from reference import save
from test_duplicates import grouped

import tracekit
from tracekit.kernel import entry
from tracekit.modules.sharing.groups import SUMS, enter, leave, make_groups

pytestmark = pytest.mark.uncompiled


@entry
def come(g, key, zero, vm):
    enter(g, np.uint64(key), zero, vm)


@entry
def go(g, key, vm):
    leave(g, np.uint64(key), vm)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.one_of(st.none(), st.integers(0, 3))), max_size=60))
def test_groups_that_pages_come_to_and_leave_equal_the_definition(moves):
    """Pages 0–2 are of VM 0, 3–5 of VM 1, 6 and 7 of VM 2; key 0 is the zero pages'."""
    owner = [0, 0, 0, 1, 1, 1, 2, 2]
    g, held = make_groups(8, 3), [None] * 8
    for page, key in moves:
        if held[page] is not None:
            go(g, held[page], owner[page])
        if key is not None:
            come(g, key, key == 0, owner[page])
        held[page] = key
        expected = grouped(held, owner, [key is not None for key in held], 0)
        for name, column in zip(SUMS, g.sums, strict=True):
            name = f"reclaimed_{name}" if name in ("zero", "within", "between") else name
            assert column.tolist() == [expected[vm][name] for vm in range(3)], name


def test_a_count_beyond_16_bits_is_charged_to_the_first_vm_that_is_left():
    pages = 1 << 16
    g = make_groups(pages + 2, 2)
    for _ in range(pages):
        come(g, 5, False, 1)
    assert g.sums[SUMS.index("overflow")].tolist() == [0, 1]
    come(g, 5, False, 0)
    assert g.sums[SUMS.index("overflow")].tolist() == [1, 0]
    go(g, 5, 0)
    assert g.sums[SUMS.index("overflow")].tolist() == [0, 1]
    go(g, 5, 1)
    assert g.sums[SUMS.index("overflow")].tolist() == [0, 0]


# ------------------------------------------------------------------------------------------------- laws

SECOND = 10**9
VMS = {"a": 6, "b": 3, "c": 5}
SCHEMES = {
    "share-everything": {}, "never-share": {}, "esx": {"rate": 3}, "sequential": {"rate": 3}, "hash-age": {"rate": 3},
    "idle-first": {"rate": 3}, "io-hinted": {"rate": 3}, "uksm": {"rate": 3}, "zero-only": {"rate": 3}, "satori": {},
    "disco": {}, "segments": {"ranges": "0-3"}, "ksm": {"pages_to_scan": 3, "sleep_millisecs": 1000},
}  # fmt: skip
page = st.sampled_from(sorted(VMS)).flatmap(lambda vm: st.tuples(st.just(vm), st.integers(0, VMS[vm] - 1)))
digest = st.sampled_from([ZERO_DIGEST, 2, 3, 4])
io = {"kind": "io", "vm": "b", "ppn": 1, "device": "disk", "to_device": False, "bytes": 4096, "dma_mask": (1 << 64) - 1}
told = st.builds(lambda p, d: {"kind": "content", "vm": p[0], "ppn": p[1], "digest": d, "block": d % 3}, page, digest)
touched = st.builds(lambda p, write: {"kind": "access", "vm": p[0], "ppn": p[1], "write": write}, page, st.booleans())
rows = st.tuples(told, touched, st.lists(st.one_of(told, touched), max_size=60)).map(lambda r: [r[0], io, *r[2], r[1]])


def replayed(folder, rows, vms, module, frames):
    rows = [row | {"t": i * SECOND // 4} for i, row in enumerate(rows)]
    paging = {"module": "lru" if module in ("share-everything", "never-share") else "fifo", "frames": frames}
    scenario = {"sharing": {"module": module} | SCHEMES[module], "paging": paging, "replay": {"report": "500ms"}}
    return tracekit.replay(save(folder, rows, vms), scenario, chunk=7, auditing=True)


@pytest.mark.parametrize("module", SCHEMES)
def test_no_scheme_exceeds_its_bound_and_reference_counts_are_conserved(module, tmp_path_factory):
    """At every report; the audit after every seventh row proves frames, references, listing and what is counted of them."""

    @settings(max_examples=12, deadline=None)
    @given(rows, st.sampled_from([4, 9, 14]))
    def law(rows, frames):
        table = replayed(tmp_path_factory.mktemp("law"), rows, VMS, module, frames).savings.collect()
        for name in ("shared", "reclaimed", "reclaimed_zero"):
            possible = table[name.replace("reclaimed", "possible") if name == "reclaimed_zero" else f"possible_{name}"]
            assert (table.filter(vm="*")[name] <= possible.filter(table["vm"] == "*")).all(), name

    law()


@pytest.mark.parametrize("module", ["share-everything", "satori", "disco", "segments"])
def test_the_order_of_vms_does_not_matter(module, tmp_path_factory):
    """Where pages are looked at as they change, and memory suffices, the host's sums depend on contents alone."""

    @settings(max_examples=12, deadline=None)
    @given(rows, st.permutations(sorted(VMS)))
    def law(rows, names):
        found = []
        for order in (VMS, {name: VMS[name] for name in names}):
            results = replayed(tmp_path_factory.mktemp("order"), rows, order, module, 14)
            found.append(results.savings.filter(vm="*").drop("variant", strict=False).collect().rows())
        assert found[0] == found[1]

    law()
