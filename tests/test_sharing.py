"""Content-based sharing: Figure 3, the bounds, the slow twin, and what a random scan must find by theory."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_trace import ZERO_DIGEST, write
from reference import Machine, agree, rows_of, save

import tracekit
from tracekit.host import HINT, KNOWN, SHARED, audit, make_host
from tracekit.inspect import expected_collisions
from tracekit.kernel import entry
from tracekit.module import NoState
from tracekit.modules.machine.discovery import began, make_discovery
from tracekit.modules.machine.frames import attach
from tracekit.modules.sharing.scan import scan_page
from tracekit.trace import Vm

SIX_VMS = Path(__file__).parents[1] / "traces" / "six-vms.content.parquet"


@entry
def hold(h, p, d, page, frame, digest):
    """Map a page of known content to a frame."""
    attach(h, p, h.page_vm[page], page, frame)
    h.digest[page] = digest
    h.flags[page] |= KNOWN
    began(d, page, digest)


@entry
def scan(h, p, d, page):
    scan_page(h, p, p, h, d, page)


def test_figure_3():
    """Scanned PPN 0x2868 of VM 2 matches the hint for PPN 0x43f8 of VM 3 and moves from MPN 0x1096 to 0x123b."""
    size, frames = 0x5000, 0x2000
    h = make_host([Vm(f"vm{i + 1}", size, i * size, frozenset()) for i in range(3)], frames, shares=True)
    p, d = NoState(np.zeros(1, np.int64)), make_discovery(3 * size, 3)
    mapped = {size + 0x2868: 0x1096, 2 * size + 0x43F8: 0x123B}
    scanned, hinted = map(np.uint32, mapped)
    free = [frame for frame in range(frames) if frame not in mapped.values()]
    h.free_frames[: len(free)], h.free[0] = free, len(free)
    for page, frame in mapped.items():
        hold(h, p, d, np.uint32(page), np.uint32(frame), np.uint64(0x2BD806AF))

    scan(h, p, d, hinted)
    assert (h.frame[hinted], h.kind[0x123B], h.refs[0x123B]) == (0x123B, HINT, 1)
    audit(h)
    scan(h, p, d, scanned)
    assert h.frame[scanned] == h.frame[hinted] == 0x123B
    assert (h.kind[0x123B], h.refs[0x123B]) == (SHARED, 2)  # both copy-on-write
    assert h.free[0] == len(free) + 1 and h.free_frames[len(free)] == 0x1096
    audit(h)


# ------------------------------------------------------------------------------------------------- bounds


def test_share_everything_on_six_vms_gives_the_counted_figures():
    results = tracekit.replay(SIX_VMS, {"sharing": {"module": ["share-everything", "never-share"]}}, auditing=True)
    modules = results.params("sharing.module").collect()
    savings = results.table("savings").join(modules.lazy(), on="variant").collect()
    assert (savings["shared"] <= savings["possible_shared"]).all()
    assert (savings["reclaimed"] <= savings["possible_reclaimed"]).all()
    last = {row["sharing.module"]: row for row in savings.filter((pl.col("vm") == "*") & (pl.col("t") == pl.col("t").max())).to_dicts()}
    for row in last.values():
        assert (row["pages"], row["possible_shared"], row["possible_reclaimed"], row["zero"]) == (294336, 201148, 187817, 115875)
    assert (last["share-everything"]["shared"], last["share-everything"]["reclaimed"]) == (201148, 187817)
    assert last["share-everything"]["overflow"] == 1  # the zero page
    never = ("shared", "reclaimed", "scanned", "breaks", "overflow")
    assert [last["never-share"][name] for name in never] == [0] * len(never)


def contents(digests, vms, path):
    """One snapshot: the digests of all pages, VM after VM."""
    vm = [name for name, pages in vms.items() for _ in range(pages)]
    ppn = [i for pages in vms.values() for i in range(pages)]
    return write(path, "content", len(vm), vms, t=np.zeros(len(vm), np.int64), vm=vm, ppn=ppn, digest=np.asarray(digests, np.uint64))


@pytest.mark.parametrize(("pages", "overflow"), [(65535, 0), (65536, 1)])
def test_counts_beyond_16_bits_overflow(pages, overflow, tmp_path):
    trace = contents([ZERO_DIGEST] * pages, {"a": pages}, tmp_path / "test.content.parquet")
    whole = rows_of(tracekit.replay(trace, {"sharing": {"module": "share-everything"}}, auditing=True), "savings")["*"]
    assert (whole["shared"], whole["reclaimed"], whole["overflow"]) == (pages, pages - 1, overflow)


def test_order_of_vms_does_not_change_totals(tmp_path):
    rng = np.random.default_rng(3)
    digests = {"a": rng.integers(0, 40, 50), "b": rng.integers(0, 40, 30), "c": rng.integers(0, 40, 70)}
    found = []
    for i, names in enumerate((["a", "b", "c"], ["c", "a", "b"])):
        vms = {name: len(digests[name]) for name in names}
        trace = contents(np.concatenate([digests[name] for name in names]), vms, tmp_path / str(i) / "test.content.parquet")
        found.append(rows_of(tracekit.replay(trace, {"sharing": {"module": "share-everything"}}, auditing=True), "savings")["*"])
    assert found[0] == found[1]


# ------------------------------------------------------------------------------------------------- the twin

VMS = {"a": 6, "b": 1, "c": 4}
pages = st.sampled_from(sorted(VMS)).flatmap(lambda vm: st.tuples(st.just(vm), st.integers(0, VMS[vm] - 1)))
digests = st.sampled_from([0, ZERO_DIGEST, 2, 3, (1 << 64) - 1])
told = st.builds(lambda page, digest: {"kind": "content", "vm": page[0], "ppn": page[1], "digest": digest}, pages, digests)
touched = st.builds(lambda page, write: {"kind": "access", "vm": page[0], "ppn": page[1], "write": write}, pages, st.booleans())
both = st.tuples(told, touched, st.lists(st.one_of(told, touched), max_size=70)).map(lambda rows: [rows[0], *rows[2], rows[1]])


def check_against_twin(rows, sharing, policy, frames):
    scenario = {"sharing": {"module": sharing}, "paging": {"module": policy, "frames": frames}}
    with TemporaryDirectory() as folder:
        results = tracekit.replay(save(folder, rows, VMS), scenario, chunk=5, auditing=True)
    twin = Machine(VMS, rows, frames, policy, sharing.removeprefix("share-").removesuffix("-share"), ZERO_DIGEST).run()
    agree(rows_of(results, "savings"), twin.savings())
    agree(rows_of(results, "faults"), twin.faults())


@settings(max_examples=80, deadline=None)
@given(both, st.sampled_from([1, 2, 3, 5, 8, 11]))
def test_sharing_under_memory_pressure_equals_the_twins(rows, frames):
    check_against_twin(rows, "share-everything", "lru", frames)


@pytest.mark.uncompiled
@settings(max_examples=40, deadline=None)
@given(both)
def test_sharing_with_memory_for_everything_equals_the_twins(rows):
    check_against_twin(rows, "share-everything", "unbounded", 0)


@pytest.mark.uncompiled
@settings(max_examples=20, deadline=None)
@given(both, st.sampled_from([1, 3, 11]))
def test_never_sharing_equals_the_twins(rows, frames):
    check_against_twin(rows, "never-share", "lru", frames)


def test_the_last_page_on_a_shared_frame_keeps_it_without_a_break(tmp_path):
    rows = [{"kind": "content", "vm": "a", "ppn": ppn, "digest": 5} for ppn in (0, 1)]
    rows += [{"kind": "content", "vm": "a", "ppn": ppn, "digest": 6 + ppn} for ppn in (0, 1)]
    files = save(tmp_path, rows, {"a": 2})
    whole = rows_of(tracekit.replay(files, {"sharing": {"module": "share-everything"}}, auditing=True), "savings")["*"]
    assert (whole["breaks"], whole["shared"], whole["reclaimed"]) == (1, 0, 0)


@pytest.mark.uncompiled
@pytest.mark.parametrize("stale", [False, True])
def test_a_page_is_shared_before_it_is_paged_out(stale, tmp_path):
    """The victim, never scanned, equals a hint: it is shared instead. If the hint's page has changed it is paged out."""
    later = {"t": 150_000_000, "vm": "a"}
    rows = [{"kind": "content", "vm": "a", "ppn": ppn, "digest": digest} for ppn, digest in enumerate((7, 7, 9))]
    rows += [{"kind": "access", "vm": "a", "ppn": 0}]  # scanned many times over before the next row
    rows += [later | {"kind": "access", "ppn": ppn} for ppn in (1, 0)]
    rows += [later | {"kind": "content", "ppn": 0, "digest": 8}] if stale else []
    rows += [later | {"kind": "access", "ppn": 2}]
    scenario = {"sharing": {"module": "esx", "rate": 10_000, "total": 10_000}, "paging": {"module": "lru", "frames": 2}}
    results = tracekit.replay(save(tmp_path, rows, {"a": 3}), scenario, auditing=True)
    faults, savings = rows_of(results, "faults")["a"], rows_of(results, "savings")["a"]
    assert (faults["shared_out"], faults["page_outs"]) == ((0, 1) if stale else (1, 0))
    assert (savings["shared"], savings["reclaimed"]) == ((0, 0) if stale else (2, 1))


# ------------------------------------------------------------------------------------------------- theory


@pytest.mark.parametrize(
    ("pages", "rate", "period", "report", "until"),
    [
        (20_000, 1000, "100ms", "5s", "20s"),
        (3000, 1000, "100ms", "333ms", "3s"),  # reports between runs of the scanner
        (3000, 1000, "700ms", "250ms", "3s"),
        (2000, 3, "100ms", "37s", "1000s"),  # a page in several runs
        (1000, 20_000, "100ms", "13ms", "150ms"),  # each page several times a run
    ],
)
def test_random_scan_covers_as_it_must(pages, rate, period, report, until, tmp_path):
    """After t at r pages/s of P the scan has met 1 − exp(−rt/P) of them: where all are equal, those are the shared ones."""
    trace = contents([7] * pages, {"a": pages // 2, "b": pages // 2}, tmp_path / "test.content.parquet")
    sharing = {"module": "esx", "rate": rate / 2, "total": 10 * rate, "period": period}
    results = tracekit.replay(trace, {"sharing": sharing, "replay": {"seed": list(range(8)), "report": report}}, until=until)
    whole = results.savings.filter(pl.col("vm") == "*").collect()
    assert whole["variant"].n_unique() == 8
    for t, shared, scanned in whole.group_by("t").agg(pl.col("shared").mean(), pl.col("scanned").mean()).iter_rows():
        assert abs(scanned - rate * t / 1e9) < 2
        expected = 1 - math.exp(-rate * t / 1e9 / pages)
        # 2 %, but for the whole pages and the luck of so few scans: four standard errors.
        luck = 4 * math.sqrt(pages * expected * (1 - expected) / 8) + 2
        assert shared == pytest.approx(pages * expected, rel=0.02, abs=luck if shared < 4000 else 0)
    assert (whole["reclaimed"] <= whole["possible_reclaimed"]).all()


@pytest.mark.parametrize(("pages", "rate", "period"), [(20_000, 10_000, "100ms"), (20_000, 400_000, "100ms"), (2000, 500, "1s")])
def test_a_pair_is_found_after_one_and_a_half_rounds_on_average(pages, rate, period, tmp_path):
    digests = np.random.default_rng(0).permutation(np.repeat(np.arange(pages // 2), 2))
    trace = contents(digests, {"a": pages}, tmp_path / "test.content.parquet")
    sharing = {"module": "esx", "rate": rate, "total": rate, "period": period}
    report, until = f"{10**9 * pages // rate // 20}ns", f"{10 * pages / rate}s"
    seeds = list(range(4 if pages > 10_000 else 20))
    results = tracekit.replay(trace, {"sharing": sharing, "replay": {"seed": seeds, "report": report}}, until=until)
    whole = results.savings.filter(pl.col("vm") == "*").collect()
    missing = whole.sort("t").group_by("t", maintain_order=True).agg((1 - pl.col("reclaimed").mean() / (pages // 2)).alias("share"))
    found_after = np.trapezoid([1.0, *missing["share"]], [0.0, *(missing["t"] / 1e9)])
    assert found_after == pytest.approx(1.5 * pages / rate, rel=0.02)
    discovery = results.discovery.filter(pl.col("vm") == "*").collect()
    assert (discovery["found"] >= 0.999 * pages).all()
    assert discovery["mean"].mean() == pytest.approx(1.5 * pages / rate, rel=0.02)
    # The later of two exponential visits: half within −ln(1 − √½) of P/r.
    assert discovery["p50"].mean() == pytest.approx(-math.log(1 - math.sqrt(0.5)) * pages / rate, rel=0.1)


def test_the_total_rate_caps_the_scan(tmp_path):
    trace = contents([7] * 30, {"a": 10, "b": 10, "c": 10}, tmp_path / "test.content.parquet")
    scenario = {"sharing": {"module": "esx", "rate": 50, "total": 60}}
    found = rows_of(tracekit.replay(trace, scenario, until="10s", auditing=True), "savings")
    assert {vm: row["scanned"] for vm, row in found.items()} == {"a": 200, "b": 200, "c": 200, "*": 600}


def test_a_vm_may_have_a_rate_of_its_own(tmp_path):
    trace = contents([7] * 30, {"a": 10, "b": 10, "c": 10}, tmp_path / "test.content.parquet")
    own = [{"name": "b", "scan_rate": 5}, {"name": "c", "scan_rate": 0}]
    for total, expected in ((0, {"a": 100, "b": 50, "c": 0, "*": 150}), (3, {"a": 20, "b": 10, "c": 0, "*": 30})):
        scenario = {"sharing": {"module": "esx", "rate": 10, "total": total}, "vm": own}
        found = rows_of(tracekit.replay(trace, scenario, until="10s", auditing=True), "savings")
        assert {vm: row["scanned"] for vm, row in found.items()} == expected


def test_expected_collisions():
    for bits, pages, expected in ((64, 2**24, 7.63e-6), (64, 2**32, 0.5), (32, 2**18, 8), (32, 2**20, 128)):
        assert expected_collisions(bits, pages) == pytest.approx(expected, rel=1e-3)
    assert 1 - math.exp(-expected_collisions(64, 2**32)) == pytest.approx(0.393, abs=1e-3)
    drawn = [2**18 - len(np.unique(np.random.default_rng(seed).integers(0, 2**32, 2**18))) for seed in range(40)]
    assert np.mean(drawn) == pytest.approx(expected_collisions(32, 2**18), abs=4 * math.sqrt(8 / 40))


def test_the_last_report_shows_the_last_rows_even_where_a_report_is_due_at_their_time(tmp_path):
    trace = write(tmp_path / "test.content.parquet", "content", 4, t=np.array([0, 0, 5, 5]) * 10**9, ppn=[0, 1, 0, 1], digest=[1, 2, 3, 3])
    found = tracekit.replay(trace, preset="sharing", settings=["sharing.module=share-everything", "replay.report=5s"])
    host = found.savings.filter(pl.col("vm") == "*").collect()
    assert host.select("t", "shared", "possible_shared").rows() == [(5 * 10**9, 2, 2)]
