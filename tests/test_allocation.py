"""Who pays and how the host adapts: the policies against their slow twins and published examples; states and admission."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_allocation import Harvester, Senpai, best_division, dominant, filled, lotteries, revoked

from tracekit import rng
from tracekit.errors import ScenarioError
from tracekit.host import STATES, VM_RECORD
from tracekit.modules.tax import drf, lottery, max_min, utility
from tracekit.modules.tax.allocation import Allocation
from tracekit.modules.tax.esx import IdleTax
from tracekit.modules.tax.harvest import Harvest
from tracekit.modules.tax.per_vm import PerVmTax
from tracekit.modules.tax.pressure import Pressure
from tracekit.modules.tax.progressive import ProgressiveTax
from tracekit.modules.tax.states import States, min_free
from tracekit.modules.tax.targets import idle_price, next_state, revoke
from tracekit.scenario import load_preset, variants

pytestmark = pytest.mark.uncompiled

vms = st.lists(st.tuples(st.integers(1, 500), st.integers(0, 12), st.integers(0, 20), st.integers(0, 30)), min_size=1, max_size=4)


def columns(table):
    shares, least, room, active = (np.array(column) for column in zip(*table, strict=True))
    return shares, least, least + room, active.astype(float)


def test_the_host_over_time():
    """See uncompiled_host.py: ten policies are ten drivers, which would take minutes to compile."""
    script = Path(__file__).with_name("uncompiled_host.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(script)],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]


# ------------------------------------------------------------------------------------------------- policies


@settings(deadline=None)
@given(vms, st.sampled_from([0, 0.5, 0.75, 0.99]), st.floats(0, 1))
def test_min_funding_revocation_is_as_page_by_page(table, rate, level):
    """To the page where one price separates the VMs; a tie may go to either."""
    shares, least, most, active = columns(table)
    memory = int(least.sum() + level * (most - least).sum())
    price = lambda pages: idle_price(shares, pages, active, rate)  # noqa: E731
    assert np.abs(revoke(price, least, most, memory) - revoked(price, least, most, memory)).max() <= 1 + len(table) // 2


@settings(deadline=None)
@given(vms, st.floats(0, 1))
def test_max_min_is_as_page_by_page(table, level):
    _, least, most, _ = columns(table)
    memory = int(least.sum() + level * (most - least).sum())
    found = max_min.fill(least, most, memory)
    assert found.sum() == memory
    assert sorted(found) == sorted(filled(least, most, memory))


def test_dominant_resource_fairness_of_the_paper():
    """9 CPUs and 18 GB; tasks of A take ⟨1 CPU, 4 GB⟩, of B ⟨3 CPU, 1 GB⟩: A gets ⟨3, 12⟩, B ⟨6, 2⟩ (Ghodsi et al. 2011, section 4.1)."""
    many = np.array([[1.0, 4], [3, 1]]) * 100
    assert drf.dominant(many, np.array([9.0, 18]), np.ones(2)) == pytest.approx(np.array([[3, 12], [6, 2]]))


some = st.integers(0, 40).map(lambda n: n / 4)
wants = st.lists(st.tuples(some, some, st.floats(0.5, 3)), min_size=1, max_size=4)


@settings(deadline=None)
@given(wants, st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_dominant_resource_fairness_is_as_task_by_task(table, capacity):
    memory, processor, weights = (np.array(column) for column in zip(*table, strict=True))
    wanted, capacity = np.stack([memory, processor], axis=1), np.array(capacity, float)
    found, slow = drf.dominant(wanted, capacity, weights), dominant(wanted, capacity, weights, 1e-3)
    assert (found <= wanted + 1e-9).all() and (found.sum(axis=0) <= capacity * (1 + 1e-9)).all()
    assert found / capacity == pytest.approx(slow / capacity, abs=0.01)


def test_a_resource_that_cannot_be_weighed_is_refused():
    with pytest.raises(ScenarioError, match="positive"):
        drf.dominant(np.ones((2, 2)), np.ones(2), np.array([1.0, 0]))


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=7), min_size=1, max_size=3), st.integers(0, 21))
def test_lookahead_is_best_for_concave_curves_and_never_beats_it(gains, memory):
    memory = min(memory, sum(len(one) for one in gains))
    for concave in (True, False):
        curves = [np.array(sorted(one, reverse=True) if concave else one, float) for one in gains]
        hits = [np.concatenate([[0], np.cumsum(curve)]) for curve in curves]
        most = np.array([len(curve) for curve in curves])
        sizes = utility.lookahead(curves, np.ones(len(curves)), np.zeros_like(most), most, memory, 1)
        assert sizes.sum() <= memory and (sizes <= most).all()
        found, best = sum(hit[size] for hit, size in zip(hits, sizes)), best_division(hits, most.tolist(), memory)
        assert found == best if concave else found <= best


def test_lookahead_sees_beyond_a_flat_part():
    """The second VM gains nothing for 5 pages and then 60 hits at once: a page at a time would never get there."""
    curves = [np.full(10, 5.0), np.array([0, 0, 0, 0, 0, 60.0])]
    assert utility.lookahead(curves, np.ones(2), np.zeros(2, np.int64), np.array([10, 6]), 8, 1).tolist() == [2, 6]


def test_lotteries_are_drawn_by_tickets_and_inversely():
    stream = rng.stream(1, "test")
    wins = np.bincount([lottery.draw(stream, np.array([1.0, 2, 0, 5])) for _ in range(8000)], minlength=4) / 8000
    assert wins == pytest.approx([1 / 8, 2 / 8, 0, 5 / 8], abs=0.02)
    # (1 − t/T) × part of memory held: 3/4 × 0.5 and 1/4 × 0.5
    assert lottery.losing(np.array([1, 3]), np.array([10, 10]), np.array([0, 0])) == pytest.approx([0.375, 0.125])
    assert lottery.losing(np.array([1, 3]), np.array([10, 10]), np.array([10, 0])).tolist() == [0, 0.125]
    assert lottery.losing(np.array([1]), np.array([10]), np.array([0])).tolist() == [1]


class Pieces(lottery.Lottery):
    """A lottery on a host of its own."""

    def __init__(self, shares, piece, turnover, seed):
        super().__init__(self.Params(piece=piece * 4096, turnover=turnover))  # pyright: ignore
        host = SimpleNamespace(vm=np.zeros(len(shares), VM_RECORD), shares=shares)
        self.site = SimpleNamespace(host=host, stream=lambda *key: rng.stream(seed, *key))  # pyright: ignore
        self._set_up()


@settings(deadline=None)
@given(vms, st.lists(st.floats(0, 1.2), min_size=1, max_size=6), st.integers(1, 9), st.floats(0, 100), st.integers(0, 9))
def test_lotteries_are_as_ticket_by_ticket(table, levels, piece, turnover, seed):
    """Over several reallocations of more and less memory."""
    shares, least, most, _ = columns(table)
    policy, stream = Pieces(shares, piece, turnover, seed), rng.stream(seed, "lottery")
    held = [0] * len(shares)
    for level in levels:
        memory = int(least.sum() + level * (most - least).sum())
        held = [min(max(h, low), high) for h, low, high in zip(held, least.tolist(), most.tolist())]
        with np.errstate(over="ignore"):
            point = lambda: int(rng.below(stream, 1 << 52)) / (1 << 52)  # noqa: E731
            held = lotteries(held, shares.tolist(), least.tolist(), most.tolist(), memory, turnover, piece, point)
        assert policy.divide(least, most, memory).tolist() == held
        assert sum(held) == min(memory, most.sum())


def limits_of(policy, sizes, history, period):
    """A policy that finds limits, on a host whose VMs hold and read in what ``history`` says: (pages held, page-ins) by VM and period."""
    books = np.zeros(len(sizes), VM_RECORD).view(np.recarray)
    books.accesses = 1
    policy.site = SimpleNamespace(host=SimpleNamespace(vm=books, max=np.array(sizes)), origin=0)
    policy._set_up()
    for number, step in enumerate(history, 1):
        books.resident, books.major = [held for held, _ in step], books.major + [ins for _, ins in step]
        assert not policy.observe(number * period - 1)  # it looks once a period
        assert policy.observe(number * period)
        yield policy.limit.tolist()


SIZES = (700, 40, 1)
HISTORY = st.lists(
    st.tuples(*(st.tuples(st.integers(0, size), st.sampled_from([0, 0, 1, 3, 30, 500])) for size in SIZES)), min_size=1, max_size=40
)


@settings(deadline=None)
@given(HISTORY, st.sampled_from([0.0005, 0.1, 1.0]), st.sampled_from([0.1, 5.0, 100.0]))
def test_pressure_is_as_the_controller_of_each_vm(history, ratio, tolerated):
    policy = Pressure(Pressure.Params(look=6 * 10**9, ratio=ratio, tolerated=tolerated, page_in=2 * 10**6))  # pyright: ignore
    slow = [Senpai(ratio, tolerated / 100) for _ in SIZES]
    for step, limits in zip(history, limits_of(policy, SIZES, history, 6 * 10**9)):
        for vm, (held, ins) in zip(slow, step):
            vm.period(held, ins * 2e-3, 6.0)
        for vm, size, limit in zip(slow, SIZES, limits):
            assert limit == pytest.approx(size if vm.limit is None else vm.limit, abs=1)  # where rounding falls on a whole page


@settings(deadline=None)
@given(HISTORY, st.sampled_from([1, 16, 1000]), st.sampled_from([0.0, 0.5, 10.0]), st.integers(1, 4))
def test_harvesting_is_as_the_harvester_of_each_vm(history, piece, tolerated, recovery):
    params = Harvest.Params(epoch=5 * 10**9, piece=piece * 4096, tolerated=tolerated, recovery=recovery)  # pyright: ignore
    slow = [Harvester(piece, tolerated, recovery) for _ in SIZES]
    for step, limits in zip(history, limits_of(Harvest(params), SIZES, history, 5 * 10**9)):
        for vm, (held, ins) in zip(slow, step):
            vm.epoch(held, ins, 5.0)
        assert limits == [size if vm.limit is None else vm.limit for vm, size in zip(slow, SIZES)]


def test_progressive_and_own_rates():
    shares, pages = np.array([100.0, 100]), np.array([100.0, 100])
    policy = ProgressiveTax(ProgressiveTax.Params(rate=0.5))
    # idle half: τ = 0.25, k = 4/3, so 50 + 50 × 4/3; idle wholly: τ = 0.5, k = 2
    assert policy.price(shares, pages, np.array([50.0, 0])) == pytest.approx([100 / (50 + 50 * 4 / 3), 100 / 200])
    policy = PerVmTax(PerVmTax.Params(rate=0.75))
    policy.site = type("Site", (), {"vm_options": {"tax": np.array([-1.0, 0.5])}})  # pyright: ignore
    assert policy.price(shares, pages, np.zeros(2)) == pytest.approx([0.25, 0.5])


@settings(deadline=None)
@given(st.floats(0, 0.99), st.integers(0, 100))
def test_prices_fall_with_pages(rate, active):
    """What min-funding revocation rests on."""
    pages = np.arange(1, 200).astype(float)
    for policy in (IdleTax(IdleTax.Params(rate=rate)), ProgressiveTax(ProgressiveTax.Params(rate=rate))):
        price = policy.price(np.full(199, 1000.0), pages, np.full(199, float(active)))
        assert (np.diff(price) <= 1e-12).all()


# ------------------------------------------------------------------------------------------------- states


def states(frees, reading, margin=0.0):
    found, state = [], 0
    for free in frees:
        state = next_state(state, free, (6.0, 4.0, 2.0, 1.0), margin, reading)
        found.append(STATES[state])
    return found


def test_both_readings_of_the_thresholds():
    frees = [10, 5, 3.9, 5, 6.1, 1.9, 0.9]
    assert states(frees, "own") == ["high", "high", "soft", "soft", "high", "hard", "low"]
    assert states(frees, "above") == ["high", "soft", "hard", "soft", "high", "low", "low"]


@settings(deadline=None)
@given(st.lists(st.floats(0, 12), min_size=1, max_size=30), st.sampled_from(["own", "above"]), st.floats(0, 3))
def test_a_state_is_never_better_than_free_memory_allows(frees, reading, margin):
    thresholds, state = (6.0, 4.0, 2.0, 1.0), 0
    for free in frees:
        after = next_state(state, free, thresholds, margin, reading)
        entered = thresholds[1:] if reading == "own" else thresholds[:-1]
        assert after >= sum(free < threshold for threshold in entered)
        if after < state:
            assert free > thresholds[after] + margin
        state = after


@pytest.mark.parametrize(("gib", "mib"), [(1, 61.44), (4, 245.76), (12, 573.44), (28, 901.12), (96, 1597.44)])
def test_min_free_slides(gib, mib):
    assert min_free(gib << 18) == pytest.approx(mib * 256, abs=1)


def test_esxi_has_a_state_between_high_and_soft():
    """On 4 GiB minFree is 245.76 MiB; the states of vSphere 6 are percentages of that."""
    (variant,) = variants(load_preset("esxi"))
    cls, params = variant.stages["tax"]
    assert issubclass(cls, Allocation)
    states, machine, found = States(params, 1 << 20), 1 << 20, []
    for percent in (500, 101, 99, 65, 63, 99, 401, 31, 15):
        states.advance(int(percent * min_free(machine) / 100), machine)
        found.append((states.name, STATES[states.index]))
    high, clear = ("high", "high"), ("clear", "high")
    assert found == [high, high, clear, clear, ("soft",) * 2, ("soft",) * 2, high, ("hard",) * 2, ("low",) * 2]


def test_thresholds_that_rise_are_refused():
    with pytest.raises(ScenarioError, match="must not rise"):
        variants({"tax": {"module": "esx", "clear": 3}})[0].make_modules()
