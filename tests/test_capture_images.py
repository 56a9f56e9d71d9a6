import struct
from pathlib import Path

import polars as pl
import pytest
import xxhash
from fake_qemu import PAGE, FakeQemu
from run_cli import run

from tracekit.check import check_file
from tracekit.tracefile import TraceFile


def page(content: bytes) -> bytes:
    return content.ljust(PAGE, b"\0")


def elf(path: Path, segments: list[tuple[int, bytes, int]], many: bool = False) -> Path:
    """An ELF64 core of (physical address, content, size in memory), as QEMU writes it; ``many``: the count stands in a section."""
    at = 64 + 56 * (len(segments) + 1)
    heads, body = struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, 0, 0, 0), b""  # a note comes first
    for address, content, size in segments:
        heads += struct.pack("<IIQQQQQQ", 1, 0, at + len(body), 0, address, len(content), size, 0)
        body += content
    count = len(segments) + 1
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, at + len(body) if many else 0, 0, 64, 56,
                                                          0xFFFF if many else count, 64, int(many), 0)  # fmt: skip
    path.write_bytes(head + heads + body + (struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, count, 0, 0) if many else b""))
    return path


def rows_of(path: Path) -> list[tuple[object, ...]]:
    return pl.read_parquet(path).with_columns(pl.col("vm").cast(pl.String)).select("t", "vm", "ppn", "digest").rows()


def digest(content: bytes) -> int:
    return xxhash.xxh3_64_intdigest(page(content))


@pytest.mark.parametrize("many", [False, True])
def test_elf_dumps_tell_addresses_and_zeros_beyond_the_file(tmp_path: Path, many: bool) -> None:
    dump = elf(tmp_path / "vm.elf", [(1 << 32, page(b"high"), PAGE), (0, page(b"low") + page(b"half"), 3 * PAGE)], many)
    assert run("capture", "content", "--image", dump, "-o", tmp_path / "out").code == 0
    assert sorted(rows_of(tmp_path / "out.content.parquet")) == [
        (0, "vm", 0, digest(b"low")), (0, "vm", 1, digest(b"half")), (0, "vm", 2, digest(b"")), (0, "vm", 1 << 20, digest(b"high")),
    ]  # fmt: skip
    told = TraceFile(tmp_path / "out.content.parquet").metadata
    assert told is not None and told.vms[0].pages == (1 << 20) + 1
    assert not [finding for finding in check_file(tmp_path / "out.content.parquet") if finding.severity != "note"]


def test_snapshots_of_several_vms_are_in_order_of_time(tmp_path: Path) -> None:
    for name, contents in (("a0", (b"x", b"y")), ("a1", (b"x", b"z")), ("b", (b"x", b"")), ("a@2", (b"w", b"z"))):
        (tmp_path / f"{name}.raw").write_bytes(b"".join(map(page, contents)))
    images = [f"a={tmp_path}/a0.raw", f"a={tmp_path}/a1.raw@20s", f"{tmp_path}/b.raw@15s", f"a={tmp_path}/a@2.raw"]
    options = [item for image in images for item in ("--image", image)]
    done = run("capture", "content", *options, "--every", "10s", "-o", tmp_path / "out.content.parquet")
    assert done.code == 0, done.err
    s = 10**9
    assert rows_of(tmp_path / "out.content.parquet") == [
        (0, "a", 0, digest(b"x")), (0, "a", 1, digest(b"y")), (15 * s, "b", 0, digest(b"x")), (15 * s, "b", 1, digest(b"")),
        (20 * s, "a", 1, digest(b"z")), (30 * s, "a", 0, digest(b"w")),
    ]  # fmt: skip
    done = run("capture", "access", "plugin", tmp_path / "x", "-o", tmp_path / "y", "--beside", tmp_path / "out.content.parquet")
    assert done.code == 3


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        ("x.raw", lambda path: path.write_bytes(b""), "is empty"),
        ("x.raw", lambda path: path.mkdir(), "is a directory"),
        ("x.raw", lambda path: None, "cannot be read"),
        ("x.raw", lambda path: path.write_bytes(b"x" * 4000), "no page of memory"),
        ("x.lime", lambda path: path.write_bytes(b"EMiL" + bytes(4092)), "no header of a range"),
        ("x.elf", lambda path: path.write_bytes(b"\x7fELF\x01\x01" + bytes(90)), "no format that can be recognise"),
        ("x.elf", lambda path: elf(path, []), "no segment of memory"),
        ("x.elf", lambda path: path.write_bytes(elf(path, [(0, page(b"a"), PAGE)]).read_bytes()[:100]), "cut off"),
        ("x.elf", lambda path: path.write_bytes(elf(path, [(0, page(b"a"), PAGE)]).read_bytes()[:-1]), "no page of memory"),
        ("x.trace", lambda path: path.write_text(" S 1fff0006e8,8\n L 04032e40,8\n"), "no image of memory"),
    ],
)
def test_wrong_images_are_one_sentence(tmp_path: Path, name: str, spoil, said: str) -> None:
    spoil(tmp_path / name)
    done = run("capture", "content", "--image", tmp_path / name, "-o", tmp_path / "out")
    assert done.code == 3 and said in done.err and done.err.count("\n") == 1
    assert not list(tmp_path.glob("out*"))


def test_pages_that_an_image_lacks_are_counted(tmp_path: Path) -> None:
    path = elf(tmp_path / "vm.elf", [(0, page(b"a") + page(b"b"), 2 * PAGE)])
    path.write_bytes(path.read_bytes()[:-100])
    assert run("capture", "content", "--image", path, "-o", tmp_path / "out").code == 0
    assert rows_of(tmp_path / "out.content.parquet") == [(0, "vm", 0, digest(b"a"))]
    told = TraceFile(tmp_path / "out.content.parquet").metadata
    assert told is not None and sum(told.provenance["rows_dropped"].values()) == 1


def test_images_out_of_order_or_beside_live_guests_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(PAGE))
    done = run("capture", "content", "--image", f"x={tmp_path}/a@5s", "--image", f"x={tmp_path}/a@5s", "-o", tmp_path / "out")
    assert done.code == 3 and "order of time" in done.err
    assert run("capture", "content", "--image", tmp_path / "a", "--pid", "1", "-o", tmp_path / "out").code == 2


VIRSH = """#!/bin/sh
# A virsh that knows one domain, and passes its monitor's commands on to a QMP socket.
shift
case $1 in
domstate) [ "$2" = web ] || { echo "error: failed to get domain '$2'" >&2; exit 1; }; echo running ;;
suspend | resume) python3 - "$1" <<'P'
import socket, sys, json
s = socket.socket(socket.AF_UNIX); s.connect("SOCKET"); f = s.makefile("rw"); f.readline()
f.write(json.dumps({"execute": "stop" if sys.argv[1] == "suspend" else "cont"}) + "\\n"); f.flush(); f.readline(); f.readline()
P
;;
qemu-monitor-command) python3 - "$3" <<'P'
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect("SOCKET"); f = s.makefile("rw"); f.readline()
f.write(sys.argv[1] + "\\n"); f.flush(); f.readline(); print(f.readline())
P
;;
esac
"""


def test_a_domain_of_libvirt_is_captured_through_virsh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what stands in for virsh is made up: its command line is libvirt's (virsh(1))."""
    virsh = tmp_path / "bin" / "virsh"
    virsh.parent.mkdir()
    virsh.write_text(VIRSH.replace("SOCKET", str(tmp_path / "vm")))
    virsh.chmod(0o755)
    monkeypatch.setenv("PATH", str(virsh.parent), prepend=":")
    with FakeQemu(tmp_path / "vm") as fake:
        fake.write(3, b"here")
        done = run("capture", "content", "--domain", "web", "--every", "1min", "--for", "100ms", "-o", tmp_path / "out")
        assert done.code == 0, done.err
        assert fake.told.index("stop") < fake.told.index("cont") and fake.running
    assert rows_of(tmp_path / "out.content.parquet")[3][2:] == (3, digest(b"here"))
    told = TraceFile(tmp_path / "out.content.parquet").metadata
    assert told is not None and list(told.provenance["read_from"].values()) == ["QEMU's pmemsave"]
    done = run("capture", "content", "--domain", "none", "-o", tmp_path / "x")
    assert done.code == 3 and "failed to get domain 'none'" in done.err and done.err.count("\n") == 1
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run("capture", "content", "--domain", "web", "-o", tmp_path / "x")
    assert done.code == 3 and "virsh is not installed" in done.err
