from pathlib import Path

import numpy as np
import polars as pl
import pytest
from make_trace import write, write_raw

from tracekit.inspect import inspect_trace
from tracekit.schema import CAPABILITIES, ZERO_DIGEST
from tracekit.trace import open_trace

VMS = {"a": 8, "b": 4}
MASK32 = (1 << 32) - 1


def rows(frame: pl.DataFrame, *columns: str) -> list[tuple[object, ...]]:
    return frame.select(columns).rows()


def test_accesses_are_counted_by_vm(tmp_path: Path) -> None:
    given = {"vm": ["a", "a", "b", "a"], "ppn": [7, 7, 3, 0], "write": [True, False, False, True], "t": [0, 0, 10**9, 2 * 10**9]}
    tables = inspect_trace(open_trace(write(tmp_path / "x.parquet", "access", 4, VMS, **given)))
    assert rows(tables["kinds"], "kind", "rows", "first_t", "last_t", "span", "rate") == [("access", 4, 0, 2 * 10**9, 2 * 10**9, 2.0)]
    expected = [("a", 8, 32768, 3, 2, 2 / 3), ("b", 4, 16384, 1, 1, 0.0), ("*", 12, 49152, 4, 3, 0.5)]
    assert rows(tables["vms"], "vm", "pages", "bytes", "accesses", "touched", "writes") == expected
    assert set(tables) == {"kinds", "vms", "capabilities", "notes"}


def test_writes_are_null_where_they_are_not_told(tmp_path: Path) -> None:
    tables = inspect_trace(open_trace(write(tmp_path / "x.parquet", "access", 2)))
    assert tables["vms"]["writes"].to_list() == [None, None]
    assert tables["kinds"]["rate"].to_list() == [2e9]


def test_sharing_is_that_of_the_last_snapshot(tmp_path: Path) -> None:
    zero = ZERO_DIGEST
    digest = np.array([zero, 5, 6, zero, 5, 5, 7, 6], np.uint64)
    given = {"vm": ["a"] * 4 + ["b"] * 3 + ["a"], "ppn": [0, 1, 2, 3, 0, 1, 2, 1], "t": [0] * 7 + [9], "digest": digest}
    tables = inspect_trace(open_trace(write(tmp_path / "x.parquet", "content", 8, VMS, **given)))
    # a: zero, 6, 6, zero; b: 5, 5, 7
    expected = [("a", 4, 2, 2, 4, 2), ("b", 3, 0, 2, 2, 1), ("*", 7, 2, 4, 6, 3)]
    assert rows(tables["sharing"], "vm", "pages", "zero", "distinct", "shared", "reclaimed") == expected
    assert tables["vms"]["touched"].to_list() == [None, None, None]


@pytest.mark.parametrize("seed", range(3))
def test_sharing_equals_counting_by_hand(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    digest, vm, ppn = rng.integers(0, 6, 60).astype(np.uint64), rng.choice(["a", "b"], 60), rng.integers(0, 4, 60)
    tables = inspect_trace(open_trace(write(tmp_path / "x.parquet", "content", 60, VMS, vm=vm, ppn=ppn, digest=digest)))
    last = {(name, page): content for name, page, content in zip(vm, ppn, digest, strict=True)}
    contents = [last[key] for key in sorted(last)]
    shared = [content for content in contents if contents.count(content) > 1]
    host = ("*", len(contents), 0, len(set(contents)), len(shared), len(shared) - len(set(shared)))
    assert tables["sharing"].row(-1)[:6] == host
    assert tables["sharing"].filter(pl.col("vm") != "*").drop("vm").sum().row(0)[:5] == host[1:]
    assert sum(tables["sharing"].row(-1)[6:]) == host[-1]  # zero, within a VM, between VMs


def test_transfers_are_counted_by_device(tmp_path: Path) -> None:
    given = {
        "ppn": [0, 0, None, 7],
        "device": ["n", "e", "e", "e"],
        "bytes": [10, 20, 30, 40],
        "dma_mask": [(1 << 63) - 1, MASK32, MASK32, MASK32],
        "forced": [False, False, True, False],
        "bounced": [False, True, True, False],
    }
    tables = inspect_trace(open_trace(write_raw(tmp_path / "x.io.parquet", "io", 4, **given)))
    assert sorted(tables["io"].rows()) == [("a", "e", 32, 3, 90, 2, 30, 50, 1), ("a", "n", 63, 1, 10, 1, 0, 0, 0)]


def test_bouncing_is_null_where_it_is_not_told(tmp_path: Path) -> None:
    tables = inspect_trace(open_trace(write(tmp_path / "x.parquet", "io", 2)))
    assert rows(tables["io"], "transfers", "bounced_bytes") == [(2, None)]


def test_events_are_counted_by_name(tmp_path: Path) -> None:
    given = {"vm": ["a", "a", "b"], "what": ["clock", "clock", "strange"]}
    tables = inspect_trace(open_trace(write(tmp_path / "x.parquet", "event", 3, VMS, **given)))
    assert tables["events"].rows() == [("a", "clock", 2), ("b", "other", 1)]


def test_capabilities_and_notes_are_stated(tmp_path: Path) -> None:
    tables = inspect_trace(open_trace(write_raw(tmp_path / "c.access.parquet", "access", 2)))
    assert tables["capabilities"]["capability"].to_list() == list(CAPABILITIES)
    assert tables["capabilities"].filter("has")["capability"].to_list() == ["access", "exact"]
    assert "no tracekit metadata" in tables["notes"]["note"][0]
