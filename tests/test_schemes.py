"""Sharing schemes beside ESX's own: what each finds, what it must not, and what they are measured by."""

from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_trace import ZERO_DIGEST, write
from reference import rows_of, save

import tracekit
from tracekit.errors import ScenarioError, TraceError
from tracekit.inspect import inspect_trace
from tracekit.trace import open_trace

pytestmark = pytest.mark.uncompiled

SECOND = 10**9
VMS = {"a": 4, "b": 4, "c": 4}


def contents(path, digests, vms=VMS, **columns):
    """One snapshot: the digests of all pages, VM after VM."""
    vm = [name for name, pages in vms.items() for _ in range(pages)]
    ppn = [i for pages in vms.values() for i in range(pages)]
    return write(
        path, "content", len(vm), vms, t=np.zeros(len(vm), np.int64), vm=vm, ppn=ppn, digest=np.array(digests, np.uint64), **columns
    )


def savings(files, module="share-everything", until=None, vm="*", tables=(), **params):
    given = {"sharing": {"module": module} | params} | dict(tables)
    return rows_of(tracekit.replay(files, given, until=until, auditing=True), "savings")[vm]


# ------------------------------------------------------------------------------------------------- every scheme


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """Two VMs whose contents change, are touched, written by devices and read from disk blocks."""
    rng, n, folder = np.random.default_rng(5), 1500, tmp_path_factory.mktemp("busy")
    vms, t = {"a": 50, "b": 30}, np.sort(rng.integers(0, 200, n)) * SECOND // 10
    vm = np.where(rng.random(n) < 0.6, "a", "b")
    ppn = (rng.random(n) * np.where(vm == "a", 50, 30)).astype(np.uint32)
    digest = rng.choice(np.array([ZERO_DIGEST, *range(2, 12)], np.uint64), n)
    common = {"t": t, "vm": vm.tolist(), "ppn": ppn}
    return [
        write(folder / "busy.content.parquet", "content", n, vms, "busy", **common, seq=3 * np.arange(n), digest=digest, block=digest % 7),
        write(folder / "busy.access.parquet", "access", n, vms, "busy", **common, seq=3 * np.arange(n) + 1, write=rng.random(n) < 0.3),
        write(
            folder / "busy.io.parquet", "io", n, vms, "busy", **common, seq=3 * np.arange(n) + 2, to_device=(rng.random(n) < 0.5).tolist()
        ),
    ]


SCHEMES = ("esx", "sequential", "hash-age", "idle-first", "io-hinted", "uksm", "zero-only", "satori", "disco", "segments", "ksm")


@pytest.mark.parametrize("module", SCHEMES)
def test_every_scheme_saves_something_and_never_more_than_there_is(busy, module):
    params = {"ranges": "0-20"} if module == "segments" else {}
    rate = {} if module == "ksm" else {"rate": 200}
    given = {"sharing": {"module": module} | params | rate, "paging": {"module": "fifo", "frames": 60}}
    results = tracekit.replay(busy, given, auditing=True)
    table = results.savings.collect()
    assert (table["reclaimed"] <= table["possible_reclaimed"]).all()
    for kind in ("reclaimed", "possible"):
        whole = table["reclaimed" if kind == "reclaimed" else "possible_reclaimed"]
        assert (table[f"{kind}_zero"] + table[f"{kind}_within"] + table[f"{kind}_between"] == whole).all()
    last = rows_of(results, "savings")["*"]
    assert last["merged"] > 0
    if module == "zero-only":
        assert table["reclaimed_within"].sum() == table["reclaimed_between"].sum() == 0
    found = rows_of(results, "discovery")["*"]
    assert found["scanned"] == last["scanned"]
    assert 0 <= found["wasted"] <= found["scanned"]


def test_schemes_that_need_disk_blocks_refuse_a_trace_without(tmp_path):
    trace = contents(tmp_path / "t.content.parquet", range(12))
    with pytest.raises(TraceError, match="needs blocks"):
        tracekit.replay(trace, {"sharing": {"module": "disco"}})


# ------------------------------------------------------------------------------------------------- orders


def test_a_scan_by_number_meets_every_page_once_a_round(tmp_path):
    trace = contents(tmp_path / "t.content.parquet", [7] * 12)
    found = {until: savings(trace, "sequential", until, rate=2, total=6)["merged"] for until in ("1s", "2s", "4s")}
    assert found == {"1s": 5, "2s": 11, "4s": 11}  # the first of all is but a hint


def test_io_hints_come_before_the_rest(tmp_path):
    """Pages 3 of a and b are read from a disk: those two are scanned before any other."""
    block = [5 if i in (3, 7) else None for i in range(12)]
    trace = contents(tmp_path / "t.content.parquet", [1, 2, 3, 9, 1, 2, 3, 9, 1, 2, 3, 9], block=block)
    by_number, hinted = (savings(trace, module, "1s", rate=1, total=3) for module in ("sequential", "io-hinted"))
    assert (by_number["reclaimed"], hinted["reclaimed"]) == (2, 1)  # page 0 of all three; page 3 of two


# ------------------------------------------------------------------------------------------------- who may share


def test_domains_lose_savings_step_by_step(tmp_path):
    trace = contents(tmp_path / "t.content.parquet", [1, 1, 2, 3, 1, 1, 2, 4, 1, 1, 2, 5])
    salts = [{"name": "a", "salt": "x"}, {"name": "b", "salt": "x"}]
    saved = {level: savings(trace, tables={"vm": salts}, domain=level) for level in ("host", "salted", "vm")}
    assert {level: row["reclaimed"] for level, row in saved.items()} == {"host": 7, "salted": 5, "vm": 3}
    assert {row["possible_reclaimed"] for row in saved.values()} == {7}
    assert (saved["host"]["reclaimed_within"], saved["host"]["reclaimed_between"]) == (3, 4)
    with pytest.raises(ScenarioError, match="which VM belongs to which security domain"):
        savings(trace, domain="tenant")


def test_a_vm_that_may_not_share_does_not(tmp_path):
    trace = contents(tmp_path / "t.content.parquet", [1] * 12)
    assert savings(trace, tables={"vm": [{"name": "b", "sharing": False}]})["reclaimed"] == 7


@pytest.mark.parametrize(("bits", "false"), [(16, 1), (17, 0)])
def test_a_collision_loses_an_opportunity_and_shares_nothing_false(bits, false, tmp_path):
    """Pages 0 and 1 collide in 16 bits; their twins are found only where the table tells them apart."""
    one, other = 5, 5 + (1 << 16)
    trace = contents(tmp_path / "t.content.parquet", [one, other, one, other], {"a": 4})
    found = savings(trace, "esx", "100s", rate=10, hash_bits=bits)
    assert (found["false_matches"] > 0) == bool(false)
    assert found["reclaimed"] == (1 if false else 2)


@pytest.mark.parametrize(("bits", "false"), [(64, 1), (65, 0), (128, 0)])
def test_hashes_wider_than_64_bits_tell_contents_apart_by_their_upper_halves(bits, false, tmp_path):
    halves = {"digest_hi": np.array([1, 2, 1, 2], np.uint64)}
    trace = contents(tmp_path / "t.content.parquet", [5, 5, 5, 5], {"a": 4}, **halves)
    found = savings(trace, "esx", "100s", rate=10, hash_bits=bits)
    assert ((found["false_matches"] > 0), found["reclaimed"]) == (bool(false), 1 if false else 2)
    assert (found["distinct"], found["possible_reclaimed"]) == (2, 2)
    assert inspect_trace(open_trace(trace))["digests"]["bits"].item() == 128


def test_a_hash_wider_than_contents_are_known_by_is_refused(tmp_path):
    trace = contents(tmp_path / "t.content.parquet", [5] * 4, {"a": 4})
    with pytest.raises(ScenarioError, match="digests of 64 bits"):
        savings(trace, "esx", hash_bits=65)


@pytest.mark.parametrize("pressed", [False, True])
def test_large_pages_are_shared_only_when_broken_under_pressure(pressed, tmp_path):
    vms = {"a": 1024}
    trace = [contents(tmp_path / "test.content.parquet", [1] * 1024, vms)]
    trace.append(write(tmp_path / "test.access.parquet", "access", 1024, vms, t=np.ones(1024, np.int64), ppn=range(1024)))
    tables = {"paging": {"module": "fifo", "frames": 1024}} if pressed else {}
    found = savings(trace, "esx", "60s", tables=tables, rate=1000, large_pages=True)
    assert (found["reclaimed"] > 0) == pressed


# ------------------------------------------------------------------------------------------------- declared sharing


def test_disco_shares_what_was_read_from_one_block_until_it_is_written(tmp_path):
    block = [8, 8, 9, None] + [8, None, 9, 8] + [None] * 4
    trace = contents(tmp_path / "t.content.parquet", [1, 1, 2, 1, 1, 1, 2, 1, 1, 1, 2, 1], block=block)
    assert savings(trace, "disco")["reclaimed"] == 3 + 1
    assert savings(trace, "satori")["reclaimed"] == 3 + 1
    # Equal contents of different blocks: only comparing them tells.
    block = [8, 9] + [None] * 10
    trace = contents(tmp_path / "u.content.parquet", [1] * 12, block=block)
    assert (savings(trace, "disco")["reclaimed"], savings(trace, "satori")["reclaimed"]) == (0, 1)


def test_segments_are_shared_page_by_page(tmp_path):
    trace = contents(tmp_path / "t.content.parquet", [1, 2, 3, 1, 1, 2, 9, 1, 1, 2, 3, 1])
    assert savings(trace, "segments", ranges="0-2")["reclaimed"] == 2 + 2 + 1
    with pytest.raises(ScenarioError, match="not a range of PPNs"):
        savings(trace, "segments", ranges="2-0")


# ------------------------------------------------------------------------------------------------- what they are measured by

page = st.tuples(st.sampled_from(sorted(VMS)), st.integers(0, 3))
told = st.lists(st.tuples(page, st.sampled_from([1, 2, 3])), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(told)
def test_missed_contents_are_those_that_had_an_equal_while_they_lasted(changes):
    rows = [{"t": i, "kind": "content", "vm": vm, "ppn": ppn, "digest": digest} for i, ((vm, ppn), digest) in enumerate(changes)]
    held, met, missed = {}, set(), 0
    for place, digest in changes:
        if held.get(place) == digest:
            continue
        missed += place in met
        met.discard(place)
        held[place] = digest
        equal = {other for other in held if held[other] == digest}
        met |= equal if len(equal) > 1 else set()
    with TemporaryDirectory() as folder:
        results = tracekit.replay(save(folder, rows, VMS), {"sharing": {"module": "never-share"}}, auditing=True)
    assert rows_of(results, "discovery")["*"]["missed"] == missed


def test_the_end_of_a_vm_frees_everything(tmp_path):
    rows = [{"kind": "content", "vm": vm, "ppn": i, "digest": 5} for vm in ("a", "b") for i in range(4)]
    rows += [{"t": SECOND, "kind": "event", "vm": "a", "what": "power-off"}]
    rows += [{"t": 2 * SECOND, "kind": "content", "vm": "a", "ppn": 0, "digest": 6}]
    results = tracekit.replay(save(tmp_path, rows, VMS), {"sharing": {"module": "share-everything"}}, auditing=True)
    last = rows_of(results, "savings")
    assert (last["b"]["reclaimed"], last["a"]["reclaimed"], last["*"]["pages"]) == (3, 0, 5)
    assert {vm: row["resident"] for vm, row in rows_of(results, "vm").items()} == {"a": 1, "b": 4, "c": 0}


def test_hints_grow_stale(tmp_path):
    """Four pages, all different, all hints; then one changes: a quarter of the table is out of date until scanned again."""
    rows = [{"kind": "content", "vm": "a", "ppn": i, "digest": i + 1} for i in range(4)]
    rows += [{"t": 5 * SECOND, "kind": "content", "vm": "a", "ppn": 0, "digest": 9}]
    files = save(tmp_path, rows, {"a": 4})
    given = {"sharing": {"module": "sequential", "rate": 2}, "replay": {"report": "1s"}}
    table = tracekit.replay(files, given, until="8s", auditing=True).savings.filter(pl.col("vm") == "*").collect()
    assert table["hints"].to_list()[-1] == 4
    assert table["stale_hints"].max() == 1
    assert table["stale_hints"].to_list()[-1] == 0
    assert table["table_bytes"].to_list()[-1] == 4 * 16
