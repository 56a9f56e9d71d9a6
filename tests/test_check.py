from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from make_trace import about, write, write_raw

from tracekit import check_rows
from tracekit.check import FEW_ROWS, MANY_ROWS, RULES, check_capture, check_file
from tracekit.schema import KINDS, ZERO_DIGEST

ABOUT = {kind: about(kind, {"a": 16}) for kind in KINDS}
MASK32 = (1 << 32) - 1
HIGH = 1 << 20  # the first page beyond a mask of 32 bits


def broken(path: Path) -> dict[str, tuple[int, int | None]]:
    """Rules that a file breaks: bad rows, and the first."""
    found = check_file(path)
    assert len({finding.rule for finding in found}) == len(found)
    for finding in found:
        assert finding.severity == RULES[finding.rule].severity
        assert finding.message.startswith(str(path))
        assert "\n" not in finding.message
        assert list(finding.as_row()) == ["file", "rule", "severity", "rows", "first_row", "message"]
    return {finding.rule: (finding.rows, finding.first_row) for finding in found}


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_file_breaks_no_rule(tmp_path: Path, kind: str) -> None:
    given: dict[str, Any] = {"content": {"ppn": [0, 1, 15], "digest": np.array([ZERO_DIGEST, 1, ZERO_DIGEST], np.uint64)}}.get(kind, {})
    assert broken(write(tmp_path / "x.parquet", kind, 3, **given)) == {}


# rule, kind, columns, types, (bad rows, first)
ROWS: list[tuple[str, str, dict[str, Any], dict[str, pa.DataType], tuple[int, int]]] = [
    ("no-nulls", "access", {"ppn": [1, None, None, 2]}, {}, (2, 1)),
    ("no-nulls", "access", {"vm": ["a", "a", "a", None]}, {}, (1, 3)),
    ("no-nulls", "event", {"t": [0, None, 2, 3]}, {}, (1, 1)),
    ("values-fit", "access", {"ppn": [-1, 1, 1 << 32, 2]}, {"ppn": pa.int64()}, (2, 0)),
    ("values-fit", "access", {"t": np.array([0, 1, 2, 1 << 63], np.uint64)}, {"t": pa.uint64()}, (1, 3)),
    ("t-non-negative", "access", {"t": [-2, -1, 0, 0]}, {}, (2, 0)),
    ("sorted-t", "access", {"t": [5, 4, 4, 3]}, {}, (2, 1)),
    ("seq-increasing", "access", {"t": [5, 5, 5, 6], "seq": [1, 1, 0, 0]}, {}, (2, 1)),
    ("vm-declared", "access", {"vm": ["a", "b", "c", "a"]}, {}, (2, 1)),
    ("ppn-in-vm", "access", {"ppn": [15, 16, 0xFFFFFFFF, 0]}, {}, (2, 1)),
    ("ppn-in-vm", "io", {"ppn": [None, 16, 15, 0]}, {}, (1, 1)),
    ("bytes-in-page", "io", {"bytes": [0, 1, 4096, 4097]}, {}, (2, 0)),
    ("mask-shape", "io", {"dma_mask": np.array([MASK32, 0, MASK32 - 1, (1 << 64) - 1], np.uint64)}, {}, (2, 1)),
    ("bounced-matches-mask", "io", {"bounced": [False, True, True, False], "forced": [False, False, True, True]}, {}, (2, 1)),
    ("clock-monotonic", "event", {"a": [5, 4, 4, 3]}, {}, (2, 1)),
    ("duplicates", "content", {"ppn": [1, 2, 1, 2], "digest": np.array([7, 8, 9, 8], np.uint64)}, {}, (1, 3)),
]


@pytest.mark.parametrize(("rule", "kind", "given", "types", "counted"), ROWS, ids=[f"{row[0]}-{row[1]}" for row in ROWS])
@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_bad_rows_are_counted_whatever_the_batch(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rule: str,
    kind: str,
    given: dict[str, Any],
    types: dict[str, pa.DataType],
    counted: tuple[int, int],
    batch: int,
) -> None:
    monkeypatch.setattr(check_rows, "BATCH_ROWS", batch)
    given = ({"digest": np.array([ZERO_DIGEST, 1, 2, 3], np.uint64)} if kind == "content" else {}) | given
    found = broken(write_raw(tmp_path / "x.parquet", kind, 4, about=ABOUT[kind], types=types, **given))
    assert found.pop(rule) == counted
    assert found.keys() <= {"zero-digest"}


def test_clocks_and_contents_are_of_one_vm(tmp_path: Path) -> None:
    vms = {"vms": {"a": 16, "b": 16}}
    path = write_raw(tmp_path / "1.parquet", "event", 4, about=about("event", **vms), vm=["a", "b", "a", "b"], a=[9, 1, 9, 2])
    assert broken(path) == {}
    digest = np.array([ZERO_DIGEST] * 2, np.uint64)
    path = write_raw(tmp_path / "2.parquet", "content", 2, about=about("content", **vms), vm=["a", "b"], ppn=[1, 1], digest=digest)
    assert broken(path) == {}
    path = write_raw(tmp_path / "3.parquet", "event", 2, about=ABOUT["event"], what=["clock", "boot"], a=[9, 1])
    assert broken(path) == {}


def test_bouncing_follows_the_page(tmp_path: Path) -> None:
    given = {"ppn": [HIGH - 1, HIGH, None, HIGH], "bounced": [False, True, True, False]}
    path = write_raw(tmp_path / "x.parquet", "io", 4, about=about("io", {"a": HIGH + 1}), **given)
    assert broken(path) == {"bounced-matches-mask": (1, 3)}


def test_what_is_absent_is_noted(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", "content", 2, {"a": 16, "b": 16}, ppn=[1, 2])
    assert broken(path) == {"zero-digest": (0, None), "vm-unused": (0, None)}


def test_a_file_without_metadata_is_a_warning(tmp_path: Path) -> None:
    assert broken(write_raw(tmp_path / "x.access.parquet", "access", 2, ppn=[1, 1 << 31])) == {"metadata-present": (0, None)}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def no_metadata(path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), path)


REFUSED: list[tuple[str, Callable[[Path], object]]] = [
    ("readable", lambda path: None),
    ("readable", lambda path: path.touch()),
    ("readable", lambda path: path.mkdir()),
    ("readable", lambda path: path.write_text("t,vm,ppn")),
    ("readable", lambda path: cut(write(path, "access", 3))),
    ("not-empty", lambda path: write_raw(path, "access", 0, about=ABOUT["access"])),
    ("metadata-valid", lambda path: write_raw(path, "access", 1, about=b"{")),
    ("metadata-valid", lambda path: write_raw(path, "access", 1, about=ABOUT["access"].replace(b'"pages": 16', b'"pages": 0'))),
    ("kind-known", lambda path: write_raw(path, "access", 1, about=ABOUT["access"].replace(b'"kind": "access"', b'"kind": "x"'))),
    ("kind-known", no_metadata),
    ("columns-present", lambda path: write_raw(path, "access", 1, about=ABOUT["access"], ppn=None)),
    ("column-types", lambda path: write_raw(path, "access", 1, about=ABOUT["access"], types={"ppn": pa.float64()}, ppn=[1.5])),
]


@pytest.mark.parametrize(("rule", "make"), REFUSED)
def test_files_that_cannot_be_opened_break_one_rule(tmp_path: Path, rule: str, make: Callable[[Path], object]) -> None:
    path = tmp_path / "x.parquet"
    make(path)
    assert broken(path) == {rule: (0, None)}
    assert check_capture([path]) == []


def test_damage_inside_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", "access", 3000, ppn=np.arange(3000) % 16)
    whole = bytearray(path.read_bytes())
    whole[4:400] = b"\xff" * 396
    path.write_bytes(whole)
    assert broken(path) == {"readable": (0, None)}


def test_row_groups_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.parquet", "access", 10)
    pq.write_table(pq.read_table(path), path, row_group_size=2)
    assert broken(path) == {"row-group-size": (0, None)}
    assert FEW_ROWS < MANY_ROWS
    monkeypatch.setattr("tracekit.check.FEW_ROWS", 2)
    assert broken(path) == {}
    monkeypatch.setattr("tracekit.check.MANY_ROWS", 1)
    assert broken(path) == {"row-group-size": (0, None)}


def test_files_of_a_capture_are_compared(tmp_path: Path) -> None:
    small, large, late, other = (
        write(tmp_path / f"{i}.parquet", "access", 2, {"a": pages}, capture, t=[t, t + 5])
        for i, (pages, capture, t) in enumerate([(8, "c", 0), (16, "c", 5), (8, "c", 100), (32, "d", 50)])
    )
    assert check_capture([small, other]) == []
    assert [(finding.rule, finding.file) for finding in check_capture([small, large])] == [("vm-sizes-agree", str(large))]
    assert [(finding.rule, finding.file) for finding in check_capture([small, late, other])] == [("one-clock", str(late))]


def test_every_rule_has_a_severity_and_prose() -> None:
    assert all(rule.severity in ("error", "warning", "note") and rule.prose for rule in RULES.values())
