"""Captures of processes' memory, checked on processes whose pages are known."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
import xxhash
from run_cli import run

from tracekit.capture.content import ContentCapture
from tracekit.capture.process import ProcessGuest
from tracekit.check import check_file
from tracekit.errors import CaptureError

PAGE = 4096
#: A process with 64 pages that hold their number each, and 64 that are never touched; each line read writes "new" to page 5.
PROGRAM = """
import mmap, sys
pages = mmap.mmap(-1, 128 * 4096)
for i in range(64):
    pages[i * 4096 : i * 4096 + 12] = b"known %06d" % i
print("ready", flush=True)
for line in sys.stdin:
    pages[5 * 4096 : 5 * 4096 + 3] = b"new"
    print("done", flush=True)
"""


@contextmanager
def process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout and child.stdout.readline() == "ready\n"
        try:
            yield child
        finally:
            child.kill()


def known(i: int, content: bytes = b"known %06d") -> int:
    return xxhash.xxh3_64_intdigest((content % i if b"%" in content else content).ljust(PAGE, b"\0"))


def can_look() -> bool:
    with process() as child:
        try:
            guest = ProcessGuest(child.pid)
            with guest.stopped():
                list(guest.pieces())
            guest.close()
        except CaptureError:
            return False
        return True


pytestmark = pytest.mark.skipif(not can_look(), reason="other processes may not be looked at here")


def test_a_process_is_captured_with_the_pages_that_it_has(tmp_path: Path) -> None:
    with process() as child:
        guest = ProcessGuest(child.pid, "child")
        capture = ContentCapture([guest], tmp_path / "out")
        capture.take(capture._snapshots[0])
        assert child.stdin and child.stdout
        child.stdin.write("go\n")
        child.stdin.flush()
        assert child.stdout.readline() == "done\n"  # so it went on
        capture.take(capture._snapshots[0])
        guest.close()
        path = capture.finish()
    frame = pl.read_parquet(path).with_columns(pl.col("vm").cast(pl.String))
    first, second = (frame.filter(t=t) for t in frame["t"].unique().sort())
    pages = dict(zip(first["digest"].to_list(), first["ppn"].to_list()))
    numbers = [pages[known(i)] for i in range(64)]
    assert numbers == list(range(numbers[0], numbers[0] + 64))  # one mapping, in order of addresses
    changed = dict(second.select("ppn", "digest").rows())
    assert changed[numbers[5]] == xxhash.xxh3_64_intdigest(b"new" + b"wn 000005".ljust(PAGE - 3, b"\0"))
    assert not changed.keys() & set(numbers) - {numbers[5]}
    assert len(first) < 1 << 16 and first["ppn"].to_list() == list(range(len(first)))
    assert [finding for finding in check_file(path) if finding.severity != "note"] == []


def test_a_stopped_process_stays_stopped() -> None:
    with process() as child:
        os.kill(child.pid, signal.SIGSTOP)
        guest = ProcessGuest(child.pid)
        while guest._state() != "T":
            time.sleep(0.01)
        with guest.stopped() as stop:
            assert list(guest.pieces())
        assert stop.pause_ns == 0 and guest._state() == "T"
        guest.close()


def test_a_process_that_ends_is_one_sentence(tmp_path: Path) -> None:
    with process() as child:
        guest = ProcessGuest(child.pid)
        capture = ContentCapture([guest], tmp_path / "out")
        capture.take(capture._snapshots[0])
        child.kill()
        child.wait()
        with pytest.raises(CaptureError, match="is not there; did it end"):
            capture.take(capture._snapshots[0])
        guest.close()
        capture.finish()
    for pid, said in ((child.pid, "is not there"), ("abc", "no process id"), (os.getpid(), "tracekit itself"), (2, "process 2")):
        done = run("capture", "content", "--pid", pid, "-o", tmp_path / "none")
        assert done.code == 3 and said in done.err and done.err.count("\n") == 1
