import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from make_trace import about, write, write_raw

from tracekit.errors import TraceError
from tracekit.schema import EVENTS
from tracekit.stream import KIND_ORDER, NO_PAGE, Chunk
from tracekit.trace import Trace, open_trace, open_traces
from tracekit.tracefile import TraceFile

ALL: dict[str, tuple[str, ...]] = {
    "content": ("seq", "vm", "page", "digest"),
    "access": ("seq", "vm", "page", "write"),
    "io": ("seq", "vm", "page", "device", "bytes", "to_device"),
    "event": ("seq", "vm", "what", "a"),
}
Row = tuple[Any, ...]


def replayed(trace: Trace, rows: int) -> list[Row]:
    """Every row as (kind, t, seq, …) in replay order, as the engine walks the runs of each chunk."""
    found: list[Row] = []
    for chunk in trace.chunks(ALL, rows):
        assert 0 < chunk.rows <= rows
        found += rows_of(chunk, chunk.runs)
        assert chunk.last_t == found[-1][1]
        assert chunk.rows == sum(len(columns["t"]) for columns in chunk.columns.values())
    return found


def rows_of(chunk: Chunk, runs: np.ndarray) -> list[Row]:
    found = []
    for kind, first, end in runs.tolist():
        name = KIND_ORDER[kind]
        columns = [chunk.columns[name][column][first:end].tolist() for column in ("t", *ALL[name])]
        found += [(name, *row) for row in zip(*columns, strict=True)]
    return found


def expected(trace: Trace) -> list[Row]:
    """The same rows, from a naive sort of what the files hold by (t, seq, file)."""
    base = {vm.name: vm.base for vm in trace.vms}
    index = {vm.name: i for i, vm in enumerate(trace.vms)}
    rows = []
    for rank, (file, names) in enumerate(trace.files):
        for at, row in enumerate(pq.read_table(file.path).to_pylist()):
            name = names[row["vm"]]
            values = {"seq": row.get("seq", at), "vm": index[name]}
            if "ppn" in row:
                values["page"] = NO_PAGE if row["ppn"] is None else base[name] + row["ppn"]
            if "device" in row:
                values["device"] = trace.devices.index(row["device"])
                values["to_device"] = {None: -1, False: 0, True: 1}[row.get("to_device", False)]
            if "what" in row:
                values["what"] = EVENTS.index(row["what"]) if row["what"] in EVENTS else -1
            whole = {"write": False} | row | values
            rows.append(((row["t"], values["seq"], rank, at), (file.kind, row["t"], *(whole[c] for c in ALL[file.kind]))))
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def assert_replays(paths: Iterable[Path], together: bool = False) -> Trace:
    (trace,) = open_traces(paths, together)
    wanted = expected(trace)
    for rows in (1, 7, 1000, 1_000_000):
        assert replayed(trace, rows) == wanted
    assert sum(trace.rows.values()) == len(wanted)
    return trace


def some_rows(rng: np.random.Generator, rows: int, latest: int) -> dict[str, Any]:
    """Rows with many ties of t; seq restarts anywhere but rises within a tie."""
    return {
        "t": np.sort(rng.integers(0, latest, rows)),
        "seq": np.arange(rows) + int(rng.integers(0, 5)),
        "vm": rng.choice(["a", "b"], rows),
    }


def a_capture(folder: Path, seed: int, rows: int = 200, latest: int = 40) -> list[Path]:
    """Files of all kinds, two of content and of access, with ties within and between them."""
    rng, vms = np.random.default_rng(seed), {"a": 16, "b": 9}
    pages = {"ppn": rng.integers(0, 9, rows)}
    return [
        write(folder / "1.parquet", "content", rows, vms, **some_rows(rng, rows, latest), digest=rng.integers(0, 5, rows), **pages),
        write(folder / "2.parquet", "content", rows, vms, **some_rows(rng, rows, latest), digest=rng.integers(0, 5, rows), **pages),
        write(folder / "3.parquet", "access", rows, vms, **some_rows(rng, rows, latest), write=rng.random(rows) < 0.5, **pages),
        write(folder / "4.parquet", "access", rows // 3, vms, **some_rows(rng, rows // 3, latest), ppn=np.full(rows // 3, 3)),
        write(folder / "5.parquet", "io", rows, vms, **some_rows(rng, rows, latest), device=rng.choice(["nvme", "eth"], rows), **pages),
        write(folder / "6.parquet", "event", rows, vms, **some_rows(rng, rows, latest), what=rng.choice(["clock", "boot", "own"], rows)),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_all_kinds_merge_like_a_naive_sort(tmp_path: Path, seed: int) -> None:
    trace = assert_replays(a_capture(tmp_path, seed))
    assert trace.kinds == ("event", "content", "io", "access")


def test_batches_of_the_reader_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = a_capture(tmp_path, 7)
    batches = TraceFile.batches
    monkeypatch.setattr(TraceFile, "batches", lambda self, columns, rows=13: batches(self, columns, rows))
    assert_replays(paths)


def test_equal_t_and_seq_go_by_kind(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{kind}.parquet", kind, 3, t=[5, 5, 5]) for kind in KIND_ORDER]
    trace = assert_replays(paths)
    assert [row[0] for row in replayed(trace, 5)] == [*KIND_ORDER] * 3


def test_a_file_without_seq_keeps_its_order(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "c.access.parquet", "access", 4, seq=None, t=[1, 1, 1, 2], ppn=[3, 1, 2, 0])
    assert [row[4] for row in replayed(assert_replays([path]), 2)] == [3, 1, 2, 0]
    assert any("no seq" in note for note in open_trace(path).notes)


@st.composite
def captures(draw: st.DrawFn) -> list[tuple[str, dict[str, Any]]]:
    files = []
    for kind in draw(st.lists(st.sampled_from(KIND_ORDER), min_size=1, max_size=4)):
        t = sorted(draw(st.lists(st.integers(0, 6), min_size=1, max_size=12)))
        steps = draw(st.lists(st.integers(1, 3), min_size=len(t), max_size=len(t)))
        vm = draw(st.lists(st.sampled_from(["a", "b"]), min_size=len(t), max_size=len(t)))
        columns: dict[str, Any] = {"t": t, "seq": np.cumsum(steps), "vm": vm}
        if kind != "event":
            columns["ppn"] = draw(st.lists(st.integers(0, 4), min_size=len(t), max_size=len(t)))
        files.append((kind, columns))
    return files


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=captures(), chunk=st.integers(1, 20))
def test_any_capture_merges_like_a_naive_sort(tmp_path: Path, files: list[tuple[str, dict[str, Any]]], chunk: int) -> None:
    paths = [
        write(tmp_path / f"{i}.parquet", kind, len(columns["t"]), {"a": 5, "b": 5}, **columns) for i, (kind, columns) in enumerate(files)
    ]
    trace = open_trace(*paths)
    assert replayed(trace, chunk) == expected(trace)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 99), cut=st.tuples(st.integers(0, 90), st.integers(0, 90)))
def test_runs_between_are_the_rows_between(tmp_path: Path, seed: int, cut: tuple[int, int]) -> None:
    trace = open_trace(*a_capture(tmp_path, seed, rows=30, latest=9))
    for chunk in trace.chunks(ALL, 1000):
        whole, (first, end) = rows_of(chunk, chunk.runs), sorted(min(at, chunk.rows) for at in cut)
        assert rows_of(chunk, chunk.runs_between(first, end)) == whole[first:end]
        for t in range(11):
            assert chunk.before(t) == sum(row[1] < t for row in whole)


def test_pages_get_dense_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", "access", 4, {"a": 3, "b": 2, "c": 4}, vm=["a", "b", "c", "c"], ppn=[2, 1, 0, 3])
    trace = open_trace(path)
    assert [(vm.name, vm.base, vm.pages) for vm in trace.vms] == [("a", 0, 3), ("b", 3, 2), ("c", 5, 4)]
    assert [row[4] for row in replayed(trace, 9)] == [2, 4, 5, 8]


def test_columns_are_read_only_and_missing_ones_zero(tmp_path: Path) -> None:
    trace = open_trace(write(tmp_path / "x.parquet", "access", 3))
    (chunk,) = trace.chunks({"access": ("page", "write", "count")})
    columns = chunk.columns["access"]
    assert {"t", "page", "write", "count"} <= set(columns)
    assert not columns["write"].any()
    assert not columns["count"].any()
    with pytest.raises(ValueError, match="read-only"):
        columns["page"][0] = 1


def test_only_kinds_asked_for_are_read(tmp_path: Path) -> None:
    trace = open_trace(*a_capture(tmp_path, 1))
    assert {kind for chunk in trace.chunks({"io": ["page"]}) for kind in chunk.columns} == {"io"}
    assert list(trace.chunks({})) == []


def test_a_stream_left_early_is_closed(tmp_path: Path) -> None:
    before = threading.active_count()
    stream = open_trace(*a_capture(tmp_path, 1)).chunks(ALL, 10)
    next(stream)
    stream.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert threading.active_count() == before


def test_captures_are_grouped_and_put_together(tmp_path: Path) -> None:
    one = [write(tmp_path / f"1{k}.parquet", k, 3, {"a": 4, "b": 2}, "one", vm=["a", "b", "a"]) for k in ("content", "access")]
    two = [write(tmp_path / "2.parquet", "access", 3, {"a": 8, "c": 2}, "two", vm=["a", "c", "a"], ppn=[7, 1, 0])]
    assert [(trace.name, len(trace.files)) for trace in open_traces([*one, *two])] == [("one", 2), ("two", 1)]
    with pytest.raises(TraceError, match="2 captures"):
        open_trace(*one, *two)
    both = assert_replays([*two, *one], together=True)
    assert both.name == "one+two"
    assert [(vm.name, vm.pages, vm.base) for vm in both.vms] == [("one/a", 4, 0), ("b", 2, 4), ("two/a", 8, 6), ("c", 2, 14)]
    assert {vm.name: set(vm.kinds) for vm in both.vms}["one/a"] == {"content", "access"}


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", "access", 3)
    assert open_trace(path, str(path)).rows == {"access": 3}


def test_sizes_without_metadata_are_measured_over_all_files(tmp_path: Path) -> None:
    paths = [write_raw(tmp_path / f"c.{kind}.parquet", kind, 2, ppn=[0, top]) for kind, top in (("content", 3), ("access", 7))]
    trace = assert_replays(paths)
    assert [(vm.name, vm.pages) for vm in trace.vms] == [("a", 8)]
    assert ["no tracekit metadata" in note for note in trace.notes] == [True, True]


def test_capabilities_are_what_all_files_of_a_kind_support(tmp_path: Path) -> None:
    with_writes = write(tmp_path / "1.parquet", "access", 2, write=[True, False])
    without = write(tmp_path / "2.parquet", "access", 2)
    assert open_trace(with_writes).capabilities == {"access", "exact", "writes"}
    assert open_trace(with_writes, without).capabilities == {"access", "exact"}


def test_sizes_that_disagree_are_refused(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{pages}.parquet", "access", 1, {"a": pages}) for pages in (4, 8)]
    with pytest.raises(TraceError, match=r"8 pages here and 4 in another"):
        open_trace(*paths)


def test_more_pages_than_ids_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", "access", 1, {"a": 1 << 31, "b": 1 << 31})
    with pytest.raises(TraceError, match="more than"):
        open_trace(path)


@pytest.mark.parametrize(
    ("given", "row", "said"),
    [
        ({"t": [0, 5, 4]}, 2, "out of order"),
        ({"t": [0, 5, 5], "seq": [0, 3, 3]}, 2, "out of order"),
        ({"t": [0, 5, 5], "seq": [0, 3, 2]}, 2, "out of order"),
        ({"ppn": [0, 16, 0]}, 1, "PPN 16 lies beyond VM 'a', which has 16 pages"),
        ({"ppn": [0, 0, 0xFFFFFFFF]}, 2, "PPN 4294967295 lies beyond"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 1000])
def test_bad_rows_are_refused_with_file_and_row(tmp_path: Path, given: dict[str, Any], row: int, said: str, chunk: int) -> None:
    path = write_raw(tmp_path / "bad.parquet", "access", 3, about=about("access", {"a": 16}), **given)
    with pytest.raises(TraceError, match=said) as caught:
        replayed(open_trace(path), chunk)
    assert f"{path}, row {row}:" in str(caught.value)


def test_a_bad_row_of_a_later_batch_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    t = np.arange(100)
    t[77] = 3
    path = write_raw(tmp_path / "bad.parquet", "access", 100, t=t)
    batches = TraceFile.batches
    monkeypatch.setattr(TraceFile, "batches", lambda self, columns, rows=7: batches(self, columns, rows))
    with pytest.raises(TraceError, match="row 77: out of order"):
        replayed(open_trace(path), 10)


def test_a_vm_or_device_that_metadata_does_not_name_is_refused(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "1.parquet", "access", 2, about=about("access", {"a": 16}), vm=["a", "b"])
    with pytest.raises(TraceError, match="vm 'b' appears in the rows"):
        replayed(open_trace(path), 10)
    path = write_raw(tmp_path / "2.parquet", "io", 2, about=about("io", {"a": 16}), device=["eth0", "eth1"])
    with pytest.raises(TraceError, match="device 'eth1' appears in the rows"):
        replayed(open_trace(path), 10)


def test_no_files_are_no_trace() -> None:
    with pytest.raises(TraceError, match="no trace files"):
        open_traces([])
