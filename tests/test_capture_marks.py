import signal
import socket
import threading
import time
from pathlib import Path

from run_cli import run, start

from tracekit.capture.marks import read_marks


def test_lines_are_stamped_when_they_come_and_there_at_once(tmp_path: Path) -> None:
    """Two guests, one of which breaks a line in two and then ends; Ctrl-C ends the listening."""
    servers = {}
    for name in ("a", "b"):
        servers[name] = socket.socket(socket.AF_UNIX)
        servers[name].bind(str(tmp_path / name))
        servers[name].listen()
    said = threading.Event()

    def speak() -> None:
        a, b = servers["a"].accept()[0], servers["b"].accept()[0]
        a.sendall(b"booted\r\nhalf a ")
        time.sleep(0.2)
        a.sendall(b"line\n\nnever ended")
        a.close()
        b.sendall(b"tab\there\n")
        said.wait(30)
        b.close()

    threading.Thread(target=speak, daemon=True).start()
    before = time.monotonic_ns()
    listener = start("capture", "marks", f"first={tmp_path / 'a'}", tmp_path / "b", "-o", tmp_path / "marks.tsv")
    end = time.monotonic() + 30
    while not ((tmp_path / "marks.tsv").exists() and len(read_marks(tmp_path / "marks.tsv")) == 3) and time.monotonic() < end:
        time.sleep(0.02)
    found = read_marks(tmp_path / "marks.tsv")
    assert [(vm, words) for _, vm, words in found] == [("first", "booted"), ("first", "half a line"), ("b", "tab here")]
    times = [t for t, _, _ in found]
    assert before < times[0] and times[0] + 150_000_000 < times[1] <= times[2] <= time.monotonic_ns()
    listener.send_signal(signal.SIGINT)
    out, err = listener.communicate(timeout=30)
    said.set()
    assert listener.returncode == 0 and out.decode().strip() == str(tmp_path / "marks.tsv"), err


def test_what_is_no_serial_port_or_no_file_of_marks_is_one_sentence(tmp_path: Path) -> None:
    done = run("capture", "marks", f"a={tmp_path / 'none'}", "-o", tmp_path / "marks.tsv")
    assert done.code == 3 and "no serial port answers" in done.err and done.err.count("\n") == 1
    (tmp_path / "other.tsv").write_text("t\tvm\tmark\n")
    done = run("capture", "io", "x", "--marks", tmp_path / "other.tsv", "-o", tmp_path / "cap")
    assert done.code == 3 and "is no file of marks" in done.err
