from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tracekit.check import check_file
from tracekit.errors import TraceError
from tracekit.formats import parquet
from tracekit.formats.mapping import parse_mapping
from tracekit.formats.parquet import import_parquet
from tracekit.tracefile import TraceFile

DAY = datetime(2024, 2, 29, 12)


@pytest.fixture(params=[2, 1 << 20], autouse=True)
def any_batch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test, also with the source cut into batches of two rows."""
    monkeypatch.setattr(parquet, "BATCH_ROWS", request.param)


def source_of(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "source.parquet")
    return folder / "source.parquet"


def imported(folder: Path, mapping: str, source: Path, **options: Any) -> pl.DataFrame:
    out = folder / "out.parquet"
    done = import_parquet(source, out, parse_mapping(mapping), **options)
    assert done.path == out
    assert [finding for finding in check_file(out) if finding.severity != "note"] == []
    frame = pl.read_parquet(out)
    assert done.rows == frame.height
    return frame.with_columns(pl.col(pl.Categorical).cast(pl.String))


def test_units_and_constants_are_mapped(tmp_path: Path) -> None:
    source = source_of(tmp_path, us=[1_000_000, 1_000_002, 1_000_002], addr=[4096, 8191, 12288], op=[1, 0, 1])
    frame = imported(tmp_path, "t=us*1000, ppn=addr/4096, vm='my vm', write=op", source)
    assert frame.rows() == [(0, 0, "my vm", 1, True), (2000, 1, "my vm", 1, False), (2000, 2, "my vm", 3, True)]
    file = TraceFile(tmp_path / "out.parquet")
    assert file.metadata is not None
    assert file.kind == "access"
    assert [(vm.name, vm.pages) for vm in file.metadata.vms] == [("my vm", 4)]
    assert file.metadata.capabilities == ("access", "exact", "writes")
    assert file.metadata.provenance["parameters"]["map"]["ppn"] == "addr/4096"
    assert file.metadata.provenance["source"]["file"] == "source.parquet"
    assert len(file.metadata.provenance["source"]["xxh3_64"]) == 16


@pytest.mark.parametrize(
    ("times", "scale"),
    [
        ([DAY, DAY + timedelta(microseconds=1), DAY + timedelta(seconds=1)], ""),
        (pa.array([5, 5 + 1000, 5 + 10**9], pa.timestamp("ns")), ""),
        (np.array([1 << 63, (1 << 63) + 1, (1 << 63) + 10**6], np.uint64), "*1000"),
        ([-3.0, -2.999999, -2.0], "*1000000000"),
        ([10**18, 10**18 + 10**6, 10**18 + 10**12], "/1000"),
        ([timedelta(seconds=9), timedelta(seconds=9, microseconds=1), timedelta(seconds=10)], ""),
    ],
)
def test_times_of_any_type_become_ns_since_the_first_row(tmp_path: Path, times: Any, scale: str) -> None:
    frame = imported(tmp_path, f"t=when{scale}", source_of(tmp_path, when=times, ppn=[0, 1, 2]), vm="a")
    assert frame["t"].to_list() == [0, 1000, 10**9]


@pytest.mark.parametrize(
    "ids",
    [
        ["z", "y", "z", "x"],
        np.array([1 << 63, 5, 1 << 63, 1 << 40], np.uint64),
        [-4, 3, -4, 9],
        pa.array(["z", "y", "z", "x"]).dictionary_encode(),
    ],
)
def test_ids_that_are_no_page_numbers_are_numbered_by_first_touch(tmp_path: Path, ids: Any) -> None:
    source = source_of(tmp_path, t=[0, 1, 2, 3], page=ids, vm=["a", "a", "a", "b"])
    frame = imported(tmp_path, "ppn=page", source)
    assert frame["ppn"].to_list() == [0, 1, 0, 0]
    file = TraceFile(tmp_path / "out.parquet")
    assert file.metadata is not None
    assert [(vm.name, vm.pages) for vm in file.metadata.vms] == [("a", 2), ("b", 1)]
    assert any("first touch" in note for note in file.metadata.provenance["notes"])


def test_rows_with_nulls_are_dropped_and_counted(tmp_path: Path) -> None:
    source = source_of(tmp_path, t=[0, None, 2, 3], page=[1, 2, None, 4])
    done = import_parquet(source, tmp_path / "out.parquet", {"ppn": "page"}, vm="a")
    assert (done.rows, done.dropped) == (2, {"null in t": 1, "null in page": 1})
    metadata = TraceFile(tmp_path / "out.parquet").metadata
    assert metadata is not None
    assert metadata.provenance["rows_dropped"] == done.dropped


def test_unknown_pages_of_transfers_stay_null(tmp_path: Path) -> None:
    columns = {"t": [0, 1, 2], "dev": ["e", "n", "e"], "bytes": [1, 2, 3], "dma_mask": [255, 255, 255]}
    frame = imported(tmp_path, "device=dev", source_of(tmp_path, ppn=[None, 3, 4], **columns), vm="a")
    assert frame["ppn"].to_list() == [None, 3, 4]
    frame = imported(tmp_path, "device=dev", source_of(tmp_path, ppn=[None, "x", "y"], **columns), vm="a")
    assert frame["ppn"].to_list() == [None, 0, 1]
    metadata = TraceFile(tmp_path / "out.parquet").metadata
    assert metadata is not None
    assert metadata.devices == ("e", "n")


@pytest.mark.parametrize(("type_", "wide"), [(pa.uint64(), True), (pa.uint32(), False)])
def test_narrow_digests_are_not_taken_for_wide(tmp_path: Path, type_: pa.DataType, wide: bool) -> None:
    imported(tmp_path, "digest=hash", source_of(tmp_path, t=[0, 0], ppn=[0, 1], hash=pa.array([7, 7], type_)), vm="a")
    metadata = TraceFile(tmp_path / "out.parquet").metadata
    assert metadata is not None
    assert metadata.kind == "content"
    assert ("digest64" in metadata.capabilities) == wide


def test_disorder_is_refused_unless_sorted(tmp_path: Path) -> None:
    source = source_of(tmp_path, t=[5, 5, 9, 3, 3], ppn=[0, 1, 2, 3, 4])
    with pytest.raises(TraceError, match=r"row 3.*--sort"):
        imported(tmp_path, "", source, vm="a")
    assert not (tmp_path / "out.parquet").exists()
    assert imported(tmp_path, "", source, vm="a", sort=True)["ppn"].to_list() == [3, 4, 0, 1, 2]


def test_a_mapped_seq_is_kept_as_order(tmp_path: Path) -> None:
    source = source_of(tmp_path, t=[0, 0, 1], n=[9, 3, 1], ppn=[0, 1, 2])
    with pytest.raises(TraceError, match=r"row 1.*no seq twice"):
        imported(tmp_path, "seq=n", source, vm="a")
    frame = imported(tmp_path, "seq=n", source, vm="a", sort=True)
    assert frame.select("seq", "ppn").rows() == [(3, 1), (9, 0), (1, 2)]


@pytest.mark.parametrize(
    ("mapping", "options", "said"),
    [
        ("ppn=nothing", {"vm": "a"}, "has no column 'nothing'; its columns are t, page, text"),
        ("ppn=page", {}, "needs 'vm'"),
        ("", {"vm": "a"}, "its kind is not known"),
        ("ppn=page", {"vm": "a", "kind": "weather"}, "unknown kind 'weather'"),
        ("ppn=page", {"vm": "a", "kind": "event"}, "an? event trace has no column 'ppn'"),
        ("ppn=page,count=text", {"vm": "a"}, "'text' .*cannot be 'count', which is uint32"),
        ("ppn=text*2", {"vm": "a"}, "cannot be scaled"),
        ("ppn=real", {"vm": "a"}, "'real' is double, expected page numbers"),
        ("ppn=page,t=text", {"vm": "a"}, "'text' is string, expected times"),
        ("ppn=page,t=t*4611686018427387903", {"vm": "a"}, "exceeds 64 bits"),
        ("ppn=page*4611686018427387903", {"vm": "a"}, "exceeds 64 bits"),
        ("ppn=page/0", {"vm": "a"}, "cannot scale"),
        ("ppn='3'", {"vm": "a"}, "ppn cannot be a constant"),
        ("ppn=page,t='3'", {"vm": "a"}, "t cannot be a constant"),
        ("ppn=page,count='x'", {"vm": "a"}, "a constant .*cannot be 'count'"),
    ],
)
def test_impossible_maps_are_refused(tmp_path: Path, mapping: str, options: dict[str, Any], said: str) -> None:
    source = source_of(tmp_path, t=[0, 1, 9], page=[1, 2, 3], text=["x", "y", "z"], real=[0.5, 1.0, 2.0])
    with pytest.raises(TraceError, match=said) as caught:
        imported(tmp_path, mapping, source, **options)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["source.parquet"]


def test_a_column_may_be_named_like_a_formula(tmp_path: Path) -> None:
    source = source_of(tmp_path, **{"t": [0, 1], "a/2": [4, 6]})
    assert imported(tmp_path, "ppn=a/2", source, vm="v")["ppn"].to_list() == [4, 6]
    assert imported(tmp_path, "ppn=a/2/2", source, vm="v")["ppn"].to_list() == [2, 3]


@pytest.mark.parametrize("text", ["t", "t=", "=x", "t=a,,ppn=b", "t=a,t=b", "t a"])
def test_what_is_no_map_is_refused(text: str) -> None:
    with pytest.raises(TraceError, match="column map"):
        parse_mapping(text)


def test_quotes_protect_commas() -> None:
    assert parse_mapping(" t = a , vm='x, y' ,device=\"z\"") == {"t": "a", "vm": "'x, y'", "device": '"z"'}


def test_sources_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    for name, content in (("none.parquet", None), ("empty.parquet", b""), ("text.parquet", b"a,b\n1,2\n")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(TraceError, match="cannot be read as Parquet"):
            import_parquet(tmp_path / name, tmp_path / "out.parquet", {})
    with pytest.raises(TraceError, match="holds no row"):
        import_parquet(source_of(tmp_path, t=[None, 1], ppn=[1, None]), tmp_path / "out.parquet", {}, vm="a")
    assert not (tmp_path / "out.parquet").exists()
