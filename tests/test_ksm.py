"""KSM: the real kernel's counters, the slow twin, and the arithmetic of who sets its pace."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_trace import ZERO_DIGEST, write
from reference import save
from reference_ksm import ZERO, Ksmd

import tracekit
from tracekit.modules.sharing.pace import Ksmtuned, ScanTimeAdvisor

REAL = Path(__file__).parents[1] / "traces" / "ksm"
COUNTERS = tuple(Ksmd([]).counters())
STEP = 20_000_000


def counters(files, until, auditing=True, **params):
    results = tracekit.replay(files, {"sharing": {"module": "ksm"} | params}, until=until, auditing=auditing)
    return results.table("ksm").select(COUNTERS).collect().to_dicts()


# ------------------------------------------------------------------------------------------------- the real kernel


@pytest.fixture(scope="module")
def recorded():
    return json.loads((REAL / "ksm-three-vms.counters.json").read_text())


@pytest.fixture(scope="module")
def replayed(recorded):
    """Our counters after every full scan; and beyond the first scan after every 257 pages, as it goes on."""
    trace = REAL / "ksm-three-vms.content.parquet"
    assert recorded["settings"] == {"use_zero_pages": 0, "smart_scan": 0, "pages_to_scan": 4000, "max_page_sharing": 256}
    return counters(trace, "300ms", pages_to_scan=4000, sleep_millisecs=1, smart_scan=False)


def test_settled_counters_are_the_real_kernels(recorded, replayed):
    """All but pages_scanned and pages_skipped, which the kernel counts from the machine's start; those are tested by pass."""
    final = next(row for row in replayed if row["full_scans"] == recorded["final"]["full_scans"])
    since_start = {"pages_scanned", "pages_skipped"}
    assert {name: final[name] for name in recorded["final"].keys() - since_start} == {
        name: value for name, value in recorded["final"].items() if name not in since_start
    }


def test_counters_after_each_full_scan_are_the_real_kernels(recorded, replayed):
    """They were read while ksmd went on with the next scan, with one page in hand: taken off its tree, in none yet."""
    by_scan = {row["full_scans"]: row for row in replayed}
    for real in recorded["passes"][2:]:
        ours = by_scan[real["full_scans"]]
        for name in ("pages_shared", "pages_sharing", "stable_node_chains", "stable_node_dups", "pages_skipped", "ksm_zero_pages"):
            assert ours[name] == real[name]
        assert ours["pages_unshared"] - real["pages_unshared"] in (0, 1)
        assert ours["pages_volatile"] == 0
        assert real["pages_volatile"] == 1
        assert 0 <= real["pages_scanned"] - ours["pages_scanned"] < 4000  # a wake-up


def test_the_reading_after_the_first_scan_is_one_of_the_second_scans_first_pages(recorded):
    """The recorder saw the first scan end when 1542 pages of the second had been merged or placed already."""
    real, trace = recorded["passes"][1], REAL / "ksm-three-vms.content.parquet"
    assert (real["full_scans"], real["pages_scanned"]) == (1, 131072 + 1553)
    ours = counters(trace, "87ms", pages_to_scan=1542, sleep_millisecs=1, smart_scan=False)
    assert (ours[0]["pages_shared"], ours[0]["pages_sharing"], ours[0]["pages_unshared"]) == (0, 0, 0)  # a whole scan merges nothing
    names = ("full_scans", "pages_shared", "pages_sharing", "pages_unshared", "stable_node_chains", "stable_node_dups")
    assert [ours[-1][name] for name in names] == [real[name] for name in names]
    assert ours[-1]["pages_scanned"] == 131072 + 1542


# ------------------------------------------------------------------------------------------------- the twin

VMS = {"a": 7, "b": 5}
contents = st.sampled_from([ZERO, "x", "y", "z", "u1", "u2"])
change = st.tuples(st.integers(0, 11), contents)
between = st.lists(st.lists(change, max_size=6), min_size=1, max_size=8)


def rows_of_changes(first, changes):
    """Trace rows: contents and writes. Scan k is at k × 20 ms, the changes after it 10 ms later."""
    digest = {ZERO: ZERO_DIGEST} | {name: 100 + i for i, name in enumerate(("x", "y", "z", "u1", "u2"))}
    place = [("a", i) for i in range(7)] + [("b", i) for i in range(5)]
    rows = [{"kind": "content", "vm": place[i][0], "ppn": place[i][1], "digest": digest[c]} for i, c in enumerate(first) if c is not None]
    for scan, after in enumerate(changes, 1):
        for page, content in after:
            where = {"t": scan * STEP + STEP // 2, "vm": place[page][0], "ppn": place[page][1]}
            rows.append(where | {"kind": "content", "digest": digest[content]})
            rows.append(where | {"kind": "access", "write": True})
    return rows


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(contents, st.none()), min_size=12, max_size=12).filter(any),
    between,
    st.sampled_from([2, 3, 256]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_counters_equal_the_twins(first, changes, most, zero_pages, smart, across):
    twin = Ksmd(first, most, zero_pages, smart, None if across else [0] * 7 + [1] * 5)
    expected = []
    for after in changes:
        twin.full_scan()
        expected.append(twin.counters())
        for page, content in after:
            twin.write(page, content)
    with TemporaryDirectory() as folder:
        files = save(folder, rows_of_changes(first, changes), VMS)
        scenario = {"module": "ksm", "pages_to_scan": 100, "max_page_sharing": most, "use_zero_pages": zero_pages, "smart_scan": smart}
        tables = {"sharing": scenario | {"merge_across_nodes": across}, "vm": [{"name": "b", "node": 1}]}
        results = tracekit.replay(files, tables, until=len(changes) * STEP + STEP // 2, chunk=5, auditing=True)
    assert results.table("ksm").select(COUNTERS).collect().to_dicts() == expected


@pytest.mark.uncompiled
def test_only_advised_pages_are_merged_until_the_guest_takes_it_back(tmp_path):
    rows = [{"kind": "event", "vm": "a", "what": "madvise", "a": 2, "b": 4}]
    rows += [{"kind": "content", "vm": "a", "ppn": i, "digest": 5} for i in range(7)]
    rows += [{"t": 70_000_000, "kind": "event", "vm": "a", "what": "madvise", "a": 3, "b": -2}]
    found = counters(save(tmp_path, rows, {"a": 7}), "110ms")
    assert [(row["pages_shared"], row["pages_sharing"]) for row in found] == [(0, 0), (1, 3), (1, 3), (1, 1), (1, 1)]
    assert found[-1]["pages_volatile"] == 0


# ------------------------------------------------------------------------------------------------- its pace


def test_the_scan_time_advisor_by_hand():
    """Target 200 s, 500 pages: the first scan took 400 s and 8 s of CPU (2 %), the next one 210 s and 10 s (4 %)."""
    advisor = ScanTimeAdvisor(200, 70, 30_000)
    # factor 50, change 100 → 30; 500 · 100 / 50 = 1000, · 30 / 100 = 300; at least 500 / 2 · 10 = 2500.
    assert advisor.advise(500, 400, 8000) == 2500
    # factor 95, change 210 · 100 / 400 = 52 → 21 + 15 = 36; 2500 · 100 / 95 = 2631 · 36 / 100 = 947; at least 625 · 10.
    assert advisor.advise(2500, 210, 10_000) == 6250
    assert advisor.advise(6250, 10_000, 10) == 30_000  # the most there may be


def test_the_advisor_shortens_scans_towards_its_target(tmp_path):
    pages = 60_000
    trace = write(tmp_path / "t.content.parquet", "content", pages, {"a": pages}, t=np.zeros(pages), ppn=range(pages), digest=range(pages))
    given = {"module": "ksm", "control": "scan-time", "target": "2s", "min_pages": 100, "max_pages": 4000, "smart_scan": "false"}
    found = tracekit.replay(trace, {"sharing": given}, until="40s").table("ksm").collect()
    lengths = np.diff(found["t"].to_numpy()[:-1], prepend=0) / 1e9
    assert lengths[0] == pytest.approx(12, abs=0.1)  # 600 wake-ups of 100 pages
    assert found["pages_to_scan"].n_unique() > 2
    assert lengths[-1] < 4


def test_ksmtuned_by_hand():
    tuned = Ksmtuned(memory=10_000, committed=9000)
    assert [tuned.tune(100, free) for free in (1999, 2000)] == [400, 64]
    assert tuned.tune(1200, 0) == 1250
    assert Ksmtuned(memory=10_000, committed=8000).tune(100, 0) == 0
    assert Ksmtuned(memory=16 << 18, committed=1).sleep() == 10_000_000
    assert Ksmtuned(memory=4 << 18, committed=1).sleep() == 40_000_000


def test_ksmtuned_scans_more_while_memory_is_short(tmp_path):
    pages = 3000
    trace = write(tmp_path / "t.content.parquet", "content", pages, {"a": pages}, t=np.zeros(pages), ppn=range(pages), digest=range(pages))
    given = {"sharing": {"module": "ksm", "control": "ksmtuned"}, "host": {"memory": 3100 * 4096}}
    found = tracekit.replay(trace, given, until="130s").table("ksm").filter(pl.col("t") == 130 * 10**9).collect()
    assert found["pages_to_scan"].item() == 700
