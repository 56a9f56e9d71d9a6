"""The cost model: counts times prices, sleep absorbs stalls, and intervals cover as often as they say."""

import numpy as np
import polars as pl
import pytest
from make_trace import write

import tracekit
from tracekit.report.cost import Costs, over_seeds, slowdowns, stall, student

pytestmark = pytest.mark.uncompiled

COUNTS = ("cold", "minor", "major", "double_paged", "page_outs", "shared_out", "breaks", "guest_major", "guest_page_outs")


@pytest.mark.parametrize(
    ("count", "ns"),
    [
        ("cold", 2000), ("minor", 2000), ("major", 102_000), ("double_paged", 100_000), ("page_outs", 24_000), ("shared_out", 4000),
        ("breaks", 4500), ("guest_major", 101_000), ("guest_page_outs", 20_000),
    ],
)  # fmt: skip
def test_every_count_has_its_price(count, ns):
    frame = pl.DataFrame({name: [1000 * (name == count)] for name in COUNTS})
    assert frame.select(stall(Costs())).item() == pytest.approx(ns * 1e-6)


def test_a_vm_that_sleeps_is_delayed_only_once_its_sleep_is_used_up(tmp_path):
    """A loop of 8 pages through 4 frames under FIFO: 100 misses in 1 s."""
    t = np.linspace(0, 10**9, 100).astype(np.int64)
    trace = write(tmp_path / "test.access.parquet", "access", 100, t=t, ppn=np.arange(100) % 8)
    results = tracekit.replay(trace, {"paging": {"module": "fifo", "frames": 4}})
    costs = {"fault": 0, "page_in": 5_000_000, "page_out": 0, "shootdown": 0}  # 92 page-ins of 5 ms
    found = {busy: slowdowns(results, Costs(**costs, busy=busy)).collect() for busy in (0.0, 0.5, 1.0)}
    assert [found[busy]["stall"][0] for busy in found] == pytest.approx([0.46] * 3)
    assert [found[busy]["slowdown"][0] for busy in found] == pytest.approx([1, 1, 1.46])


def test_a_negative_cost_is_refused():
    with pytest.raises(ValueError, match="page_in"):
        Costs(page_in=-1)


def test_intervals_over_seeds_cover_the_mean():
    draws = np.random.default_rng(1).normal(7, 2, (2000, 5))
    frame = pl.LazyFrame({"group": np.repeat(np.arange(2000), 5), "value": draws.ravel()})
    found = over_seeds(frame, ["group"], "value").collect()
    assert 0.93 <= ((found["low"] <= 7) & (found["high"] >= 7)).mean() <= 0.97
    assert found["seeds"].unique().to_list() == [5]
    assert over_seeds(frame.filter(pl.col("group") == 0).head(1), ["group"], "value").collect()["low"].to_list() == [None]
    assert abs(student(30) - student(31)) < 0.01
