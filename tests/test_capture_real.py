"""Captures of real VMs: QEMU, its firmware, and a boot sector that writes to known pages."""

import shutil
import signal
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from real_vm import HAS_QEMU, TOUCHED, RealVm, toucher
from run_cli import run, start

from tracekit.capture import memory, plugin
from tracekit.capture.layout import ram_ranges
from tracekit.capture.qmp import Qmp
from tracekit.check import check_capture, check_file
from tracekit.digest import page_digests
from tracekit.formats.importer import import_files

pytestmark = pytest.mark.skipif(not HAS_QEMU, reason="qemu-system-x86_64 is not installed")
needs_compiler = pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler is installed")


@needs_compiler
def test_three_vms_are_captured_on_one_clock_and_replayed(tmp_path: Path) -> None:
    """Content and accesses of a boot sector that writes to 128 pages 18 times a second: every page that changed was stored to."""
    built = plugin.build(tmp_path / "tracekit.so", plugin.find_api())
    with ExitStack() as stack:
        vms = [
            stack.enter_context(toucher(tmp_path, name, mib, arguments_of(built, tmp_path / f"{name}.log", mib), memfd))
            for name, mib, memfd in (("a", 16, True), ("b", 20, False), ("c", 16, False))
        ]
        time.sleep(3)  # the firmware gives up on other disks first
        sockets = [item for vm in vms for item in ("--qmp", vm.socket)]
        done = run("capture", "content", *sockets, "--every", "500ms", "--for", "2s", "-o", tmp_path / "three", "--format", "json")
        assert done.code == 0, done.err
    content, out = tmp_path / "three.content.parquet", tmp_path / "three"
    done = run("capture", "access", "plugin", *(tmp_path / f"{vm.name}.log" for vm in vms), "-o", out, "--beside", content)
    assert done.code == 0, done.err
    files = sorted(tmp_path.glob("three.*.parquet"))
    assert [file.name for file in files] == ["three.access.parquet", "three.content.parquet", "three.event.parquet"]
    found = [finding for file in files for finding in check_file(file)] + check_capture(files)
    assert [finding for finding in found if finding.severity != "note"] == []

    contents = pl.read_parquet(content).with_columns(pl.col("vm").cast(pl.String))
    accesses = pl.read_parquet(tmp_path / "three.access.parquet").with_columns(pl.col("vm").cast(pl.String))
    for vm in vms:
        rows, seen = contents.filter(vm=vm.name), accesses.filter(vm=vm.name)
        times = rows["t"].unique().sort().to_list()
        assert len(times) >= 4
        assert len(rows.filter(t=times[0])) >= vm.mib * 256 - 0x100  # all but holes
        for since, until in pairwise(times):
            changed = set(rows.filter(t=until)["ppn"])
            bucket = 50_000_000
            stored = set(seen.filter(pl.col("write"), pl.col("t").is_between(since - 2 * bucket, until + bucket))["ppn"])
            assert set(TOUCHED) <= changed <= stored
        assert 7 in set(seen.filter(pl.col("fetch"))["ppn"])  # the boot sector's own page
    done = run("replay", *files, "--preset", "working-set", "--format", "json")
    assert done.code == 0, done.err


def arguments_of(built: Path, log: Path, mib: int) -> list[object]:
    return ["-plugin", f"{built},out={log},mib={mib},bucket_ms=50"]


@pytest.mark.parametrize("memfd", [True, False])
def test_all_ways_of_reading_ram_agree(tmp_path: Path, memfd: bool) -> None:
    with toucher(tmp_path, "vm", memfd=memfd) as vm:
        monitor = Qmp(vm.socket)
        time.sleep(1)
        monitor.execute("stop")
        ranges = ram_ranges(monitor)
        ways = [memory.open_process(monitor, ranges), memory.Saved(monitor, ranges)]
        ways += [memory.open_file(monitor, ranges)] if memfd else []
        read = [b"".join(bytes(piece) for _, piece in way.pieces()) for way in ways]
        best = memory.open_memory(monitor, ranges)
        assert best.method == ("the file of its RAM" if memfd else "the memory of QEMU's process")
        for way in [*ways, best]:
            way.close()
        monitor.close()
    assert all(each == read[0] for each in read[1:])
    assert len(read[0]) == sum(each.size for each in ranges) and any(read[0])


def test_qemus_own_dumps_come_in_alike(tmp_path: Path) -> None:
    """An ELF core and a (flattened) kdump of one moment, and what is read of the VM itself."""
    with toucher(tmp_path, "vm", memfd=True) as vm:
        monitor = Qmp(vm.socket)
        monitor.execute("stop")
        for form in ("elf", "kdump-zlib"):
            monitor.execute("dump-guest-memory", paging=False, protocol=f"file:{tmp_path / form}", format=form)
        way = memory.open_memory(monitor, ram_ranges(monitor))
        expected = {start // 4096 + i: digest for start, piece in way.pieces() for i, digest in enumerate(page_digests(piece).tolist())}
        way.close()
        monitor.close()
    found = [import_files([tmp_path / form], tmp_path / f"{form}.content.parquet") for form in ("elf", "kdump-zlib")]
    elf, kdump = (dict(pl.read_parquet(done.path).select("ppn", "digest").rows()) for done in found)
    assert elf == kdump and [done.dropped for done in found] == [{}, {}]
    assert expected.items() <= elf.items()


def test_ranges_beyond_the_pci_hole_are_where_the_guest_has_them(tmp_path: Path) -> None:
    with RealVm(tmp_path, "high", 4096, ["-S", "-machine", "q35"]) as vm:
        monitor = Qmp(vm.socket)
        ranges = ram_ranges(monitor)
        monitor.close()
    assert ranges[-1].start == 1 << 32 and ranges[-1].offset == 2 << 30
    assert sum(each.size for each in ranges) >= (4 << 30) - (1 << 20)


def test_a_qemu_that_is_killed_halfway_is_one_sentence_and_what_was_captured_is_kept(tmp_path: Path) -> None:
    with toucher(tmp_path, "vm") as vm:
        capture = start("capture", "content", "--qmp", vm.socket, "--every", "100ms", "-o", tmp_path / "out", NUMBA_DISABLE_JIT="1")
        end = time.monotonic() + 30
        while len(list((tmp_path / "out.parts").glob("0*.parquet"))) < 2 and time.monotonic() < end:
            time.sleep(0.02)
        vm.process.send_signal(signal.SIGKILL)
        _, err = capture.communicate(timeout=30)
    assert capture.returncode == 3 and err.count(b"\n") == 1, err
    assert [finding for finding in check_file(tmp_path / "out.content.parquet") if finding.severity == "error"] == []


@needs_compiler
def test_the_plugin_is_refused_by_what_it_is_not_written_for(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="not 99"):
        plugin.build(tmp_path / "x.so", 99)
    built = plugin.build(tmp_path / "old.so", plugin.find_api())
    with pytest.raises(RuntimeError, match="at most 2816"), RealVm(tmp_path, "big", 4096, ["-plugin", f"{built},out=x,mib=4096"]):
        pass


def test_a_vm_goes_on_however_often_the_capture_is_killed(tmp_path: Path) -> None:
    """Killed at moments that differ, some of them while the VM stands still: it runs afterwards, always."""
    with toucher(tmp_path, "vm", mib=64) as vm:
        for i in range(2):
            capture = start("capture", "content", "--qmp", vm.socket, "--every", "1ms", "-o", tmp_path / f"out{i}", NUMBA_DISABLE_JIT="1")
            end = time.monotonic() + 30
            while not list((tmp_path / f"out{i}.parts").glob("0*.parquet")) and time.monotonic() < end:
                time.sleep(0.003)
            time.sleep(0.013 * i)
            capture.kill()
            capture.communicate(timeout=30)
            time.sleep(0.5)
            monitor = Qmp(vm.socket)
            assert monitor.execute("query-status")["running"]
            monitor.close()
