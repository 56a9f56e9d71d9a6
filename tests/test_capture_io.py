from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_cli import run

from tracekit.capture.guest_clock import GuestClock
from tracekit.check import check_file
from tracekit.metadata import Metadata, VmInfo, provenance
from tracekit.tracefile import TraceFile
from tracekit.tracewriter import TraceWriter

MS = 1_000_000
#: Lines as Linux 6.12 and 6.18 print them, of a guest under swiotlb=force.
TEXT = """# tracekit device 0000:00:01.1 bits=32 driver=ata_piix
# tracekit device 0000:00:02.0 bits=64 driver=nvme
# tracekit cpu0 overrun: 7 dropped events: 0
# tracer: nop
              sh-164     [000] .....     5.000000: tracing_mark_write: tracekit clock 0
              cp-210     [000] .....     6.116989: swiotlb_bounced: dev_name: 0000:00:02.0 dma_mask=ffffffffffffffff dev_addr=fe1e000 size=4096 FORCE
              cp-210     [000] .....     6.117529: dma_map_sg: 0000:00:02.0 dir=FROM_DEVICE nents=2/2 ents=2/2 dma_addrs={0xf364000,0xf365000} sizes={0x1000,0x1800} phys_addrs={0xfe1e000,0xfe15000} attrs=NO_WARN
              cp-210     [000] .....     6.117708: block_rq_issue: 259,0 RA 16384 () 60984 + 32 be,0,4 [init]
              cp-244     [000] .....     6.857534: dma_map_page: 0000:00:01.1 dir=TO_DEVICE dma_addr=10332d800 size=4096 phys_addr=10332d800 attrs=
              cp-244     [000] .....     6.857634: dma_map_phys: 0000:00:02.0 dir=BIDIRECTIONAL dma_addr=1000 size=512 phys_addr=2000 attrs=
              cp-244     [000] .....     6.857636: dma_map_page: nonsense
              sh-164     [000] .....     7.000000: tracing_mark_write: tracekit clock 1
"""  # noqa: E501
OLD_TEXT = """    cp-1 [000] .....     6.5: swiotlb_bounced: dev_name: 0000:00:0a.0 dma_mask=ffffffff dev_addr=17c407000 size=256 NORMAL
    cp-1 [000] .....     6.6: swiotlb_bounced: dev_name: 0000:00:0a.0 dma_mask=ffffffff dev_addr=ffffffffffffffff size=66 FORCE
"""


def content_with_pauses(path: Path, origin: int, pauses: list[tuple[int, int]], pages: int = 1 << 21) -> Path:
    told = provenance({}, clock={"name": "CLOCK_MONOTONIC", "origin_ns": origin}, pauses_ns={"vm": pauses})
    about = Metadata("content", "cap", (VmInfo("vm", pages),), ("content", "digest64"), provenance=told)
    with TraceWriter(path, about, ("t", "seq", "vm", "ppn", "digest")) as writer:
        writer.write({"t": [0], "seq": [0], "vm": ["vm"], "ppn": [0], "digest": [1]})
    return path


def rows_of(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path).with_columns(pl.col("vm", "device").cast(pl.String))


def test_a_guests_record_becomes_rows_of_pages(tmp_path: Path) -> None:
    (tmp_path / "vm.txt").write_bytes(TEXT.encode() + bytes(5000))  # as on a raw disk
    done = run("capture", "io", tmp_path / "vm.txt", "-o", tmp_path / "cap")
    assert done.code == 0, done.err
    frame = rows_of(tmp_path / "cap.io.parquet")
    nvme, ata = ("nvme 0000:00:02.0", (1 << 64) - 1), ("ata_piix 0000:00:01.1", (1 << 32) - 1)
    assert frame.select("t", "ppn", "to_device", "bytes", "device", "dma_mask", "bounced", "forced").rows() == [
        (0, 0xFE1E, False, 4096, *nvme, True, True),
        (0, 0xFE15, False, 4096, *nvme, True, True),
        (0, 0xFE16, False, 2048, *nvme, True, True),
        (740_005_000, 0x10332D, True, 2048, *ata, False, False),
        (740_005_000, 0x10332E, True, 2048, *ata, False, False),
        (740_105_000, 2, None, 512, *nvme, True, True),
    ]
    told = TraceFile(tmp_path / "cap.io.parquet").metadata
    assert told is not None
    dropped = told.provenance["rows_dropped"]
    assert dropped["vm: event that the guest's kernel lost (its buffer was full)"] == 7
    assert sum(count for reason, count in dropped.items() if "bounce of a transfer that is there" in reason) == 1
    assert [finding.rule for finding in check_file(tmp_path / "cap.io.parquet") if finding.severity == "error"] == []


def test_an_older_kernel_tells_bounces_only(tmp_path: Path) -> None:
    (tmp_path / "vm.txt").write_text(OLD_TEXT)
    assert run("capture", "io", tmp_path / "vm.txt", "-o", tmp_path / "cap").code == 0
    frame = rows_of(tmp_path / "cap.io.parquet")
    assert frame.select("ppn", "to_device", "bytes", "bounced").rows() == [(0x17C407, None, 256, True), (None, None, 66, True)]
    assert frame["t"].to_list() == [0, 100 * MS]


def test_rows_are_on_the_clock_of_the_contents_although_the_vm_stood_still(tmp_path: Path) -> None:
    """The capture began when the guest's clock said 6 s, and stood still for 300 ms at 6.5 s."""
    (tmp_path / "vm.txt").write_text(TEXT)
    origin = 1_006_000 * MS
    content = content_with_pauses(tmp_path / "cap.content.parquet", origin, [(500 * MS, 300 * MS)])
    marks = [(1_005_000 * MS + 3 * MS, "tracekit clock 0"), (1_007_300 * MS + 2 * MS, "tracekit clock 1"), (1, "tracekit clock 99")]
    text = "monotonic_ns\tvm\tmark\n" + "".join(f"{t}\tvm\t{said}\n" for t, said in marks) + f"{origin}\tother\ttracekit clock 0\n"
    (tmp_path / "marks.tsv").write_text(text)
    options = ("--beside", content, "--marks", tmp_path / "marks.tsv")
    done = run("capture", "io", tmp_path / "vm.txt", *options, "-o", tmp_path / "cap")
    assert done.code == 0, done.err
    t = rows_of(tmp_path / "cap.io.parquet")["t"].to_list()
    assert t == [117_529_000 + 3 * MS] * 3 + [857_534_000 + 302 * MS] * 2 + [857_634_000 + 302 * MS]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(10, 1000), st.integers(1, 400)), max_size=6),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 3)), min_size=1, max_size=12),
    st.integers(-(10**6), 10**6),
)
def test_a_guests_clock_is_known_to_within_what_its_marks_were_late(
    gaps: list[tuple[int, int]], told: list[tuple[int, int]], ahead: int
) -> None:
    """A guest that runs and stands still in turns; marks are heard at most 3 late: no time is off by more, but within 3 of a pause."""
    pauses, edges, host, guest = [], [], 0, 0
    for gap, length in gaps:
        host, guest = host + gap, guest + gap
        pauses.append((host + ahead, length))
        edges.append(guest)
        host += length

    def on_host(t: int) -> int:
        return t + ahead + sum(length for edge, (_, length) in zip(edges, pauses) if t >= edge)

    marks = [(on_host(t) + late, t) for t, late in told if not any(edge - 4 <= t < edge for edge in edges)]
    if not marks:
        return
    times = np.array([t for t in range(0, 5000, 3) if not any(edge - 4 <= t < edge for edge in edges)], np.int64)
    found = GuestClock(marks, pauses).on_host(times)
    assert (np.diff(found) >= 0).all()
    off = found - np.array([on_host(int(t)) for t in times])
    assert off.min() >= -3 and off.max() <= 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing here\n", "clock marks"),
        (None, "cannot be read"),
        (TEXT, "clock marks"),
        (TEXT.replace("clock", "watch"), "clock marks"),
    ],
)
def test_bad_records_are_one_sentence(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "vm.txt").write_text(text)
    content = content_with_pauses(tmp_path / "cap.content.parquet", 0, [])
    (tmp_path / "marks.tsv").write_text("monotonic_ns\tvm\tmark\n")
    done = run("capture", "io", tmp_path / "vm.txt", "--beside", content, "--marks", tmp_path / "marks.tsv", "-o", tmp_path / "cap")
    assert done.code == 3 and said in done.err and done.err.count("\n") == 1
    assert not (tmp_path / "cap.io.parquet").exists()


def test_a_file_that_is_no_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vm.txt").write_text("nothing here\n")
    done = run("capture", "io", tmp_path / "vm.txt", "-o", tmp_path / "cap")
    assert done.code == 3 and "tells of no DMA" in done.err and done.err.count("\n") == 1


def test_vms_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(TEXT)
    content = content_with_pauses(tmp_path / "cap.content.parquet", 0, [])
    done = run("capture", "io", tmp_path / "x.txt", "--beside", content, "-o", tmp_path / "cap")
    assert done.code == 3 and "is not in" in done.err
    done = run("capture", "io", tmp_path / "x.txt", f"y={tmp_path / 'x.txt'}", "-o", tmp_path / "cap")
    assert done.code == 3 and "a clock each" in done.err


def test_the_script_is_shown_and_records_what_the_reader_reads() -> None:
    script = run("capture", "io", "--script").out
    assert script.startswith("#!/bin/sh\n")
    for word in ("tracekit clock ", "# tracekit device ", "swiotlb/swiotlb_bounced", "dma/dma_map_sg", "trace_clock"):
        assert word in script
