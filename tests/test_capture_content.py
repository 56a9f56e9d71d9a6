import os
import select
import signal
import socket
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xxhash
from fake_qemu import PAGE, FakeQemu
from hypothesis import given, settings
from hypothesis import strategies as st
from run_cli import run, start

from tracekit.capture import memory
from tracekit.capture.changes import LastDigests
from tracekit.capture.content import ContentCapture
from tracekit.capture.guest import QemuGuest
from tracekit.capture.layout import Range, pages_of, parse_flat_view, ram_ranges
from tracekit.capture.qmp import Qmp
from tracekit.capture.recording import Recording, finish_left
from tracekit.check import check_file
from tracekit.digest import key_seed
from tracekit.errors import CaptureError
from tracekit.schema import ZERO_DIGEST
from tracekit.tracefile import TraceFile

FLAT_VIEW = """FlatView #1
 AS "memory", root: system
 AS "cpu-memory-0", root: system
 Root memory region: system
  0000000000000000-000000000009ffff (prio 0, ram): mem KVM
  00000000000a0000-00000000000bffff (prio 1, i/o): vga-lowmem
  00000000000c0000-00000000000c9fff (prio 0, rom): mem @00000000000c0000 KVM
  00000000000ca000-000000007fffffff (prio 0, ram): mem @00000000000ca000 KVM
  00000000fd000000-00000000fdffffff (prio 1, ram): vga.vram
  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios
  0000000100000000-00000001bfffffff (prio 0, ram): mem @0000000080000000

FlatView #2
 AS "I/O", root: io
  0000000000000000-0000000000000007 (prio 0, ram): mem
"""


def frame_of(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path).with_columns(pl.col("vm").cast(pl.String))


def captured(fake: FakeQemu, out: Path, rounds: int = 1, **options: object) -> Path:
    """Content of a fake QEMU, snapshots one after the other."""
    guest = QemuGuest(Qmp(fake.path))
    capture = ContentCapture([guest], out, **options)  # pyright: ignore[reportArgumentType]
    for _ in range(rounds):
        capture.take(capture._snapshots[0])
    guest.close()
    return capture.finish()


def test_ranges_are_those_that_the_cpu_sees_of_ram() -> None:
    ranges = parse_flat_view(FLAT_VIEW, ["mem"])
    below = Range(0, 0xA0000, "mem", 0), Range(0xC0000, 0x80000000 - 0xC0000, "mem", 0xC0000)
    assert ranges == [*below, Range(1 << 32, 0xC0000000, "mem", 0x80000000)]
    assert pages_of(ranges) == 0x1C0000


@pytest.mark.parametrize("way", [memory.open_process, memory.Saved])
def test_each_way_reads_the_same_ram_at_the_guests_addresses(tmp_path: Path, way: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "PIECE", 2 * PAGE)
    monkeypatch.setattr(memory, "SAVED_PIECE", PAGE)
    with FakeQemu(tmp_path / "vm", pages=6, high=1 << 32) as fake:
        for page in range(6):
            fake.write(page, b"page %d" % page)
        monitor = Qmp(fake.path)
        ram = way(monitor, ram_ranges(monitor))
        read = {start + i: bytes(piece[i : i + PAGE]) for start, piece in ram.pieces() for i in range(0, len(piece), PAGE)}
        ram.close()
    assert list(read) == [0, PAGE, 2 * PAGE, *((1 << 32) + i * PAGE for i in range(3))]
    assert b"".join(read.values()) == fake.ram.raw


def test_digests_are_xxh3_and_keyed_ones_are_seeded_by_the_key(tmp_path: Path) -> None:
    key = b"sixteen bytes or more"
    with FakeQemu(tmp_path / "vm", pages=4, high=1 << 20) as fake:
        fake.write(1, b"something")
        plain, keyed = captured(fake, tmp_path / "plain"), captured(fake, tmp_path / "keyed", key=key)
    pages = [fake.ram.raw[i : i + PAGE] for i in range(0, 4 * PAGE, PAGE)]
    assert frame_of(plain)["digest"].to_list() == [xxhash.xxh3_64_intdigest(page) for page in pages]
    assert frame_of(keyed)["digest"].to_list() == [xxhash.xxh3_64_intdigest(page, key_seed(key)) for page in pages]
    told = TraceFile(keyed).metadata
    assert told is not None and told.keyed and told.zero_digest == xxhash.xxh3_64_intdigest(bytes(PAGE), key_seed(key)) != ZERO_DIGEST
    assert key not in keyed.read_bytes()
    assert [finding for path in (plain, keyed) for finding in check_file(path) if finding.severity != "note"] == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=6))
def test_changed_pages_alone_tell_every_snapshot(snapshots: list[list[int]]) -> None:
    """The rows so far give back the whole snapshot, and no row says what was known already."""
    last, known = LastDigests(), dict[int, int]()
    for snapshot in snapshots:
        digests = np.array(snapshot, np.uint64)
        changed = last.exchange(np.arange(len(digests), dtype=np.uint32), digests)
        rows = {int(page): snapshot[page] for page in np.flatnonzero(changed)}
        assert all(known.get(page) != digest for page, digest in rows.items())
        known |= rows
        assert [known[page] for page in range(len(snapshot))] == snapshot


def test_later_snapshots_hold_changed_pages_only(tmp_path: Path) -> None:
    with FakeQemu(tmp_path / "vm", pages=4, high=8 * PAGE) as fake:
        guest = QemuGuest(Qmp(fake.path))
        capture = ContentCapture([guest], tmp_path / "out", codec="zstd", origin=0)
        for page, content in ((0, b""), (3, b"new"), (3, b"new"), (2, os.urandom(PAGE))):
            fake.write(page, content)
            capture.take(capture._snapshots[0])
        path = capture.finish()
    frame = frame_of(path)
    assert frame["ppn"].to_list() == [0, 1, 8, 9, 9, 8]
    assert frame["seq"].to_list() == list(range(6))
    assert frame["t"].n_unique() == 3
    assert frame["compressed"][5] == PAGE and frame["compressed"][0] < 40
    told = TraceFile(path).metadata
    assert told is not None and told.vms[0].pages == 10
    assert len(told.provenance["pauses_ns"]["vm"]) == 4
    assert fake.told.count("stop") == fake.told.count("cont") == 4


def test_a_paused_vm_stays_paused(tmp_path: Path) -> None:
    with FakeQemu(tmp_path / "vm") as fake:
        fake.running = False
        captured(fake, tmp_path / "out")
    assert "cont" not in fake.told and "stop" not in fake.told


def test_the_vm_goes_on_if_reading_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise CaptureError("it is gone")

    with FakeQemu(tmp_path / "vm") as fake:
        guest = QemuGuest(Qmp(fake.path))
        capture = ContentCapture([guest], tmp_path / "out")
        monkeypatch.setattr("tracekit.capture.snapshot.page_digests", fail)
        with pytest.raises(CaptureError, match="it is gone"):
            capture.run(10**9, 0)
        assert fake.running and fake.told[-1] == "cont"
    assert not (tmp_path / "out.parts").exists()


def test_what_was_captured_before_qemu_died_is_kept(tmp_path: Path) -> None:
    stops = iter(range(3))

    def stop(_: object) -> dict[str, object]:
        if next(stops) == 2:
            raise KeyError("the VM has crashed")
        return {}

    with FakeQemu(tmp_path / "vm", answers={"stop": stop}):
        done = run("capture", "content", "--qmp", tmp_path / "vm", "--every", "50ms", "--for", "1min", "-o", tmp_path / "out")
    assert done.code == 3
    assert done.err.count("\n") == 1 and "the VM has crashed" in done.err and "out.content.parquet" in done.err
    assert len(TraceFile(tmp_path / "out.content.parquet").metadata.provenance["pauses_ns"]["vm"]) == 2  # pyright: ignore[reportOptionalMemberAccess]


@pytest.mark.parametrize("command", ["qmp_capabilities", "query-memdev", "stop"])
def test_a_qemu_that_dies_is_one_sentence(tmp_path: Path, command: str) -> None:
    with FakeQemu(tmp_path / "vm", dies_at=command):
        done = run("capture", "content", "--qmp", tmp_path / "vm", "--for", "1s", "-o", tmp_path / "out")
    assert done.code == 3 and done.err.count("\n") == 1 and "QEMU went away" in done.err
    assert not list(tmp_path.glob("out*"))


def test_a_full_disk_is_one_sentence_and_what_was_finished_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add, added = Recording.add, []

    def full(self: Recording, *rows: object) -> None:
        if added:
            raise OSError(28, "No space left on device")
        added.append(rows)
        add(self, *rows)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Recording, "add", full)
    with FakeQemu(tmp_path / "vm") as fake:
        done = run("capture", "content", "--qmp", fake.path, "--every", "50ms", "-o", tmp_path / "out")
        assert fake.running
    assert done.code == 3 and "No space left on device" in done.err and done.err.count("\n") == 1
    assert frame_of(finish_left(tmp_path / "out")).height == 8


def test_what_is_no_qmp_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracekit.capture.qmp.Qmp.__init__.__defaults__", (0.2,))
    silent, wrong, dying = (socket.socket(socket.AF_UNIX) for _ in range(3))
    for server, name in ((silent, "silent"), (wrong, "wrong"), (dying, "dying")):
        server.bind(str(tmp_path / name))
        server.listen()

    def greet() -> None:
        client, _ = wrong.accept()
        client.sendall(b"220 mail.example.org ESMTP\r\n")

    def die() -> None:
        select.select([dying], [], [])
        dying.close()

    for action in (greet, die):
        threading.Thread(target=action, daemon=True).start()
    (tmp_path / "file").write_text("no socket")
    silence, absence = "does not greet", "no QEMU answers"
    for name, said in (("silent", silence), ("wrong", silence), ("dying", "QEMU went away"), ("file", absence), ("none", absence)):
        done = run("capture", "content", "--qmp", tmp_path / name, "-o", tmp_path / "out")
        assert done.code == 3 and said in done.err and done.err.count("\n") == 1
    silent.close()
    wrong.close()


def test_a_wrong_answer_is_refused(tmp_path: Path) -> None:
    with FakeQemu(tmp_path / "vm", answers={"query-memdev": []}):
        done = run("capture", "content", "--qmp", tmp_path / "vm", "--for", "1s", "-o", tmp_path / "out")
    assert done.code == 3 and "maps no RAM" in done.err


def test_guests_of_one_name_are_refused(tmp_path: Path) -> None:
    with FakeQemu(tmp_path / "a") as one, FakeQemu(tmp_path / "b") as other:
        done = run("capture", "content", "--qmp", f"x={one.path}", "--qmp", f"x={other.path}", "-o", tmp_path / "out")
    assert done.code == 3 and "two guests are named 'x'" in done.err


@pytest.mark.parametrize("key", [b"", b"short"])
def test_a_key_that_can_be_guessed_is_refused(tmp_path: Path, key: bytes) -> None:
    (tmp_path / "key").write_bytes(key)
    done = run("capture", "content", "--key-file", tmp_path / "key", "-o", tmp_path / "out")
    assert done.code == 3 and "can be guessed" in done.err


def test_a_signal_ends_a_capture_properly_and_a_kill_loses_no_finished_snapshot(tmp_path: Path) -> None:
    for number, code in ((signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -9)):
        out = tmp_path / str(number)
        with FakeQemu(tmp_path / f"vm{int(number)}") as fake:
            capture = start("capture", "content", "--qmp", fake.path, "--every", "100ms", "-o", out, NUMBA_DISABLE_JIT="1")
            wait_until(lambda fake=fake: fake.told.count("cont") >= 3)
            fake.write(1, b"changed")
            seen = fake.told.count("cont")
            wait_until(lambda fake=fake, seen=seen: fake.told.count("cont") >= seen + 2)
            capture.send_signal(number)
            said = capture.communicate(timeout=30)
            assert capture.returncode == code, said
            assert fake.running or number == signal.SIGKILL
        if number == signal.SIGKILL:
            assert not out.with_name(f"{out.name}.content.parquet").exists()
            assert [finding for part in out.with_name(f"{out.name}.parts").glob("0*.parquet") for finding in check_file(part)
                    if finding.severity == "error"] == []  # fmt: skip
            assert finish_left(out) == out.with_name(f"{out.name}.content.parquet")
            told = TraceFile(out.with_name(f"{out.name}.content.parquet")).metadata
            assert told is not None and len(told.provenance["pauses_ns"][fake.path.name]) == 2 and told.provenance["interrupted"]
        assert frame_of(out.with_name(f"{out.name}.content.parquet"))["ppn"].to_list() == [*range(8), 1]
        assert not out.with_name(f"{out.name}.parts").exists()


def test_a_vm_goes_on_when_the_capture_is_killed_while_it_stands_still(tmp_path: Path) -> None:
    captures = []

    def stop(_: object) -> dict[str, object]:
        fake.running = False
        captures[0].kill()
        return {}

    with FakeQemu(tmp_path / "vm", answers={"stop": stop}) as fake:
        captures.append(start("capture", "content", "--qmp", fake.path, "-o", tmp_path / "out", NUMBA_DISABLE_JIT="1"))
        captures[0].communicate(timeout=30)
        assert captures[0].returncode == -signal.SIGKILL
        wait_until(lambda: fake.told[-1] == "cont")
        assert fake.running


def test_a_capture_does_not_write_over_what_an_interrupted_one_left(tmp_path: Path) -> None:
    (tmp_path / "out.parts").mkdir()
    with FakeQemu(tmp_path / "vm") as fake:
        done = run("capture", "content", "--qmp", fake.path, "-o", tmp_path / "out")
    assert done.code == 3 and "tracekit capture finish" in done.err
    done = run("capture", "finish", tmp_path / "out")
    assert done.code == 3 and "no finished snapshot" in done.err


def wait_until(happened, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)
