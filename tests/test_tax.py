"""The idle memory tax: prices, equilibria, states and admission by the paper; sampling against the truth."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_trace import write
from reference import rows_of

import tracekit
from tracekit.errors import ScenarioError
from tracekit.host import STATES
from tracekit.modules.tax.sampling import interval
from tracekit.modules.tax.targets import admit, idle_price, next_state, revoke
from tracekit.synth import synthesize

MB = 256  # pages
SECOND = 10**9
TRACES = Path(__file__).parents[1] / "traces"


# ------------------------------------------------------------------------------------------------- prices and targets


@pytest.mark.parametrize(("rate", "k"), [(0, 1), (0.5, 2), (0.75, 4), (0.9, 10)])
def test_an_idle_page_costs_k(rate, k):
    shares, pages = np.array([1000.0]), np.array([100.0])
    assert idle_price(shares, pages, np.array([0.0]), rate) == pytest.approx(1000 / (100 * k))
    assert idle_price(shares, pages, np.array([100.0]), rate) == pytest.approx(1000 / 100)
    assert idle_price(shares, pages, np.array([25.0]), rate) == pytest.approx(1000 / (25 + 75 * k))


@pytest.mark.parametrize(
    ("rate", "active", "expected"),
    [
        (0.75, (40, 200), (119.0, 239.0)),
        (0.75, (60, 256), (107.6, 250.4)),
        (0.75, (20, 256), (102, 256)),  # the second is capped
        (0, (40, 200), (179, 179)),
        (0, (20, 256), (179, 179)),
    ],
)
def test_equilibria_of_two_vms(rate, active, expected):
    """358 MB for two VMs of 256 MB with equal shares, to the page."""
    shares, active = np.array([2560, 2560]), np.array(active, float) * MB
    targets = revoke(lambda pages: idle_price(shares, pages, active, rate), np.array([0, 0]), np.array([256, 256]) * MB, 358 * MB)
    assert targets.sum() == 358 * MB
    assert np.abs(targets - np.array(expected) * MB).max() <= 1


vms = st.lists(st.tuples(st.integers(1, 10_000), st.integers(0, 300), st.integers(0, 500), st.integers(0, 900)), min_size=1, max_size=6)


@settings(deadline=None)
@given(vms, st.floats(0, 0.99), st.floats(0, 1))
def test_min_funding_revocation_leaves_no_cheaper_page_to_take(table, rate, level):
    """Σ = memory, within bounds, and no VM that could give a page pays less than another would pay for it."""
    shares, least, room, active = (np.array(column) for column in zip(*table, strict=True))
    most = least + room
    memory = int(least.sum() + level * room.sum())
    price = lambda pages: idle_price(shares, pages, active.astype(float), rate)  # noqa: E731
    targets = revoke(price, least, most, memory)
    assert targets.sum() == memory and (targets >= least).all() and (targets <= most).all()
    gives, takes = targets > least, targets < most
    if gives.any() and takes.any():
        assert price(np.maximum(targets, 1))[gives].min() >= price(targets + 1)[takes].max() * (1 - 1e-9)


def test_synthetic_pair_settles_at_the_equilibrium(tmp_path):
    """Figure 7 at a sixteenth of the size, with the truth known: targets are the paper's arithmetic."""
    sizes = {"memory": "16MiB", "active1": "2560KiB", "active2": "12800KiB"}
    files = synthesize("tax", tmp_path, duration="90s", **sizes)[:-1]
    free = dict.fromkeys(("high", "soft", "hard", "low", "overhead"), 0)
    scenario = {"tax": {"module": "exact", "rate": [0, 0.75], "period": "30s"} | free, "host": {"memory": 358 * MB * 4096 // 16}}
    results = tracekit.replay(files, scenario)
    for variant, rate in results.params("tax.rate").select("variant", "tax.rate").collect().iter_rows():
        last = results.allocation.filter((pl.col("variant") == variant) & (pl.col("t") == pl.col("t").max())).collect()
        found = dict(last.select("vm", "target").iter_rows())
        expected = {"idle": 119.0, "busy": 239.0} if rate == 0.75 else {"idle": 179, "busy": 179}
        assert {vm: pages * 16 / MB for vm, pages in found.items()} == pytest.approx(expected, abs=16 / MB)


# ------------------------------------------------------------------------------------------------- states and admission


def states(frees, margin):
    found, state = [], 0
    for free in frees:
        state = next_state(state, free, (6.0, 4.0, 2.0, 1.0), margin)
        found.append(STATES[state])
    return found


def test_states_follow_free_memory():
    assert states([10, 5, 3.9, 5, 6.1, 1.9, 0.9], 0) == ["high", "high", "soft", "soft", "high", "hard", "low"]


def test_a_state_is_left_upward_only_by_a_margin():
    assert states([3.9, 6.1, 7, 7.1], 1) == ["soft", "soft", "soft", "high"]
    assert states([0.5, 2.5, 3.1, 5.1, 7.1], 1) == ["low", "low", "hard", "soft", "high"]


def test_admission():
    """min 128, max 256, overhead 32 MB: 160 MB of unreserved memory and 128 MB of swap."""
    vm = ["a"], np.array([128 * MB]), np.array([256 * MB]), 32 * MB
    admit(*vm, 160 * MB, 128 * MB)
    admit(*vm, 160 * MB, -1)
    with pytest.raises(ScenarioError, match="160 MiB"):
        admit(*vm, 160 * MB - 1, 128 * MB)
    with pytest.raises(ScenarioError, match="swap"):
        admit(*vm, 160 * MB, 128 * MB - 1)


def test_a_scenario_that_is_not_admitted_is_refused(tmp_path):
    trace = write(tmp_path / "test.access.parquet", "access", 3, {"a": 256 * MB})
    vm = [{"name": "a", "min": "128MiB"}]
    for host in ({"memory": "159MiB", "swap": "128MiB"}, {"memory": "160MiB", "swap": "127MiB"}):
        with pytest.raises(ScenarioError, match="not admitted"):
            tracekit.replay(trace, {"tax": {"module": "esx"}, "vm": vm, "host": host})
    tracekit.replay(trace, {"tax": {"module": "esx"}, "vm": vm, "host": {"memory": "160MiB", "swap": "128MiB"}})


@pytest.mark.parametrize("rate", ["1", "1.5", "-0.1", "nan"])
def test_a_tax_of_all_is_refused(rate, tmp_path):
    trace = write(tmp_path / "test.access.parquet", "access", 3)
    with pytest.raises(ScenarioError, match=r"tax\.rate"):
        tracekit.replay(trace, preset="tax", settings=[f"tax.rate={rate}"])


# ------------------------------------------------------------------------------------------------- sampling


@pytest.mark.parametrize("fraction", [0.0, 0.02, 0.1, 0.25, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("pages", [150, 80_000])
def test_intervals_cover_as_often_as_they_say(pages, fraction):
    """Over hypergeometric draws; few active pages make coverage lumpy."""
    active = round(fraction * pages)
    hits = np.random.default_rng(pages).hypergeometric(active, pages - active, 100, 4000)
    bounds = {int(h): interval(int(h), 100, pages) for h in np.unique(hits)}
    covered = np.mean([bounds[int(h)][0] <= active + 1e-6 and active - 1e-6 <= bounds[int(h)][1] for h in hits])
    assert 0.9 <= covered <= 1.0


def test_a_sample_of_all_pages_is_the_truth():
    assert interval(37, 100, 100) == (37, 37)


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """Two VMs without events, in wall time: accesses, and the sampling table over seeds."""
    rng = np.random.default_rng(5)
    rows, vms = 40_000, {"a": 500, "b": 60}
    t = np.sort(rng.integers(0, 50 * SECOND, rows)) + 3 * SECOND
    vm = rng.choice(["a", "b"], rows)
    ppn = (rng.random(rows) ** (2 + t // (5 * SECOND)) * np.where(vm == "a", 500, 60)).astype(np.int64)
    trace = write(tmp_path_factory.mktemp("sampled") / "test.access.parquet", "access", rows, vms, t=t, vm=vm.tolist(), ppn=ppn)
    scenario = {"tax": {"module": "esx", "period": "1s", "sample": 40}, "replay": {"seed": list(range(10))}}
    return pl.DataFrame({"t": t, "vm": vm, "ppn": ppn}), tracekit.replay(trace, scenario).table("sampling").collect()


def test_truth_of_the_sampler_equals_a_recount(sampled):
    access, sampling = sampled
    first = access["t"].min()
    period = (pl.col("t") - first) // SECOND
    recount = access.group_by("vm", ((period + 1) * SECOND + first).alias("t")).agg(pl.col("ppn").n_unique().alias("recount"))
    joined = sampling.join(recount, on=["vm", "t"], how="left")
    assert joined["active"].to_list() == joined["recount"].to_list()
    assert (sampling["length"] == SECOND).all()
    assert sampling.group_by("variant", "vm").len()["len"].unique().to_list() == [49]  # the last period is not over
    assert set(sampling.select("vm", "n").unique().iter_rows()) == {("a", 40), ("b", 40)}


def test_estimates_are_unbiased_and_intervals_cover_the_truth(sampled):
    _, sampling = sampled
    size = sampling["vm"].replace_strict({"a": 500, "b": 60})
    assert (sampling["touched"] / sampling["n"] * size - sampling["active"]).mean() == pytest.approx(0, abs=3)
    covered = ((sampling["low"] <= sampling["active"]) & (sampling["active"] <= sampling["high"])).mean()
    assert 0.93 <= covered <= 0.98


def test_averages_follow_their_recurrence(sampled):
    _, sampling = sampled
    for (_, vm), rows in sampling.sort("t").group_by("variant", "vm"):
        size, slow, fast = {"a": 500, "b": 60}[vm], None, None
        for row in rows.iter_rows(named=True):
            fraction = row["touched"] / row["n"]
            slow = fraction if slow is None else slow + 0.2 * (fraction - slow)
            fast = fraction if fast is None else fast + 0.6 * (fraction - fast)
            assert (row["slow"], row["fast"]) == pytest.approx((slow * size, fast * size))
            assert row["estimate"] == max(row["slow"], row["fast"])


def test_estimates_on_the_longest_real_trace_cover_the_truth():
    """100 pages, 30 s, 20 seeds: the 95 % interval covers the truth in 90–100 % of periods."""
    files = [TRACES / f"toucher-long.{kind}.parquet" for kind in ("access", "event")]
    scenario = {"tax": {"module": "esx"}, "replay": {"seed": list(range(20)), "report": "1h"}}
    sampling = tracekit.replay(files, scenario).table("sampling").collect()
    assert sampling["variant"].n_unique() == 20 and sampling.height >= 20 * 17
    assert sampling.group_by("t").agg(pl.col("active").n_unique())["active"].unique().to_list() == [1]  # one truth
    covered = (pl.col("low") <= pl.col("active")) & (pl.col("active") <= pl.col("high"))
    assert 0.9 <= sampling.select(covered.mean()).item() <= 1.0


# ------------------------------------------------------------------------------------------------- whose clock


def clocked(folder, instructions, seconds=20):
    """Accesses of two VMs, and a clock event of each a tenth of a second: ``instructions[vm](t in s)`` executed so far."""
    t = np.repeat(np.arange(1, seconds * 10 + 1) * (SECOND // 10), 2)
    vm = ["a", "b"] * (len(t) // 2)
    vms = {"a": 16, "b": 16}
    executed = [int(instructions[name](when / SECOND)) for name, when in zip(vm, t.tolist(), strict=True)]
    events = write(folder / "test.event.parquet", "event", len(t), vms, t=t, vm=vm, what=["clock"] * len(t), a=executed)
    access = write(folder / "test.access.parquet", "access", len(t), vms, t=t - SECOND // 10, vm=vm, ppn=np.arange(len(t)) % 16)
    return [events, access]


def periods(files, **params):
    results = tracekit.replay(files, {"tax": {"module": "esx", "period": "1s", "sample": 4} | params})
    sampling = results.table("sampling").collect()
    return {vm: sampling.filter(pl.col("vm") == vm) for vm in ("a", "b")}


def test_a_vm_that_stops_executing_gets_no_further_periods(tmp_path):
    found = periods(clocked(tmp_path, {"a": lambda s: 1e9 * min(s, 5), "b": lambda s: 1e9 * s}))
    assert (found["a"].height, found["b"].height) == (5, 20)
    assert found["a"]["t"].max() <= 5.1 * SECOND


def test_periods_last_as_long_as_the_vm_takes_to_execute_them(tmp_path):
    files = clocked(tmp_path, {"a": lambda s: 0.5e9 * s, "b": lambda s: 2e9 * s})
    found = periods(files, executing=1e9)
    assert (found["a"].height, found["b"].height) == (10, 20)
    assert found["a"]["length"].unique().to_list() == [2 * SECOND]
    found = periods(files)  # any progress counts as executing all the time
    assert (found["a"].height, found["b"].height) == (20, 20)


def test_without_clock_events_wall_time_counts(tmp_path):
    _, access = clocked(tmp_path, {"a": float, "b": float})
    found = periods(access)
    assert (found["a"].height, found["b"].height) == (19, 19)  # the last row is at 19.9 s


def test_truth_of_synthetic_activity(tmp_path):
    """The recipe states the active pages of each period; the sampler counts the same."""
    sizes = {"memory": "4MiB", "active1": "640KiB", "active2": "3200KiB"}
    *files, truth = synthesize("tax", tmp_path, duration="120s", **sizes)
    sampling = tracekit.replay(files, {"tax": {"module": "esx"}}).table("sampling").collect()
    active = pl.read_parquet(truth).filter(pl.col("quantity") == "active", pl.col("block") == "")
    assert set(sampling.select("vm", "active").iter_rows()) == set(active.select("vm", "value").iter_rows())
    assert sampling.height == 8


def test_allocation_shows_min_max_and_shares(tmp_path):
    trace = write(tmp_path / "test.access.parquet", "access", 3, {"a": 512, "b": 256}, vm=["a", "b", "a"])
    options = [{"name": "a", "min": "1MiB", "max": "2MiB", "shares": 7}]
    found = rows_of(tracekit.replay(trace, {"tax": {"module": "shares", "overhead": 0}, "vm": options}), "allocation")
    assert [found["a"][name] for name in ("min", "max", "shares", "target")] == [256, 512, 7, 512]
    assert [found["b"][name] for name in ("min", "max", "shares")] == [0, 256, 10]


def test_memory_without_end_is_never_paged_out(tmp_path):
    """Thresholds that no host can meet put it into state low, but nobody can name a victim."""
    trace = write(tmp_path / "test.access.parquet", "access", 30, t=np.arange(30) * SECOND, ppn=np.arange(30) % 16)
    tax = {"module": "esx"} | dict.fromkeys(("high", "soft", "hard", "low"), 100)
    results = tracekit.replay(trace, {"tax": tax, "paging": {"module": "unbounded"}}, auditing=True)
    assert rows_of(results, "allocation")["a"]["state"] == "low"
    assert rows_of(results, "faults")["a"]["page_outs"] == 0
