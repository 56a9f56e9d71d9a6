from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fake_qemu import PAGE, FakeQemu
from run_cli import run

from tracekit.capture import damon, damon_trace
from tracekit.capture.damon import Region
from tracekit.capture.damon_trace import Span, Target
from tracekit.capture.qmp import Qmp
from tracekit.check import check_file
from tracekit.errors import CaptureError
from tracekit.tracefile import TraceFile

MS = 1_000_000


def can_monitor() -> str:
    try:
        damon.refuse_without_damon()
    except CaptureError as error:
        return str(error)
    return ""


def test_regions_are_pages_of_the_vm_at_the_intervals_beginning() -> None:
    target = Target("vm", 100, (Span(10 * PAGE, 20 * PAGE, 0), Span(40 * PAGE, 44 * PAGE, 50)), 1)
    held = [Region(300 * MS, 18 * PAGE, 42 * PAGE, 3), Region(400 * MS, 19 * PAGE + 5, 20 * PAGE, 1)]
    columns = damon_trace._columns(target, held, 200 * MS)
    rows = list(zip(*(columns[name].tolist() for name in ("t", "ppn", "count"))))
    assert rows == [(100 * MS, 8, 3), (100 * MS, 9, 3), (100 * MS, 50, 3), (100 * MS, 51, 3), (200 * MS, 9, 1)]


def test_a_vm_is_its_ram_in_qemus_process(tmp_path: Path) -> None:
    with FakeQemu(tmp_path / "vm", pages=8, high=1 << 32) as fake:
        monitor = Qmp(fake.path)
        target = damon_trace.of_vm(monitor)
        monitor.close()
    sizes = [(span.end - span.start, span.ppn) for span in target.spans]
    assert sizes == [(4 * PAGE, 0), (4 * PAGE, 1 << 20)] and target.pages == (1 << 20) + 4 and target.name == "vm"


@pytest.mark.skipif(bool(can_monitor()), reason=f"no DAMON: {can_monitor()}")
def test_real_accesses_are_sampled(tmp_path: Path) -> None:
    """A gigabyte of physical memory; what is found there is not known, but that it lies there is."""
    done = run("capture", "access", "damon", "--physical", "0x100000000-0x140000000", "--for", "2s", "-o", tmp_path / "machine")
    assert done.code == 0 or "found no access" in done.err or "does not monitor physical" in done.err, done.err
    assert damon.ADMIN.joinpath("nr_kdamonds").read_text().strip() == "0"
    assert not (damon.TRACING / "instances" / damon.INSTANCE).exists()
    if done.code == 0:
        path = tmp_path / "machine.access.parquet"
        frame = pl.read_parquet(path)
        assert frame["ppn"].min() >= 1 << 20 and frame["ppn"].max() < 5 << 18  # pyright: ignore
        assert (np.asarray(frame["count"]) >= 1).all() and (np.asarray(frame["count"]) <= 20).all()
        told = TraceFile(path).metadata
        assert told is not None and told.bucket_ns == 100 * MS and told.capabilities == ("access",)
        assert [finding for finding in check_file(path) if finding.severity != "note"] == []


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--physical", "1-2"), 3, "whole pages"),
        (("--physical", "all"), 3, "no addresses"),
        (("--pid", "none"), 3, "no process id"),
        (("--pid", "1", "--physical", "0-4096"), 2, "one of"),
        ((), 2, "one of"),
    ],
)
def test_what_cannot_be_monitored_is_refused(tmp_path: Path, options: tuple[str, ...], code: int, said: str) -> None:
    done = run("capture", "access", "damon", *options, "-o", tmp_path / "x")
    assert done.code == code and said in done.err


def test_somebody_elses_damon_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nr_kdamonds").write_text("1\n")
    (tmp_path / "events/damon/damon_aggregated").mkdir(parents=True)
    monkeypatch.setattr(damon, "ADMIN", tmp_path)
    monkeypatch.setattr(damon, "TRACING", tmp_path)
    done = run("capture", "access", "damon", "--physical", "0-4096", "-o", tmp_path / "x")
    assert done.code == 3 and "in use by somebody else" in done.err
    assert (tmp_path / "nr_kdamonds").read_text() == "1\n"
    assert not list(tmp_path.glob("x*"))
