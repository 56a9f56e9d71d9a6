"""Every remapping policy against the slow twin, run without compilation by test_remapping.py: there are ten drivers."""

from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import agree, save
from reference_remapping import Remapper

import tracekit

VMS = {"a": 6, "b": 6}
POLICIES = ["bounce-all", "hot", "remap-all", "iommu", "decay", "window", "break-even", "clairvoyant", "static"]
MASKS = [0, 4095, 2 * 4096 - 1, 4 * 4096, 9 * 4096 - 1, 2**64 - 1]

steps = st.sampled_from([0, 0, 0, 100_000, 10**9])
rows_with_steps = st.lists(
    st.one_of(
        st.builds(
            lambda step, **row: row | {"kind": "io", "t": step},
            steps,
            vm=st.sampled_from(list(VMS)),
            ppn=st.one_of(st.none(), st.integers(0, 5)),
            device=st.sampled_from(["nic", "disk"]),
            to_device=st.sampled_from([True, False, None]),
            bytes=st.sampled_from([1, 512, 4096]),
            dma_mask=st.sampled_from(MASKS),
            forced=st.booleans(),
        ),
        st.builds(lambda step: {"kind": "event", "vm": "a", "what": "mark", "t": step, "a": 1}, steps),
    ),
    min_size=1,
    max_size=60,
).filter(lambda rows: any(row["kind"] == "io" for row in rows))


def with_times(rows):
    """Rows whose ``t`` is a step, with ``t`` since the beginning."""
    now, timed = 0, []
    for row in rows:
        now += row["t"]
        timed.append(row | {"t": now})
    return timed


@settings(max_examples=25, deadline=None)
@given(rows_with_steps, st.integers(0, 4), st.integers(0, 3), st.sampled_from(["none", "lru"]), st.sampled_from([0, 100_000]))
def test_every_policy_counts_as_the_twin_does(rows, threshold, low, evict, stay):
    rows = with_times(rows)
    given = {"threshold": threshold, "evict": evict, "stay": stay, "half_life": 10**9, "window": 10**9}
    scenario = {"remap": {"module": POLICIES, "low": 4096 * low, **given}}
    with TemporaryDirectory() as folder:
        results = tracekit.replay(save(folder, rows, VMS), scenario)
    copies = results.copies.collect()
    modules = dict(results.params("remap.module").collect().iter_rows())
    for variant, name in modules.items():
        found = {(row["vm"], row["device"], row["phase"]): row for row in copies.filter(pl.col("variant") == variant).to_dicts()}
        twin = Remapper(VMS, rows, name, low=low, **given).run()
        agree(found, {key: dict(counts) for key, counts in twin.table.items()})


@settings(max_examples=25, deadline=None)
@given(rows_with_steps, st.integers(0, 3), st.sampled_from(["none", "random", "lru", "cost-benefit"]))
def test_every_policy_lies_between_the_bounds(rows, low, evict):
    """No copies beyond bouncing alone nor below what is forced; no cost below one who knows the future."""
    rows = with_times(rows)
    scenario = {"remap": {"module": [*POLICIES, "cost-benefit"], "low": 4096 * low, "evict": evict, "move": ["0ns", "3us"], "threshold": 1}}
    with TemporaryDirectory() as folder:
        results = tracekit.replay(save(folder, rows, VMS), scenario)
    frame = results.copies.join(results.params("remap.module", "remap.move"), on="variant").collect()
    totals = {}
    for row in frame.to_dicts():
        of = totals.setdefault((row["remap.move"], row["remap.module"]), {})
        for name in ("copied_bytes", "forced_bytes", "baseline_bytes", "cost", "unknown", "bounced", "forced", "mappings"):
            of[name] = of.get(name, 0) + row[name]
    for (move, name), of in totals.items():
        assert of["forced_bytes"] <= of["copied_bytes"] <= of["baseline_bytes"], name
        assert of["forced"] <= of["bounced"]
        if name != "iommu":  # which moves nothing and copies nothing, for a price of its own
            # A phase's cost is rounded down by itself, so sums differ by less than the number of rows.
            assert of["cost"] >= totals[move, "clairvoyant"]["cost"] - len(frame), (move, name)
        if name == "iommu":
            assert of["copied_bytes"] == of["forced_bytes"]


@settings(max_examples=15, deadline=None)
@given(rows_with_steps)
def test_break_even_costs_at_most_twice_the_clairvoyant_and_a_copy_a_page(rows):
    rows = [row for row in with_times(rows) if row["kind"] == "event" or row["dma_mask"] in (9 * 4096 - 1, 4095)]
    rows = [row | {"dma_mask": 4095} for row in rows if row["kind"] == "io"]
    if not rows:
        return
    with TemporaryDirectory() as folder:
        results = tracekit.replay(save(folder, rows, VMS), {"remap": {"module": ["break-even", "clairvoyant"], "low": "4GiB"}})
    frame = results.copies.join(results.params("remap.module"), on="variant").collect()
    cost = {name: part["cost"].sum() for (name,), part in frame.group_by("remap.module")}
    forced = sum(200 + row["bytes"] * (2 if row["to_device"] is None else 1) / 10 for row in rows if row["forced"])
    copy = 12 * (200 + 8192 / 10)  # of each page, the largest there is
    assert cost["break-even"] - forced <= 2 * (cost["clairvoyant"] - forced) + copy


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q", "-x"]))
