"""The guest behind its balloon: against its slow twin, by the paper's rules, and beside the baselines."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from make_trace import write
from reference import agree, rows_of, save
from reference_balloon import SECOND, Ballooned

import tracekit
from tracekit.errors import ScenarioError, TraceError
from tracekit.modules.reclamation.balloon import parse_schedule
from tracekit.modules.reclamation.guest import guest_policy

pytestmark = pytest.mark.uncompiled

PAGE = 4096
VMS = {"a": 12, "b": 7}


@st.composite
def captures(draw):
    """Rows of two VMs over some seconds: accesses in bursts, targets and boots."""
    rows, t = [], 0
    for _ in range(draw(st.integers(1, 60))):
        t += draw(st.sampled_from([0, 0, SECOND // 3, SECOND]))
        vm = draw(st.sampled_from(sorted(VMS)))
        kind = draw(st.sampled_from(["access"] * 12 + ["balloon", "boot"]))
        if kind == "access":
            rows.append({"kind": "access", "vm": vm, "t": t, "ppn": draw(st.integers(0, VMS[vm] - 1)), "write": draw(st.booleans())})
        else:
            rows.append({"kind": "event", "vm": vm, "t": t, "what": kind, "a": draw(st.integers(0, 14)), "b": 0})
    return [{"kind": "access", "vm": "a", "t": 0, "ppn": 0, "write": True}, *rows, {"kind": "event", "vm": "a", "t": t, "what": "mark"}]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    captures(),
    st.sampled_from([(), ((0, 5),), ((SECOND, 6), (3 * SECOND, 12))]),
    st.sampled_from([0, 2]),
    st.sampled_from([None, 1, 3]),
    st.sampled_from([0, 2 * SECOND]),
    st.sampled_from([3, 19]),
)
def test_guests_do_what_their_slow_twin_does(tmp_path_factory, rows, schedule, kernel, swap, load, frames):
    files = save(tmp_path_factory.mktemp("twin"), rows, VMS)
    how = {"inflate": 2, "deflate": 3, "cap": 0.9}
    balloon = {name: value * PAGE if name != "cap" else value for name, value in how.items()} | {"module": "esx", "load": f"{load}ns"}
    balloon |= {"kernel": kernel * PAGE, "swap": (swap or 0) * PAGE, "guest": "lru"}
    balloon["targets"] = " ".join(f"{t}ns={pages * PAGE}" for t, pages in schedule)
    results = tracekit.replay(files, {"balloon": balloon, "paging": {"module": "lru", "frames": frames}}, auditing=True)
    twin = Ballooned(VMS, rows, frames=frames, kernel=kernel, swap=swap, schedule=schedule, load=load, **how).run()
    agree(rows_of(results, "balloon"), twin.table())
    agree(rows_of(results, "faults"), twin.faults())


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(captures(), st.integers(1, 6))
def test_without_a_hypervisor_only_the_guest_pages(tmp_path_factory, rows, memory):
    files = save(tmp_path_factory.mktemp("native"), rows, VMS)
    balloon = {"module": "native", "memory": memory * PAGE}
    results = tracekit.replay(files, {"balloon": balloon, "paging": {"module": "lru", "frames": 12}}, auditing=True)
    twin = Ballooned(VMS, rows, frames=12, at_start=memory).run()
    agree(rows_of(results, "balloon"), twin.table())
    agree(rows_of(results, "faults"), twin.faults())
    assert all(row["page_outs"] == 0 for row in rows_of(results, "faults").values())


def test_schedules_are_read_and_bad_ones_refused():
    assert parse_schedule("2s=8KiB 3500ms=1MiB") == [(2 * SECOND, 2), (3_500_000_000, 256)]
    assert parse_schedule("") == []
    for bad in ("2s", "x=1MiB", "2s=y", "3s=1MiB 2s=1MiB"):
        with pytest.raises(ScenarioError, match=r"balloon\.targets"):
            parse_schedule(bad)


def test_a_guest_cannot_know_the_future(tmp_path):
    trace = write(tmp_path / "test.access.parquet", "access", 3)
    for guest in ("optimal", "unbounded"):
        with pytest.raises(ScenarioError, match=r"balloon\.guest"):
            tracekit.replay(trace, {"balloon": {"module": "esx", "guest": guest}})


def test_a_guest_takes_its_policys_parameters_and_no_others():
    assert guest_policy("2q kin=0.5").params.kin == 0.5
    assert guest_policy("2q").params.kin == 0.25
    for wrong, said in (("2q kan=1", "kan"), ("2q frames=3", "frames"), ("2q kin=x", "kin"), ("2q kin", "kin"), ("", "no module")):
        with pytest.raises(ScenarioError, match=said):
            guest_policy(wrong)


def test_baselines_refuse_what_they_cannot_be(tmp_path):
    trace = write(tmp_path / "test.access.parquet", "access", 3)
    with pytest.raises(ScenarioError, match="leave tax out"):
        tracekit.replay(trace, {"balloon": {"module": "native"}, "tax": {"module": "esx"}})
    with pytest.raises(ScenarioError, match="more than the host's"):
        tracekit.replay(trace, {"balloon": {"module": "native", "memory": 9 * PAGE}, "paging": {"module": "lru", "frames": 8}})
    with pytest.raises(TraceError, match="free_hints"):
        tracekit.replay(trace, {"balloon": {"module": "free-page-reporting"}})


def test_hints_free_frames_at_once(tmp_path):
    """Pages 0…9, a hint that 2…7 are free, then all again in a host of 10 frames: six zero-filled faults, no I/O."""
    t = np.concatenate([np.arange(10), np.arange(11, 21)])
    access = write(tmp_path / "test.access.parquet", "access", 20, {"a": 16}, t=t, ppn=np.arange(20) % 10)
    about = {"t": [10], "what": ["hint-free"], "a": [2], "b": [6]}
    event = write(tmp_path / "test.event.parquet", "event", 1, {"a": 16}, more={"capabilities": ("event", "free_hints")}, **about)
    scenario = {"balloon": {"module": "free-page-reporting"}, "paging": {"module": "lru", "frames": 10}}
    results = tracekit.replay([access, event], scenario, auditing=True)
    assert rows_of(results, "balloon")["a"]["hinted"] == 6
    faults = rows_of(results, "faults")["a"]
    assert (faults["cold"], faults["minor"], faults["major"], faults["page_outs"]) == (10, 6, 0, 0)


def test_a_zero_page_thread_touches_free_pages(tmp_path):
    """Two free pages a second are zeroed, and so come to need a frame of the host."""
    rows = [{"kind": "access", "vm": "a", "t": t * SECOND, "ppn": t % 4, "write": True} for t in range(5)]
    files = save(tmp_path, [*rows, {"kind": "event", "vm": "a", "t": 4 * SECOND, "what": "mark"}], {"a": 16})
    scenario = {"balloon": {"module": "esx", "zeroing": 2}, "paging": {"module": "lru", "frames": 16}}
    results = tracekit.replay(files, scenario, auditing=True)
    assert rows_of(results, "balloon")["a"]["zeroed"] == 8
    assert rows_of(results, "vm")["a"]["resident"] == 9  # pages 1 to 8 zeroed, the lowest free ones first, and page 0
