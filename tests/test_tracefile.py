import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from make_trace import about, columns_of, metadata, write, write_raw

from tracekit.errors import TraceError
from tracekit.metadata import Metadata, VmInfo
from tracekit.schema import KINDS
from tracekit.trace import open_trace
from tracekit.tracefile import TraceFile
from tracekit.tracewriter import TraceWriter

FULL: dict[str, dict[str, Any]] = {
    "content": {"ppn": [1, 2, 15], "digest": np.array([1, (1 << 64) - 1, 3], np.uint64), "compressed": [1, 2, 3]},
    "access": {"ppn": [0, 15, 15], "write": [True, False, True], "fetch": [False, True, False], "count": [1, 2, 3]},
    "io": {"ppn": [0, 15, 3], "bytes": [1, 64, 4096], "forced": [True, False, False], "bounced": [True, False, False]},
    "event": {"what": ["clock", "boot", "mine"], "a": [-1, 2, 3], "b": [1, 2, 1 << 62]},
}


def read(path: Path) -> dict[str, list[Any]]:
    file = TraceFile(path)
    found: dict[str, list[Any]] = {name: [] for name in file.columns}
    for batch in file.batches(file.columns, rows=2):
        for name, values in batch.items():
            found[name] += [values[1][i] for i in values[0]] if isinstance(values, tuple) else values.tolist()
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("profile", ["archive", "replay"])
def test_what_is_written_is_read_back(tmp_path: Path, kind: str, profile: str) -> None:
    path = write(tmp_path / "x.parquet", kind, 3, profile=profile, **FULL[kind])
    expected = {name: list(values) for name, values in columns_of(kind, 3, **FULL[kind]).items()}
    assert read(path) == expected
    file = TraceFile(path)
    assert (file.kind, file.capture, file.rows, file.span()) == (kind, "test", 3, (0, 2))


def test_unknown_pages_and_both_directions_have_codes(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "x.io.parquet", "io", 3, ppn=[None, 1, 2], to_device=[None, True, False])
    assert read(path)["ppn"] == [0xFFFFFFFF, 1, 2]
    assert read(path)["to_device"] == [-1, 1, 0]


def test_metadata_survives(tmp_path: Path) -> None:
    given = Metadata(
        "content",
        "c",
        (VmInfo("ü", 3, "os", "red"), VmInfo("b", 1)),
        ("content",),
        True,
        5,
        7,
        "other",
        True,
        (),
        {"deep": {"a": [1, None]}},
    )
    with TraceWriter(tmp_path / "x.parquet", given, ["t", "seq", "vm", "ppn", "digest"]) as writer:
        writer.write(columns_of("content", 1, vm=["b"]))
    assert TraceFile(tmp_path / "x.parquet").metadata == given


@pytest.mark.parametrize(
    ("name", "kind", "inferred"),
    [
        ("c.access.parquet", "access", ("c", "access")),
        ("c.event.parquet", "event", ("c", "event")),
        ("c.parquet", "content", ("c", "content")),
        ("c.d.parquet", "io", ("c.d", "io")),
        ("c.parquet", "access", ("c", "access")),
    ],
)
def test_kind_and_capture_are_inferred_without_metadata(tmp_path: Path, name: str, kind: str, inferred: tuple[str, str]) -> None:
    file = TraceFile(write_raw(tmp_path / name, kind, 2, **({"ppn": [3, 7]} if kind != "event" else {})))
    assert (file.capture, file.kind) == inferred
    assert file.vms == (VmInfo("a", 8 if kind != "event" else 1),)


def test_plain_types_are_cast(tmp_path: Path) -> None:
    types = {"vm": pa.large_string(), "t": pa.uint32(), "seq": pa.int64(), "ppn": pa.int64()}
    path = write_raw(tmp_path / "x.access.parquet", "access", 2, types=types, vm=["a", "b"], ppn=[5, 6])
    assert read(path) == {"t": [0, 1], "seq": [0, 1], "vm": ["a", "b"], "ppn": [5, 6]}


@pytest.mark.parametrize("kind", KINDS)
def test_every_truncation_is_refused(tmp_path: Path, kind: str) -> None:
    whole = write(tmp_path / "whole.parquet", kind, 3, **FULL[kind]).read_bytes()
    cut = tmp_path / "cut.parquet"
    for end in range(len(whole)):
        cut.write_bytes(whole[:end])
        with pytest.raises(TraceError, match=r"cut\.parquet"):
            TraceFile(cut)


def test_damage_inside_never_escapes_as_another_error(tmp_path: Path) -> None:
    whole = bytearray(write(tmp_path / "whole.parquet", "access", 50, ppn=np.arange(50) % 16).read_bytes())
    path = tmp_path / "bad.parquet"
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            for _ in open_trace(path).chunks({"access": ["page"]}):
                pass
        except TraceError:
            pass


def test_what_is_no_file_of_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.parquet").touch()
    (tmp_path / "text.parquet").write_text("t,vm,ppn\n" * 100)
    for name, said in (
        ("none.parquet", "no such file"),
        ("empty.parquet", "is empty"),
        ("text.parquet", "not a readable Parquet"),
        (".", "directory"),
    ):
        with pytest.raises(TraceError, match=said):
            TraceFile(tmp_path / name)
    with pytest.raises(TraceError, match="no rows"):
        TraceFile(write_raw(tmp_path / "x.access.parquet", "access", 0))


@pytest.mark.parametrize(
    ("given", "types", "said"),
    [
        ({"ppn": [1.0, 2.0]}, {"ppn": pa.float64()}, "'ppn' is double, expected uint32"),
        ({"vm": [1, 2]}, {"vm": pa.int64()}, "'vm' is int64, expected dictionary"),
        ({"write": [1, 0]}, {"write": pa.int8()}, "'write' is int8, expected bool"),
        ({"t": ["0", "1"]}, {"t": pa.string()}, "'t' is string, expected int64"),
        ({"ppn": None}, {}, "'ppn' is missing"),
    ],
)
def test_wrong_columns_are_refused(tmp_path: Path, given: dict[str, Any], types: dict[str, pa.DataType], said: str) -> None:
    with pytest.raises(TraceError, match=said):
        TraceFile(write_raw(tmp_path / "x.access.parquet", "access", 2, types=types, **given))


@pytest.mark.parametrize(
    ("given", "types", "said"),
    [
        ({"t": [0, None]}, {}, "'t' has nulls"),
        ({"vm": ["a", None]}, {}, "'vm' has nulls"),
        ({"ppn": [None, 1]}, {}, "'ppn' has nulls"),
        ({"ppn": [-1, 1]}, {"ppn": pa.int64()}, "do not fit uint32"),
        ({"ppn": [1 << 32, 1]}, {"ppn": pa.int64()}, "do not fit uint32"),
        ({"seq": [-1, 1]}, {"seq": pa.int64()}, "do not fit uint64"),
    ],
)
def test_wrong_values_are_refused_while_reading(tmp_path: Path, given: dict[str, Any], types: dict[str, pa.DataType], said: str) -> None:
    path = write_raw(tmp_path / "x.access.parquet", "access", 2, types=types, **given)
    with pytest.raises(TraceError, match=said):
        read(path)


GOOD = json.loads(about("access", {"a": 16}))
HOSTILE: dict[str, Any] = {
    "not json": b"{", "not utf-8": b"\xff\xfe", "a list": [], "a number": 3, "empty": {}, "deep": b"[" * 100_000,
    "unknown kind": {"kind": "weather"},
    "kind is a list": {"kind": ["access"]}, "other version": {"schema_version": 99},
    "other pages": {"page_bytes": 16384}, "unknown field": {"colour": "red"}, "vms is a number": {"vms": 3},
    "vm of no size": {"vms": [{"name": "a"}]},
    "vm of size 0": {"vms": [{"name": "a", "pages": 0}]}, "vm too large": {"vms": [{"name": "a", "pages": 1 << 40}]},
    "vm of size true": {"vms": [{"name": "a", "pages": True}]}, "vm of size nan": {"vms": [{"name": "a", "pages": float("nan")}]},
    "vm without name": {"vms": [{"name": "", "pages": 1}]}, "vm named *": {"vms": [{"name": "*", "pages": 1}]},
    "vm named by a list": {"vms": [{"name": ["a"], "pages": 1}] * 2}, "two of a name": {"vms": [{"name": "a", "pages": 16}] * 2},
    "capture is a list": {"capture": []}, "capture is a number": {"capture": 3}, "capabilities of lists": {"capabilities": [["access"]]},
    "devices of lists": {"devices": [["eth0"]]}, "bucket is a text": {"bucket_ns": "long"}, "zero digest is a text": {"zero_digest": "0"},
    "zero digest too large": {"zero_digest": 1 << 64}, "os is a number": {"vms": [{"name": "a", "pages": 16, "os": 3}]},
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_metadata_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    made = HOSTILE[case]
    raw = made if isinstance(made, bytes) else json.dumps(GOOD | made if isinstance(made, dict) and made else made).encode()
    path = write_raw(tmp_path / "x.parquet", "access", 2, about=raw)
    with pytest.raises(TraceError, match=r"x\.parquet") as caught:
        open_trace(path)
    assert "\n" not in str(caught.value)


def test_the_writer_leaves_nothing_half_written(tmp_path: Path) -> None:
    columns = columns_of("access", 2, ppn=[1, 2])
    path = tmp_path / "x.parquet"

    def interrupted() -> None:
        with TraceWriter(path, metadata("access", columns, {"a": 16}), list(columns)) as writer:
            writer.write(columns)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("t", "seq"), [([1, 0], [0, 1]), ([0, 0], [1, 1]), ([0, 0], [1, 0])])
def test_the_writer_refuses_rows_out_of_order(tmp_path: Path, t: list[int], seq: list[int]) -> None:
    with pytest.raises(TraceError, match="increasing"):
        write(tmp_path / "x.parquet", "access", 2, t=t, seq=seq)
    assert list(tmp_path.iterdir()) == []


def test_the_digest_tells_files_apart(tmp_path: Path) -> None:
    one, same = (write(tmp_path / name, "access", 2, ppn=[1, 2]) for name in ("1.parquet", "2.parquet"))
    other = write(tmp_path / "3.parquet", "access", 2, ppn=[1, 3])
    assert TraceFile(one).digest == TraceFile(same).digest != TraceFile(other).digest
