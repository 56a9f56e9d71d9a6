"""Readers of foreign formats: what a writer wrote comes back; cut or damaged files are read so far or refused, never half-written."""

import contextlib
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from decimal import Decimal
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xxhash
from foreign import MADE, Foreign, zipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracekit.check import check_file
from tracekit.digest import key_seed
from tracekit.errors import TraceError
from tracekit.formats import images
from tracekit.formats.importer import Options, import_files, recognise
from tracekit.formats.known import FORMATS, TABLES
from tracekit.formats.source import Source
from tracekit.formats.struct import record_of
from tracekit.tracefile import TraceFile

NAMES = sorted(MADE)


@pytest.fixture(autouse=True)
def few_zeros(monkeypatch):
    """Damaged headers claim much memory; the claim is cut off early, so that tests are quick."""
    monkeypatch.setattr(images, "MOST_ZERO_PAGES", 1 << 12)


def foreign(name: str, seed: int = 1) -> Foreign:
    return MADE[name](np.random.default_rng(seed))


def imported(folder: Path, made: Foreign, content: bytes) -> list[tuple[object, ...]]:
    """The rows that come out of a file's content. The output must be a valid trace, and nothing else may be left."""
    source, out = folder / made.name, folder / f"out.{made.kind}.parquet"
    source.write_bytes(content)
    out.unlink(missing_ok=True)
    try:
        done = import_files([source], out, Options(**made.options))
    except TraceError:
        assert sorted(folder.iterdir()) == [source]
        raise
    assert sorted(folder.iterdir()) == sorted([source, out])
    assert [finding for finding in check_file(out) if finding.severity == "error"] == []
    frame = pl.read_parquet(out)
    assert done.rows == frame.height
    file = TraceFile(out)
    assert file.metadata is not None
    assert file.metadata.provenance["rows_dropped"] == done.dropped
    return frame.with_columns(pl.col(pl.Categorical).cast(pl.String)).select(made.columns.split()).rows()


@pytest.mark.parametrize("name", NAMES)
def test_what_was_written_is_read(name, tmp_path):
    made = foreign(name)
    assert imported(tmp_path, made, made.whole) == made.all_rows


@pytest.mark.parametrize("name", NAMES)
def test_the_format_is_recognised(name, tmp_path):
    made = foreign(name)
    (tmp_path / made.name).write_bytes(made.whole)
    if "format" not in made.options:
        aliases = {
            "kdump-flattened": "kdump",
            "kaplan-alone": "kaplan",
            "dirty-ring-qemu": "dirty-ring",
            "swiotlb": "dma",
            "qemu-balloon": "qemu",
            "vscsi-1": "vscsi",
            "lcs-described": "lcs",
        }
        format = recognise(Source(tmp_path / made.name))
        assert not isinstance(format, str)
        assert format.name == aliases.get(name, name)


def test_every_format_has_a_writer():
    assert {name for name in FORMATS if name not in NAMES} == set()


def test_every_format_is_documented():
    page = (Path(__file__).parent.parent / "docs" / "formats.md").read_text()
    assert {name for name in [*FORMATS, *TABLES] if f"`{name}`" not in page} == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_file_cut_between_records_gives_those_before(name, tmp_path):
    made = foreign(name, 2)
    for kept in range(len(made.records)):
        content = made.head + b"".join(made.records[:kept])
        expected = [row for rows in made.rows[:kept] for row in rows]
        if expected:
            assert imported(tmp_path, made, content)[: len(expected)] == expected
        elif content:
            with pytest.raises(TraceError, match=str(tmp_path)):
                imported(tmp_path, made, content)


#: A run of pages ends with the file; a request whose bounce is cut off is one that did not; text and hashes part elsewhere.
CANNOT_TELL = {"kpageflags", "blkparse", "umass"}


@pytest.mark.parametrize("name", sorted(set(NAMES) - CANNOT_TELL))
def test_a_file_cut_within_a_record_gives_no_row_of_its_own_making(name, tmp_path):
    made, rng = foreign(name, 3), np.random.default_rng(3)
    whole = made.head + b"".join(made.records)
    known = set(made.all_rows)
    for place in sorted({int(p) for p in rng.integers(1, len(whole), 12)}):
        try:
            rows = imported(tmp_path, made, whole[:place])
        except TraceError:
            continue
        assert set(rows) <= known, f"cut at {place} of {len(whole)}"


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_read_or_refused(name, tmp_path, data):
    made = foreign(name, data.draw(st.integers(0, 3)))
    content = bytearray(made.whole)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, min(len(content) - 1, max(len(made.head) * 2, 600))))
        if data.draw(st.booleans()):
            content[place] = data.draw(st.integers(0, 255))
        elif data.draw(st.booleans()):
            content[place:place] = data.draw(st.binary(max_size=8))
        else:
            del content[place : place + data.draw(st.integers(1, 9))]
    if not content:
        return
    with contextlib.suppress(TraceError):
        imported(tmp_path, made, bytes(content))


@pytest.mark.parametrize(
    ("name", "how"), [*product(["lackey", "elf", "raw", "lcs"], ["gz", "xz", "zst"]), ("damo", "zlib"), ("damo", "gz")]
)
def test_compressed_files_are_read_through(name, how, tmp_path):
    made = foreign(name)
    packed = zipped(made.whole, how)
    made.name = f"{made.name}.{how}"
    assert imported(tmp_path, made, packed) == made.all_rows
    try:
        rows = imported(tmp_path, made, packed[: len(packed) * 2 // 3])
    except TraceError:
        return
    assert rows == made.all_rows[: len(rows)] or name == "elf"
    metadata = TraceFile(tmp_path / f"out.{made.kind}.parquet").metadata
    assert metadata is not None
    assert metadata.provenance["rows_dropped"]


def test_a_joined_list_hides_no_bounce_of_another(tmp_path):
    lines = """\
              cp-1     [000] .....     1.000000: dma_map_sg: a dir=FROM_DEVICE nents=2/2 ents=1/1 dma_addrs={0xf000} sizes={0x2000} phys_addrs={0x3000,0x7000} attrs=
              cp-1     [000] .....     2.000000: dma_map_sg: b dir=FROM_DEVICE nents=2/2 ents=2/2 dma_addrs={0x1000,0x5000} sizes={0x1000,0x1000} phys_addrs={0x9000,0x5000} attrs=
              cp-1     [000] .....     2.000001: swiotlb_bounced: dev_name: b dma_mask=ffffffff dev_addr=9000 size=4096 NORMAL
"""  # noqa: E501
    (tmp_path / "x.txt").write_text(lines)
    import_files([tmp_path / "x.txt"], tmp_path / "x.io.parquet")
    found = pl.read_parquet(tmp_path / "x.io.parquet").with_columns(pl.col("device").cast(pl.String))
    assert found.select("device", "ppn", "bounced").rows() == [("a", 3, False), ("a", 7, False), ("b", 9, True), ("b", 5, False)]


def test_csv_by_a_column_map(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"when,page,vm,op\n1,7,a,1\n2,9,b,0\n2,7,a,0\n")
    out = tmp_path / "x.access.parquet"
    mapping = {"t": "when*1000", "ppn": "page", "write": "op"}
    import_files([tmp_path / "x.csv"], out, Options(mapping=mapping))
    frame = pl.read_parquet(out).with_columns(pl.col("vm").cast(pl.String))
    assert frame.select("t", "vm", "ppn", "write").rows() == [(0, "a", 7, True), (1000, "b", 9, False), (1000, "a", 7, False)]
    for damaged in (b"when,\xffpage,vm,op\n1,7,a,1\n", b"when,page,vm,op\n1,7,\xff\xfe,1\n", b"when,page,vm,op\n1,7\n"):
        (tmp_path / "x.csv").write_bytes(damaged)
        out.unlink(missing_ok=True)
        with pytest.raises(TraceError, match=r"x\.csv"):
            import_files([tmp_path / "x.csv"], out, Options(mapping=mapping))
        assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


RECORD = struct.Struct("<QxxIHB")


@pytest.mark.parametrize("cut", [0, 1, 16, 17, 35])
def test_binary_records_by_a_column_map(cut, tmp_path):
    told = [(10**12 + i, (7 + i % 3) * 4096, i % 2, i) for i in range(6)]
    raw = b"".join(RECORD.pack(*row) for row in told)
    (tmp_path / "x.bin").write_bytes(raw[: len(raw) - cut])
    options = Options("struct:<Q2xIHB", mapping={"t": "f1*1000", "ppn": "f2/4096", "write": "f3", "vm": "'a'"})
    done = import_files([tmp_path / "x.bin"], tmp_path / "x.access.parquet", options)
    whole = told[: (len(raw) - cut) // RECORD.size]
    assert pl.read_parquet(done.path).select("t", "ppn", "write").rows() == [
        ((t - 10**12) * 1000, address // 4096, write == 1) for t, address, write, _ in whole
    ]
    assert done.dropped == ({"incomplete last record": 1} if cut % RECORD.size else {})
    metadata = TraceFile(done.path).metadata
    assert metadata is not None
    assert metadata.provenance["rows_dropped"] == done.dropped


@given(st.text("<>=xbBQIfd019sp", max_size=12))
def test_any_layout_is_that_of_struct_or_refused(text):
    try:
        record = record_of(f"struct:{text}")
    except TraceError:
        return
    plain = text if text[:1] in "<>=" else "<" + text
    assert record.itemsize == struct.calcsize(plain)
    assert len([name for name in record.names or () if name[0] == "f"]) == len(struct.unpack(plain, bytes(record.itemsize)))


def test_perfs_own_record_is_not_guessed_at(tmp_path):
    (tmp_path / "perf.data").write_bytes(b"PERFILE2" + bytes(200))
    with pytest.raises(TraceError, match="perf script"):
        import_files([tmp_path / "perf.data"], tmp_path / "x.access.parquet")


# ------------------------------------------------------------------------------------------------ what tools really print

DATA = Path(__file__).parent / "data"
TRACES = Path(__file__).parent.parent / "traces"


def real(name: str, kind: str, tmp_path: Path) -> tuple[pl.DataFrame, dict[str, int]]:
    done = import_files([DATA / name], tmp_path / f"x.{kind}.parquet")
    return pl.read_parquet(done.path).with_columns(pl.col(pl.Categorical).cast(pl.String)), done.dropped


@pytest.mark.parametrize(
    ("name", "devices"), [("high", {"0000:00:02.0": "nvme0", "0000:00:01.1": "ata_piix"}), ("forced", {"0000:00:02.0": "nvme0"})]
)
def test_real_dma_equals_the_committed_capture(name, devices, tmp_path):
    """The capture was made of the whole file by another parser; its clock is the host's."""
    found, _ = real(f"ftrace-dma-{name}.txt", "io", tmp_path)
    truth = pl.read_parquet(TRACES / f"dma-{name}.io.parquet").with_columns(pl.col(pl.Categorical).cast(pl.String))
    first = {"high": 14493779024, "forced": 8682074207}[name]
    truth = truth.filter(pl.col("t") >= first).head(found.height)
    assert (truth["t"] - first).to_list() == found["t"].to_list()
    columns = ["ppn", "device", "to_device", "bytes", "dma_mask", "forced", "bounced"]
    assert found.with_columns(pl.col("device").replace(devices)).select(columns).equals(truth.select(columns))
    assert found["bounced"].any()


def test_real_dma_behind_an_iommu(tmp_path):
    """Lists that the IOMMU has joined: sizes follow from the pages, and the mapped addresses say nothing of bouncing."""
    found, dropped = real("ftrace-dma-iommu.txt", "io", tmp_path)
    told = re.findall(r"dma_map_sg.* sizes=\{(.*?)\} phys_addrs=\{(.*?)\}", (DATA / "ftrace-dma-iommu.txt").read_text())
    whole = [
        (sizes, pages.split(",")) for sizes, pages in told if sum(int(s, 16) for s in sizes.split(",")) == 4096 * len(pages.split(","))
    ]
    assert found["ppn"].to_list() == [int(page, 16) // 4096 for _, pages in whole for page in pages]
    assert set(found["bytes"]) == {4096}
    assert dropped["list of segments that an IOMMU has joined, of unknown sizes"] == len(told) - len(whole)
    assert not found["bounced"].any()
    metadata = TraceFile(tmp_path / "x.io.parquet").metadata
    assert metadata is not None
    assert "dma_masks" not in metadata.capabilities


def test_real_swiotlb(tmp_path):
    found, dropped = real("ftrace-swiotlb.txt", "io", tmp_path)
    told = re.findall(r"dev_addr=(\w+) size=(\d+)", (DATA / "ftrace-swiotlb.txt").read_text())
    assert found["bytes"].sum() == sum(int(size) for _, size in told)
    assert found["ppn"][0] == int(told[0][0], 16) // 4096
    assert dropped == {}
    assert found["to_device"].null_count() == found.height


def test_real_damon_and_damo(tmp_path):
    found, dropped = real("ftrace-damon.txt", "access", tmp_path)
    told = [tuple(map(int, line)) for line in re.findall(r"nr_regions=\d+ (\d+)-(\d+): (\d+) \d+", (DATA / "ftrace-damon.txt").read_text())]
    used = [(begin, end, hits) for begin, end, hits in told if hits]
    assert dropped == {"region in which no sample found an access": len(told) - len(used)}
    assert found.select("ppn", "count").rows() == [(page, hits) for a, b, hits in used for page in range(a // 4096, -(-b // 4096))]
    found, dropped = real("damo-record.data", "access", tmp_path)
    (record,) = json.loads(zlib.decompress((DATA / "damo-record.data").read_bytes()))
    rows, origin = [], None
    for snapshot in record["snapshots"]:
        for region in snapshot["regions"]:
            a, b = (int(region[name].replace(",", "")) for name in ("start", "end"))
            hits, t = region["nr_accesses"]["samples"], int(snapshot["start_time"])
            if hits:
                origin = t if origin is None else origin
                rows += [(t - origin, page, hits) for page in range(a // 4096, -(-b // 4096))]
    assert found.select("t", "ppn", "count").rows() == rows
    assert list(dropped) == ["region in which no sample found an access"]


def test_real_perf_lackey_and_qemu(tmp_path):
    found, dropped = real("perf-script-page-faults.txt", "access", tmp_path)
    lines = [line.split() for line in (DATA / "perf-script-page-faults.txt").read_text().splitlines()]
    times = [Decimal(line[2].rstrip(":")) for line in lines]
    assert found["t"].to_list() == [int((t - times[0]) * 10**9) for t in times]
    assert len(set(found["ppn"])) == len({int(line[4], 16) // 4096 for line in lines})
    assert dropped == {}
    found, dropped = real("lackey.txt", "access", tmp_path)
    told = re.findall(r"^([IMSL ]{2}) ?([0-9a-f]+),(\d+)$", (DATA / "lackey.txt").read_text(), re.MULTILINE)
    assert found["write"].to_list() == [op.strip() in "SM" for op, _, _ in told]
    assert found["fetch"].to_list() == [op.strip() == "I" for op, _, _ in told]
    assert dropped == {}
    found, dropped = real("qemu-nvme.log", "io", tmp_path)
    assert found["bytes"].sum() == sum(map(int, re.findall(r"map_addr addr \w+ len (\d+)", (DATA / "qemu-nvme.log").read_text())))
    assert found["to_device"].drop_nulls().to_list().count(True) == 1
    found, dropped = real("qemu-balloon.log", "event", tmp_path)
    assert found.select("what", "a").rows() == [("balloon", 28672)]
    assert dropped["page that leaves the balloon"] == 12


def test_real_blkparse_moves_the_bytes_that_its_own_summary_counts(tmp_path):
    found, dropped = real("blkparse.txt", "io", tmp_path)
    text = (DATA / "blkparse.txt").read_text()
    read, written = (int(n) * 1024 for n in re.search(r"Reads Queued: +\d+, +(\d+)KiB\s+Writes Queued: +\d+, +(\d+)KiB", text).groups())
    discarded = sum(int(n) * 512 for n in re.findall(r" Q +DS \d+ \+ (\d+)", text))  # which the summary counts as written
    assert found.filter(~pl.col("to_device"))["bytes"].sum() == read
    assert found.filter(pl.col("to_device"))["bytes"].sum() == written - discarded
    assert set(dropped) == {
        "record of no request (plug, unplug, message, flush)",
        "another action than Q and B on a request",
        "request that moves no data (discard, flush)",
    }


def test_real_ksm_and_reclamation(tmp_path):
    text = (DATA / "ftrace-ksm-vmscan.txt").read_text()
    found, dropped = real("ftrace-ksm-vmscan.txt", "event", tmp_path)
    told = re.findall(r" (ksm_\w+): (?:ksm )?(?:pfn|seq) (\d+)", text)
    assert found.select("what", "a").rows() == [(name, int(number)) for name, number in told]
    assert sum(dropped.values()) == len([line for line in text.splitlines() if line[0] != "#"]) - len(told)
    import_files([DATA / "ftrace-ksm-vmscan.txt"], tmp_path / "x.event.parquet", Options(format="vmscan"))
    found = pl.read_parquet(tmp_path / "x.event.parquet").with_columns(pl.col("what").cast(pl.String))
    told = re.findall(r" mm_vmscan_lru_isolate: .* nr_scanned=(\d+) .* nr_taken=(\d+)", text)
    assert found.filter(what="mm_vmscan_lru_isolate").select("a", "b").rows() == [(int(a), int(b)) for a, b in told]
    found, dropped = real("ksm-counters.txt", "event", tmp_path)
    counters = dict(found.select("what", "a").rows())
    assert (counters["pages_shared"], counters["pages_sharing"]) == (50, 974) and len(counters) == 23
    assert dropped == {"setting that is no number": 1}


# ------------------------------------------------------------------------------------------------ series, options, bounds


def test_later_snapshots_add_changed_pages_only(tmp_path):
    pages = [bytes([i]) * 4096 for i in range(5)]
    for moment, changed in enumerate(([], [1, 3], [3])):
        for page in changed:
            pages[page] = bytes([100 + moment, page]) * 2048
        (tmp_path / f"{moment}.raw").write_bytes(b"".join(pages))
    files = [tmp_path / f"{moment}.raw" for moment in range(3)]
    import_files(files, tmp_path / "x.content.parquet", Options(interval_ns=5, vm="vm"))
    assert pl.read_parquet(tmp_path / "x.content.parquet").select("t", "ppn").rows() == [
        *((0, i) for i in range(5)),
        (5, 1),
        (5, 3),
        (10, 3),
    ]
    key = b"my key"
    import_files(files, tmp_path / "x.content.parquet", Options(key=key))
    digests = pl.read_parquet(tmp_path / "x.content.parquet")["digest"].to_list()
    assert digests[0] == xxhash.xxh3_64_intdigest(bytes(4096), key_seed(key))
    metadata = TraceFile(tmp_path / "x.content.parquet").metadata
    assert metadata is not None
    assert metadata.keyed
    assert metadata.zero_digest == digests[0]


def test_a_flat_image_goes_on_at_4_gib(tmp_path):
    (tmp_path / "x.raw").write_bytes(b"".join(bytes([i + 1]) * 4096 for i in range(5)))
    import_files([tmp_path / "x.raw"], tmp_path / "x.content.parquet", Options(below_4g=3 * 4096))
    assert pl.read_parquet(tmp_path / "x.content.parquet")["ppn"].to_list() == [0, 1, 2, 1 << 20, (1 << 20) + 1]


def test_vmem_with_its_state_beside_it(tmp_path):
    made = foreign("vmware")
    (tmp_path / "x.vmem").write_bytes(b"".join(made.records))
    (tmp_path / "x.vmss").write_bytes(made.head[: -(2 + 6 + 8 + 16 + 2)] + b"\0\0")
    import_files([tmp_path / "x.vmem"], tmp_path / "x.content.parquet")
    assert pl.read_parquet(tmp_path / "x.content.parquet").select("ppn", "digest").rows() == made.all_rows


def test_disorder_is_refused_unless_sorted(tmp_path):
    lines = [f"12816637200306162{i},hm,0,Read,{i * 4096},10,1\n" for i in (5, 3, 9)]
    (tmp_path / "x.csv").write_text("".join(lines))
    out = tmp_path / "x.access.parquet"
    with pytest.raises(TraceError, match="out of order"):
        import_files([tmp_path / "x.csv"], out)
    assert not out.exists()
    import_files([tmp_path / "x.csv"], out, Options(sort=True))
    assert pl.read_parquet(out).select("t", "ppn").rows() == [(0, 1), (200, 0), (600, 2)]


def test_the_source_is_not_written_over(tmp_path):
    made = foreign("lackey")
    (tmp_path / "x.access.parquet").write_bytes(made.whole)
    with pytest.raises(TraceError, match="is read here"):
        import_files([tmp_path / "x.access.parquet"], tmp_path / "x.access.parquet")
    assert (tmp_path / "x.access.parquet").read_bytes() == made.whole


def test_memory_that_is_told_is_kept_to(tmp_path):
    made = foreign("perf-mem")
    (tmp_path / "x.txt").write_bytes(made.whole)
    largest = max(row[1] for row in made.all_rows)
    done = import_files([tmp_path / "x.txt"], tmp_path / "x.access.parquet", Options(memory=largest * 4096))
    assert done.dropped["page beyond the VM's memory"] == 1
    metadata = TraceFile(done.path).metadata
    assert metadata is not None
    assert metadata.vms[0].pages == largest
    (tmp_path / "y.txt").write_bytes(foreign("lackey").whole)
    with pytest.raises(TraceError, match="give a larger --memory"):
        import_files([tmp_path / "y.txt"], tmp_path / "y.access.parquet", Options(memory=4096))
    assert not (tmp_path / "y.access.parquet").exists()


def test_names_and_files_of_odd_sorts(tmp_path):
    """A name that is no UTF-8, a byte order mark, line ends of DOS; and what is no file at all."""
    odd = tmp_path / os.fsdecode(b"caf\xe9.txt")
    odd.write_bytes(b"\xef\xbb\xbf S 1fff0006e8,8\r\n S 1fff0006e8,8\r\n")
    done = import_files([odd], tmp_path / "x.access.parquet")
    assert (done.rows, done.dropped) == (2, {})
    metadata = TraceFile(done.path).metadata
    assert metadata is not None
    assert metadata.vms[0].name == "caf\ufffd"
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(TraceError, match="is no file"):
            import_files([path], tmp_path / "y.access.parquet", Options(format="lackey"))


def test_no_record_is_believed_to_be_of_any_length(tmp_path):
    (tmp_path / "x.txt").write_text(" S 1fff0006e8,8\n" * 3 + " S 1fff0006e8,99999999999999999999\n S 1fff0006e8,0\n")
    done = import_files([tmp_path / "x.txt"], tmp_path / "x.access.parquet", Options(format="lackey"))
    assert done.rows == 3
    assert sum(done.dropped.values()) == 2


def test_memory_does_not_grow_with_the_file(tmp_path):
    """A file three times as long takes no more memory, once buffers are full."""
    peaks = []
    for times in (30, 90):
        with open(tmp_path / "x.txt", "wb") as file:
            for _ in range(times):
                file.write(b" S 1fff0006e8,8\nI  0401b770,1\n" * 50_000)
        code = (
            "import re, sys; from tracekit.formats import importer, sink; sink.ROWS = 1 << 17; "
            "importer.import_files([sys.argv[1]], sys.argv[2]); "
            "print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "x.txt", tmp_path / "x.access.parquet"], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] + 50_000  # KiB; the longer file is of 130 MB and 9 M rows
