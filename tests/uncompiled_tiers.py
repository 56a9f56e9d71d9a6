"""Every tiering policy against the slow twin, run without compilation by test_tiers.py: there are seven drivers."""

from pathlib import Path
from tempfile import TemporaryDirectory

import make_trace
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_tiers import Tiered

import tracekit

VMS = {"a": 10, "b": 8}
POLICIES = ["first-touch", "autonuma", "tpp", "hemem", "memtis", "static", "clairvoyant"]
SAME = {"scan_period": "1s", "scan_size": 4 * 4096, "rate": "4096", "recent": "1s", "sample": 3, "hot_reads": 2, "hot_writes": 1, "cool": 4,
        "period": "1s", "demote_below": 0.1, "demote_to": 0.4}  # fmt: skip

accesses = st.lists(
    st.fixed_dictionaries(
        {
            "vm": st.sampled_from(list(VMS)),
            "ppn": st.integers(0, 6).map(lambda n: n * n // 5),
            "t": st.sampled_from([0, 0, 3 * 10**8, 10**9]),
            "write": st.booleans(),
            "count": st.sampled_from([0, 1, 1, 3]),
        }
    ),
    min_size=1,
    max_size=120,
)


@settings(max_examples=30, deadline=None)
@given(accesses, st.integers(2, 8))
def test_every_policy_counts_as_the_twin_does_and_costs_no_less_than_the_clairvoyant(rows, near):
    now = 0
    for row in rows:
        now = row["t"] = now + row["t"]
    with TemporaryDirectory() as folder:
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        file = make_trace.write(Path(folder) / "t.access.parquet", "access", len(rows), VMS, **columns)
        results = tracekit.replay(file, {"tier": {"module": POLICIES, "near": near * 4096} | SAME})
    modules = dict(results.params("tier.module").collect().iter_rows())
    frame = results.tiers.collect()
    cost = {}
    for variant, name in modules.items():
        below, upto = -(-near // 10), -(-near * 2 // 5)
        twin = Tiered(VMS, rows, name, near, below=below, upto=upto).run(rows[0]["t"])
        last = frame.filter((frame["variant"] == variant) & (frame["t"] == now))
        for told in last.to_dicts():
            counts = twin.count[told["vm"]]
            assert {key: told[key] for key in ("near", "far", "promoted", "demoted", "faults", "samples")} == {
                key: counts[key] for key in ("near", "far", "promoted", "demoted", "faults", "samples")
            }, (name, told["vm"])
            assert told["near_pages"] == sum(vm == told["vm"] for vm, _ in twin.near)
            assert told["far_pages"] == sum(vm == told["vm"] for vm, _ in twin.far)
            assert told["migrated_bytes"] == 4096 * (counts["promoted"] + counts["demoted"])
        total = last.sum()
        assert total["near"].item() + total["far"].item() == sum(max(row["count"], 1) for row in rows) == len(twin.latencies)
        served = total["near"].item() * 100 + total["far"].item() * 250
        assert served == sum(twin.latencies)
        moved = (total["promoted"].item() + total["demoted"].item()) * 3409.6 if name != "clairvoyant" else 0
        faults = total["faults"].item() * 1000
        assert total["cost"].item() == pytest.approx(served + moved + faults, abs=2)
        cost[name] = total["cost"].item()
    assert min(cost.values()) >= cost["clairvoyant"] - 2
    assert cost["static"] <= cost["first-touch"]  # neither moves, and static places best


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q", "-x"]))
