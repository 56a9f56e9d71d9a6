"""The host as VMs come, go and change their shares, with every policy; run without compilation by test_allocation.py."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_trace import write
from reference import rows_of
from reference_allocation import dominant

import tracekit
from tracekit.errors import ScenarioError

SECOND = 10**9
PAGE = 4096
VMS = {"a": 20, "b": 16, "c": 12}
POLICIES = ["esx", "exact", "shares", "per-vm", "progressive", "max-min", "lottery", "drf", "utility", "pressure", "harvest"]
#: Instructions that VMs execute in a second.
CLOCKS = {"a": 300, "b": 100, "c": 0}
MORE = {
    "lottery": {"piece": PAGE, "turnover": 20},
    "utility": {"watch": 1},
    "pressure": {"look": "2s", "ratio": 0.1},
    "harvest": {"epoch": "2s", "piece": 2 * PAGE, "recovery": 2},
}
TAX = {"module": "esx", "sample": 5, "period": "2s", "reallocate": "3s", "overhead": 2 * PAGE}


def capture(folder, rows=200, seed=0, events=(), vms=None, seconds=20, clocks=None):
    """Accesses and contents of some VMs at random, with events ``(s, vm, what)``, and a clock event of each VM a second."""
    draw, vms = np.random.default_rng(seed), vms or VMS
    files = []
    for kind in ("access", "content"):
        t = np.sort(draw.integers(0, seconds * 4, rows)) * (SECOND // 4)
        vm = draw.choice(list(vms), rows)
        ppn = (draw.random(rows) ** 2 * np.array([vms[name] for name in vm])).astype(np.uint32)
        own = {"write": draw.random(rows) < 0.3} if kind == "access" else {"digest": draw.integers(1, 9, rows).astype(np.uint64)}
        own = {"seq": np.arange(rows) * 3 + (kind == "content"), "t": t, "vm": vm.tolist(), "ppn": ppn} | own
        files.append(write(folder / f"test.{kind}.parquet", kind, rows, vms, **own))
    told = [(s, vm, what, 0) for s, vm, what in events]
    told += [(s, vm, "clock", s * rate) for vm, rate in (clocks or {}).items() for s in range(1, seconds)]
    if told:
        s, vm, what, a = zip(*sorted(told), strict=True)
        t = (np.array(s) * SECOND).astype(np.int64)
        own = {"t": t, "vm": list(vm), "what": list(what), "a": list(a), "seq": np.arange(len(t)) + 10_000}
        files.append(write(folder / "test.event.parquet", "event", len(t), vms, **own))
    return files


def conserved(results):
    """Every row of the table ``host`` accounts for the machine's memory, of one size."""
    host = results.table("host").collect()
    assert (host["overhead"] + host["used"] + host["held"] + host["free"] == host["memory"]).all()
    assert host["memory"].n_unique() == 1
    assert (host["resident"] - host["saved"] == host["used"]).all()
    return host


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_memory_is_conserved_whoever_comes_and_goes(data):
    """Audited after every tick. A host smaller than Σ min + overhead refuses, with the arithmetic."""
    draw = data.draw
    at = st.integers(1, 18)
    events = draw(st.lists(st.tuples(at, st.sampled_from(list(VMS)), st.sampled_from(["boot", "power-off"])), max_size=5))
    policy = draw(st.sampled_from(POLICIES))
    seed = draw(st.integers(0, 99))
    vms, at_first = [], 0
    for name, size in VMS.items():
        arrive, stay, least = draw(st.sampled_from([0, 0, 3, 9])), draw(st.sampled_from([0, 4, 30])), draw(st.integers(0, size // 2))
        vms.append({"name": name, "min": least * PAGE, "arrive": f"{arrive}s", "depart": f"{arrive + stay if stay else 0}s"})
        vms[-1]["reshare"] = draw(st.sampled_from(["", "2s=7", "1s=900 8s=1"]))
        at_first += least + 2 if not arrive else 0
    memory = draw(st.integers(8, 60))
    scenario = {
        "host": {"memory": memory * PAGE},
        "vm": vms,
        "tax": TAX | {"module": policy} | MORE.get(policy, {}),
        "paging": {"module": draw(st.sampled_from(["lru", "random"]))},
        "sharing": {"module": "esx", "rate": 40, "total": 100},
        "replay": {"report": "500ms"},
    }
    if draw(st.booleans()):
        scenario["balloon"] = {"module": "esx", "inflate": 4 * PAGE, "deflate": 4 * PAGE}
    if draw(st.booleans()):
        scenario["swap"] = {"module": "zswap", "pool": 30}
    late = {vm for s, vm, what in events if what == "boot"}
    with TemporaryDirectory() as folder:
        files = capture(Path(folder), rows=120, seed=seed, events=events, clocks=CLOCKS if policy == "drf" else None)
        if memory < at_first and not late:  # what is there at first does not fit
            with pytest.raises(ScenarioError, match=r"not admitted|leave nothing"):
                tracekit.replay(files, scenario)
            return
        try:
            results = tracekit.replay(files, scenario, auditing=True)
        except ScenarioError:
            assert memory <= at_first + 3 or late  # no page is left for a VM to live on
            return
    host = conserved(results)
    assert (host["target"] >= host["min"]).all()
    assert (host["overhead"] == 2 * host["vms"]).all()


def replayed(files, vms=(), memory=40, **more):
    """A replay of VMs that cost two pages each, in LRU, with every row of the table ``host``."""
    tax = TAX | more.pop("tax", {})
    return tracekit.replay(
        files, {"host": {"memory": memory * PAGE}, "vm": list(vms), "tax": tax, "paging": {"module": "lru"}} | more, auditing=True
    )


def happened(results):
    """(s, VM, what) of what has happened to VMs."""
    host = conserved(results)
    return [
        (t / SECOND, vm, why) for t, vm, why in host.filter(~pl.col("why").is_in(["report", "state"])).select("t", "vm", "why").iter_rows()
    ]


def test_a_vm_arrives_departs_and_leaves_its_memory_to_the_others(tmp_path):
    vms = [{"name": "b", "arrive": "5s", "depart": "12s"}]
    results = replayed(capture(tmp_path), vms, replay={"report": "1s"})

    assert [(round(s), vm, why) for s, vm, why in happened(results)] == [(5, "b", "arrival"), (12, "b", "departure")]
    shown = results.allocation.filter(pl.col("vm") == "b").collect()
    there = (shown["t"] >= 5 * SECOND) & (shown["t"] < 12 * SECOND)
    assert (shown.filter(~there)["resident"] == 0).all() and (shown.filter(~there)["target"] == 0).all()
    assert shown.filter(there)["target"].min() > 0 and shown.filter(there)["resident"].max() > 0
    assert rows_of(results, "allocation")["b"]["ignored"] > 0 and rows_of(results, "allocation")["a"]["ignored"] == 0
    host = results.table("host").filter(pl.col("why") == "report").collect()
    assert set(zip(host["vms"], host["overhead"])) == {(2, 4), (3, 6)}


def test_an_arrival_that_does_not_fit_is_refused_with_the_arithmetic_and_its_rows_are_ignored(tmp_path):
    vms = [{"name": "a", "min": 15 * PAGE}, {"name": "b", "min": 13 * PAGE, "arrive": "5s"}, {"name": "c", "min": 5 * PAGE}]
    for memory, fits in ((39, True), (38, False)):  # 15 + 13 + 5 + 3 × 2
        results = replayed(capture(tmp_path), vms, memory)
        assert happened(results) == [(5, "b", "arrival" if fits else "refused")]
        note = results.table("host").filter(pl.col("vm") == "b").collect()["note"].item()
        assert ("Σ min 132 KiB + 3 × overhead 8.00 KiB = 156 KiB, the host has 152 KiB" in note) is not fits
        assert (rows_of(results, "faults")["b"]["accesses"] > 0) is fits


def test_boot_and_power_off_events_bring_and_take_vms(tmp_path):
    """a boots again without a power-off, which is a reboot; b is off for a while; c goes for good."""
    events = [(4, "a", "boot"), (6, "b", "power-off"), (9, "b", "boot"), (12, "c", "power-off")]
    found = happened(replayed(capture(tmp_path, events=events)))
    assert [(vm, why) for _, vm, why in found] == [("b", "departure"), ("b", "arrival"), ("c", "departure")]
    assert [t for t, _, _ in found] == pytest.approx([6.5, 9, 12.5], abs=0.6)  # a power-off is noticed at the next tick


def test_a_vm_that_boots_late_and_touches_nothing_before_is_absent_until_then(tmp_path):
    access = write(
        tmp_path / "test.access.parquet", "access", 20, {"a": 8, "b": 8}, t=np.arange(20) * SECOND, vm=["a"] * 10 + ["a", "b"] * 5
    )
    event = write(tmp_path / "test.event.parquet", "event", 1, {"a": 8, "b": 8}, t=[9 * SECOND], vm=["b"], what=["boot"], seq=[99])
    results = replayed([access, event], memory=12)
    assert happened(results) == [(9, "b", "arrival")]
    assert results.table("host").collect()["overhead"].to_list()[0] == 2


def test_new_shares_move_memory_at_once(tmp_path):
    files = capture(tmp_path, vms={"a": 20, "b": 20})
    vms = [{"name": "*", "shares": 100}, {"name": "b", "shares": 100, "reshare": "8s=300"}]
    tax = {"module": "shares"} | dict.fromkeys(("high", "soft", "hard", "low"), 0)
    results = replayed(files, vms, 24, tax=tax, replay={"report": "1s"})
    frame = results.allocation.select("t", "vm", "target").collect().pivot("vm", index="t", values="target").sort("t")
    assert frame.filter(pl.col("t") < 8 * SECOND)["a"].unique().to_list() == [10]
    assert frame.filter(pl.col("t") >= 8 * SECOND).select("a", "b").unique().rows() == [(5, 15)]


def test_targets_do_not_count_on_savings_that_are_gone(tmp_path):
    """Two VMs of 20 equal pages each fit into 24; at 10 s all their contents become different, before targets are due at 14 s."""
    rows = [(t, vm, ppn) for t in (0, 10) for vm in ("a", "b") for ppn in range(20)]
    t, vm, ppn = (list(column) for column in zip(*rows))
    vms, times = {"a": 20, "b": 20}, np.array(t) * SECOND
    digests = np.array([1 if when == 0 else 100 + i for i, when in enumerate(t)], np.uint64)
    content = write(tmp_path / "x.content.parquet", "content", 80, vms, t=times, vm=vm, ppn=ppn, digest=digests, seq=np.arange(80) * 2 + 1)
    again = np.append(times, 20 * SECOND)
    access = write(tmp_path / "x.access.parquet", "access", 81, vms, t=again, vm=[*vm, "a"], ppn=[*ppn, 0], seq=np.arange(81) * 2)
    sharing = {"module": "esx", "rate": 100, "total": 200}
    scenario = {"tax": {"reallocate": "7s", "period": "1h"}, "sharing": sharing, "replay": {"report": "1s"}}
    host = conserved(replayed([access, content], memory=28, **scenario)).filter(pl.col("why") == "report")
    before, after = host.filter(pl.col("t") < 10 * SECOND)[-1], host.filter(pl.col("t").is_between(11 * SECOND, 14 * SECOND, closed="none"))
    assert before["saved"].item() > 20 and before["target"].item() == 40
    assert (after["saved"] == 0).all() and after["target"].max() <= 24


@pytest.mark.parametrize("balloon", [None, {"module": "esx", "inflate": 4 * PAGE}])
def test_a_vm_holds_no_more_than_its_max_where_memory_is_to_spare(balloon, tmp_path):
    vms = [{"name": "a", "max": 8 * PAGE}]
    results = replayed(capture(tmp_path, rows=400), vms, 200, replay={"report": "1s"}, **({"balloon": balloon} if balloon else {}))
    late = results.allocation.filter(pl.col("t") > 10 * SECOND).collect()
    held = {vm: late.filter(vm=vm)["resident"] for vm in VMS}
    assert late["state"].unique().to_list() == ["high"]
    assert held["a"].max() <= 8 + 4  # what it touches between two polls
    assert held["a"].mean() <= 9.5
    assert held["b"].max() == 16
    taken = late.filter(vm="a")["ballooned"]
    assert (taken.max() == 12) if balloon else (taken.max() == 0)


def test_dominant_shares_of_memory_and_instructions_are_even(tmp_path):
    """a touches 12 pages and executes 100 instructions a second, b 6 and 300; there are 12 pages and (seen at most) 400 a second.

    A unit of a's dominant share, memory, comes with 100/400 of the processors, one of b's, 300/400 of the processors, with 6/12
    of the memory. Both rise to x: x + (6/9) x = 1 of the memory, so that a has 7.2 pages and b 4.8; it wants no more than 6.
    """
    t = np.repeat(np.arange(20) * SECOND, 18)
    vm, ppn = (["a"] * 12 + ["b"] * 6) * 20, np.tile([*range(12), *range(6)], 20)
    files = [write(tmp_path / "test.access.parquet", "access", len(t), {"a": 20, "b": 20}, t=t, vm=vm, ppn=ppn)]
    s = np.repeat(np.arange(1, 20), 2)
    executed = (s * np.tile([100, 300], 19)).tolist()
    own = {"t": s * SECOND, "vm": ["a", "b"] * 19, "what": ["clock"] * 38, "a": executed, "seq": np.arange(38) + 10_000}
    files.append(write(tmp_path / "test.event.parquet", "event", 38, {"a": 20, "b": 20}, **own))
    free = dict.fromkeys(("high", "soft", "hard", "low"), 0)
    wanted = np.array([[12.0, 100], [6, 300]])
    assert dominant(wanted, np.array([12.0, 400]), np.ones(2))[:, 0] == pytest.approx([7.2, 4.8], abs=0.01)
    # Rounded down; the page that is left goes to whoever has least. With processors to spare memory alone is divided.
    for instructions, expected in ((0, {"a": 7, "b": 5}), (3000, {"a": 6, "b": 6})):
        results = replayed(files, memory=16, tax={"module": "drf", "sample": 20, "instructions": instructions} | free)
        conserved(results)
        assert {vm: row["target"] for vm, row in rows_of(results, "allocation").items()} == expected


def test_a_trace_that_does_not_tell_instructions_has_no_second_resource(tmp_path):
    results = replayed(capture(tmp_path), tax={"module": "drf"})
    assert "tax.drf: needs execution_clock" in results.runs.collect()["left_out"].item()
    assert "allocation" not in results.names


def test_time_in_the_state_low_above_target_is_time_blocked(tmp_path):
    """Thresholds that a full host cannot meet: whoever holds more than its target would be stopped."""
    results = replayed(capture(tmp_path), memory=30, tax={"high": 60, "soft": 60, "hard": 60, "low": 60}, paging={"module": "unbounded"})
    blocked = results.allocation.collect()
    assert blocked["blocked"].max() > 0 and blocked["state"].to_list()[-1] == "low"
    calm = replayed(capture(tmp_path), memory=200)
    assert calm.allocation.collect()["blocked"].max() == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_results_do_not_depend_on_chunks(policy, tmp_path):
    files = capture(tmp_path, events=[(6, "b", "power-off"), (9, "b", "boot")], clocks=CLOCKS if policy == "drf" else None)
    vms = [{"name": "c", "arrive": "3s", "reshare": "7s=9"}, {"name": "a", "tax": 0.9}]
    how = {"tax": {"module": policy} | MORE.get(policy, {}), "memory": 30, "balloon": {"module": "esx", "inflate": 8 * PAGE}}
    scenario = {"host": {"memory": 30 * PAGE}, "vm": vms, "tax": TAX | how["tax"], "paging": {"module": "lru"}, "balloon": how["balloon"]}
    tables = [
        {n: r.table(n).drop("elapsed", "peak_rss", "created", strict=False).collect().rows() for n in sorted(r.names)}
        for r in (tracekit.replay(files, scenario, auditing=True, chunk=chunk) for chunk in (7, 100_000))
    ]
    assert tables[0] == tables[1]
