"""Memory tiers: against a slow twin, and on a real capture."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import tracekit

TRACES = Path(__file__).parents[1] / "traces"


@pytest.fixture(scope="module")
def results():
    """The real toucher's first phase of 64 MiB, with near memory for half of it."""
    modules = {"module": ["static", "clairvoyant"], "near": "32MiB"}
    return tracekit.replay(TRACES / "toucher-long.access.parquet", {"tier": modules, "replay": {"until": "60s"}})


def test_accesses_served_add_up_and_so_do_pages(results):
    rows = pl.scan_parquet(TRACES / "toucher-long.access.parquet")
    rows = rows.filter(pl.col("t") <= pl.col("t").min() + 60 * 10**9)
    accesses, pages = rows.select(pl.len(), pl.col("ppn").n_unique()).collect().row(0)
    for (_, _), part in results.tiers.collect().group_by("variant", "vm"):
        assert part["near"].is_sorted() and part["far"].is_sorted() and part["near_pages"].max() <= 8192
        last = part.sort("t").row(-1, named=True)
        assert last["near"] + last["far"] == accesses
        assert last["near_pages"] + last["far_pages"] == pages
        assert last["amat"] == pytest.approx((last["near"] * 100 + last["far"] * 250) / accesses)


def test_the_best_placement_serves_the_most_accessed_pages(results):
    rows = pl.read_parquet(TRACES / "toucher-long.access.parquet", columns=["t", "ppn"])
    weight = rows["ppn"].value_counts(sort=False).sort(pl.col("count"), -pl.col("ppn").cast(pl.Int64), descending=True).head(8192)
    early = rows.filter(pl.col("t") <= rows["t"][0] + 60 * 10**9)
    served = early["ppn"].is_in(weight["ppn"].implode()).sum()
    variant = dict(results.params("tier.module").select("tier.module", "variant").collect().iter_rows())["static"]
    assert results.tiers.filter(pl.col("variant") == variant).select(pl.col("near").last()).collect().item() == served


def test_every_policy_counts_as_the_twin():
    """See uncompiled_tiers.py: seven policies are seven drivers, which would take minutes to compile."""
    script = Path(__file__).with_name("uncompiled_tiers.py")
    done = subprocess.run(
        [sys.executable, script], env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
