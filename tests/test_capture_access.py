import struct
from pathlib import Path

import polars as pl
import pytest
from run_cli import run

from tracekit.check import check_file
from tracekit.metadata import Metadata, VmInfo, provenance
from tracekit.tracefile import TraceFile
from tracekit.tracewriter import TraceWriter

MS = 1_000_000
Touch = tuple[int, int]  # page, kind


def write_log(path: Path, buckets: list[tuple[int, list[Touch]]], pages: int = 256, bucket_ms: int = 100, fetches: int = 1) -> Path:
    """A log as plugin.c writes it: (begin in ms, touches) a bucket; the VM executes 1000 instructions a bucket."""
    with open(path, "wb") as file:
        file.write(struct.pack("<8sIIII40x", b"tkaccess", 1, pages, bucket_ms, fetches))
        for i, (begin, touches) in enumerate(buckets, 1):
            file.write(struct.pack("<5Q", begin * MS, (begin + bucket_ms) * MS, 1000 * i, 400 * i, len(touches)))
            file.write(b"".join(struct.pack("<I", page | kind << 30) for page, kind in touches))
    return path


def content_at(path: Path, origin_ms: int, *vms: VmInfo) -> Path:
    """A content trace that began at this time of the clock."""
    told = provenance({}, clock={"name": "CLOCK_MONOTONIC", "origin_ns": origin_ms * MS})
    about = Metadata("content", path.name.split(".")[0], vms, ("content", "digest64"), provenance=told)
    with TraceWriter(path, about, ("t", "seq", "vm", "ppn", "digest")) as writer:
        writer.write({"t": [0], "seq": [0], "vm": [vms[0].name], "ppn": [0], "digest": [1]})
    return path


def test_logs_become_one_trace_on_the_clock_of_the_contents(tmp_path: Path) -> None:
    a = write_log(tmp_path / "a.log", [(900, [(1, 0)]), (1000, [(5, 1), (5, 0), (7, 2)]), (1100, []), (1200, [(5, 0)])])
    b = write_log(tmp_path / "b.log", [(1050, [(0, 2), (255, 1)]), (1150, [(3, 0)])])
    content = content_at(tmp_path / "cap.content.parquet", 1000, VmInfo("a", 300), VmInfo("b", 256), VmInfo("c", 9))
    done = run("capture", "access", "plugin", a, b, "-o", tmp_path / "cap", "--beside", content)
    assert done.code == 0 and "a: 1 touches came before" in done.err
    frame = pl.read_parquet(tmp_path / "cap.access.parquet").with_columns(pl.col("vm").cast(pl.String))
    assert frame.rows() == [
        (0, 0, "a", 5, True, False), (0, 1, "a", 5, False, False), (0, 2, "a", 7, False, True), (50 * MS, 3, "b", 0, False, True),
        (50 * MS, 4, "b", 255, True, False), (150 * MS, 5, "b", 3, False, False), (200 * MS, 6, "a", 5, False, False),
    ]  # fmt: skip
    events = pl.read_parquet(tmp_path / "cap.event.parquet").with_columns(pl.col("vm", "what").cast(pl.String))
    assert events.select("t", "vm", "a", "b").rows() == [
        (100 * MS, "a", 2000, 800), (150 * MS, "b", 1000, 400), (200 * MS, "a", 3000, 1200), (250 * MS, "b", 2000, 800),
        (300 * MS, "a", 4000, 1600),
    ]  # fmt: skip
    told = TraceFile(tmp_path / "cap.access.parquet").metadata
    assert told is not None
    assert told.bucket_ns == 100 * MS and told.capabilities == ("access", "exact", "writes")
    assert told.provenance["rows_dropped"] == {"a: before the capture began": 1}
    assert [vm.pages for vm in told.vms] == [300, 256]
    assert not [found for kind in ("access", "event") for found in check_file(tmp_path / f"cap.{kind}.parquet") if found.severity != "note"]


def test_alone_a_log_begins_at_0_and_a_cut_off_bucket_is_left_out(tmp_path: Path) -> None:
    log = write_log(tmp_path / "a.log", [(900, [(1, 0)]), (1000, [(2, 0), (3, 2)])], fetches=0)
    raw = log.read_bytes()
    for cut in (4, 8, 20):
        log.write_bytes(raw[:-cut])
        assert run("capture", "access", "plugin", f"x={log}", "-o", tmp_path / "cap").code == 0
        frame = pl.read_parquet(tmp_path / "cap.access.parquet").with_columns(pl.col("vm").cast(pl.String))
        assert frame.rows() == [(0, 0, "x", 1, False)]
    log.write_bytes(raw)
    assert run("capture", "access", "plugin", f"x={log}", "-o", tmp_path / "cap").code == 0
    assert pl.read_parquet(tmp_path / "cap.access.parquet")["ppn"].to_list() == [1, 2]  # and no fetch, which some VMs could not tell


def test_rows_are_the_same_however_many_are_written_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = [write_log(tmp_path / f"{i}.log", [(i + 100 * k, [(k, k % 3), (k + 1, 1)]) for k in range(20)]) for i in range(3)]
    run("capture", "access", "plugin", *logs, "-o", tmp_path / "whole")
    monkeypatch.setattr("tracekit.capture.access.BLOCK_ROWS", 5)
    run("capture", "access", "plugin", *logs, "-o", tmp_path / "cut")
    whole, cut = pl.read_parquet(tmp_path / "whole.access.parquet"), pl.read_parquet(tmp_path / "cut.access.parquet")
    assert whole.with_columns(pl.col("vm").cast(pl.String)).equals(cut.with_columns(pl.col("vm").cast(pl.String)))
    assert whole.height == 120


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda log: log.write_bytes(b"no log"), "is no log of the access plugin"),
        (lambda log: log.unlink(), "cannot be read"),
        (lambda log: log.write_bytes(log.read_bytes()[:64]), "no whole bucket"),
        (lambda log: log.write_bytes(log.read_bytes()[:96] + b"\xff" * 8 + log.read_bytes()[104:]), "damaged"),
        (lambda log: write_log(log, [(0, [(256, 0)])]), "damaged"),
        (lambda log: write_log(log, [(0, [(1, 0)])], bucket_ms=50), "different buckets"),
    ],
)
def test_bad_logs_are_one_sentence(tmp_path: Path, spoil, said: str) -> None:
    good, bad = (write_log(tmp_path / name, [(0, [(1, 0)])]) for name in ("good", "bad"))
    spoil(bad)
    done = run("capture", "access", "plugin", good, bad, "-o", tmp_path / "cap")
    assert done.code == 3 and said in done.err and done.err.count("\n") == 1
    assert not list(tmp_path.glob("*.parquet"))


def test_contents_of_other_vms_or_another_clock_are_refused(tmp_path: Path) -> None:
    log = write_log(tmp_path / "a.log", [(0, [(1, 0)])])
    other = content_at(tmp_path / "x.content.parquet", 0, VmInfo("b", 256))
    small = content_at(tmp_path / "y.content.parquet", 0, VmInfo("a", 255))
    late = content_at(tmp_path / "z.content.parquet", 5000, VmInfo("a", 256))
    foreign = Path(__file__).parent.parent / "traces" / "three-vms.content.parquet"
    for beside, said in ((other, "is not in"), (small, "but 'a' has 255"), (late, "no access after"), (foreign, "on which clock")):
        done = run("capture", "access", "plugin", log, "-o", tmp_path / "cap", "--beside", beside)
        assert done.code == 3 and said in done.err and done.err.count("\n") == 1


def test_changes_of_content_are_stores_between_two_snapshots(tmp_path: Path) -> None:
    told = provenance({}, pauses_ns={"a": [[0, 5], [10, 5], [20, 5], [30, 5]], "b": [[1, 5], [11, 5]]})
    about = Metadata("content", "cap", (VmInfo("a", 9), VmInfo("b", 9)), ("content", "digest64"), provenance=told)
    rows = [(0, "a", 1), (0, "a", 2), (1, "b", 1), (10, "a", 2), (11, "b", 1), (30, "a", 2), (30, "a", 1)]
    with TraceWriter(tmp_path / "cap.content.parquet", about, ("t", "seq", "vm", "ppn", "digest")) as writer:
        t, vm, ppn = zip(*rows)
        writer.write({"t": list(t), "seq": range(7), "vm": list(vm), "ppn": list(ppn), "digest": range(7)})
    done = run("capture", "access", "dirty", tmp_path / "cap.content.parquet")
    assert done.out.strip() == str(tmp_path / "cap.access.parquet")
    frame = pl.read_parquet(tmp_path / "cap.access.parquet").with_columns(pl.col("vm").cast(pl.String))
    assert frame.select("t", "vm", "ppn").rows() == [(0, "a", 2), (1, "b", 1), (20, "a", 1), (20, "a", 2)]
    metadata = TraceFile(tmp_path / "cap.access.parquet").metadata
    assert metadata is not None and metadata.bucket_ns == 10 and "exact" not in metadata.capabilities
    assert not [found for found in check_file(tmp_path / "cap.access.parquet") if found.severity != "note"]


def test_one_snapshot_tells_of_no_store(tmp_path: Path) -> None:
    content = content_at(tmp_path / "x.content.parquet", 0, VmInfo("a", 256))
    done = run("capture", "access", "dirty", content)
    assert done.code == 3 and "no page changes" in done.err
