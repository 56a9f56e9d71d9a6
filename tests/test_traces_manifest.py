"""The committed captures are what their manifest and README say."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xxhash

from tracekit.check import check_capture, check_file
from tracekit.inspect import inspect_trace
from tracekit.trace import open_trace
from tracekit.tracefile import TraceFile

TRACES = Path(__file__).parent.parent / "traces"
ENTRIES: list[dict[str, Any]] = json.loads((TRACES / "manifest.json").read_text())
MIB = 1 << 20


def capture(name: str) -> dict[str, pl.DataFrame]:
    return inspect_trace(open_trace(*(TRACES / entry["file"] for entry in ENTRIES if entry["capture"] == name)))


def test_the_manifest_names_every_file() -> None:
    assert sorted(entry["file"] for entry in ENTRIES) == sorted(str(path.relative_to(TRACES)) for path in TRACES.rglob("*.parquet"))


def test_the_captures_are_small() -> None:
    assert max(entry["bytes"] for entry in ENTRIES) <= 5_000_000
    assert sum(path.stat().st_size for path in TRACES.rglob("*") if path.is_file()) <= 25_000_000


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry["file"] for entry in ENTRIES])
def test_a_file_is_as_the_manifest_says(entry: dict[str, Any]) -> None:
    path = TRACES / entry["file"]
    file = TraceFile(path)
    assert file.metadata is not None
    found = {
        "capture": file.metadata.capture, "kind": file.kind, "origin": file.metadata.provenance["origin"], "rows": file.rows,
        "span_ns": list(file.span()), "bytes": path.stat().st_size, "xxh3_64": xxhash.xxh3_64_hexdigest(path.read_bytes()),
    }  # fmt: skip
    assert {"file": str(path.relative_to(TRACES))} | found == entry
    assert path.name == f"{file.metadata.capture}.{file.kind}.parquet"
    assert not file.metadata.synthetic
    assert file.metadata.provenance["rows_dropped"] == {}
    assert len(file.metadata.provenance["source"]["xxh3_64"]) == 16


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry["file"] for entry in ENTRIES])
def test_a_file_breaks_no_rule(entry: dict[str, Any]) -> None:
    assert check_file(TRACES / entry["file"]) == []


def test_captures_break_no_rule() -> None:
    assert check_capture(TRACES / entry["file"] for entry in ENTRIES) == []


@pytest.mark.parametrize(
    ("name", "pages", "shared", "reclaimed", "zero"),
    [
        ("six-vms", 294336, 201148, 187817, 115875),
        ("ten-clones", 326720, 276229, 260422, 99863),
        ("three-vms", 130784, 75288, 62711, 32501),
    ],
)
def test_sharing_at_the_last_snapshot_is_the_known_one(name: str, pages: int, shared: int, reclaimed: int, zero: int) -> None:
    host = capture(name)["sharing"].row(-1, named=True)
    assert (host["pages"], host["shared"], host["reclaimed"], host["zero"]) == (pages, shared, reclaimed, zero)


def test_bounced_bytes_are_the_known_ones() -> None:
    megabytes = {
        row["device"]: (round(row["bounced_bytes"] / 1e6, 1), round(row["bytes"] / 1e6, 1)) for row in capture("dma-high")["io"].to_dicts()
    }
    assert megabytes == {"ata_piix": (277.7, 303.6), "e1000": (13.6, 13.6), "nvme0": (0.0, 91.9)}
    forced = capture("dma-forced")["io"].row(0, named=True)
    assert round(forced["bytes"] / 1e6, 1) == 446.6
    assert forced["bytes"] == forced["bounced_bytes"] == forced["forced_bytes"]


def test_the_toucher_touches_what_it_says() -> None:
    path, marks = TRACES / "toucher-long.access.parquet", pl.read_csv(TRACES / "marks" / "toucher-long.tsv", separator="\t")
    assert TraceFile(path).rows == 35_899_275
    starts = marks.filter(pl.col("mark").str.contains(r"phase=\d"))["t"].to_list()
    ends = marks.filter(pl.col("mark").str.contains(r"phase-end=\d"))["t"].to_list()
    rows = pl.scan_parquet(path).select("t", "ppn")
    second = 10**9
    touched = [
        rows.filter(pl.col("t").is_between(start + second, end - second)).select(pl.col("ppn").n_unique()).collect().item() * 4096 / MIB
        for start, end in zip(starts, ends, strict=True)
    ]
    assert touched == pytest.approx([66.1, 162.3, 247.1, 102.9, 30.0, 206.3], abs=0.1)


@pytest.mark.parametrize("path", sorted((TRACES / "marks").glob("*.tsv")), ids=lambda path: path.stem)
def test_marks_lie_in_their_capture(path: Path) -> None:
    marks = pl.read_csv(path, separator="\t", schema={"t": pl.Int64, "vm": pl.String, "mark": pl.String})
    trace = open_trace(*(TRACES / entry["file"] for entry in ENTRIES if entry["capture"] == path.stem))
    assert marks["t"].is_sorted()
    assert set(marks["vm"]) <= {vm.name for vm in trace.vms}
    assert marks["t"].is_between(trace.first_t, trace.last_t + 10**9).all()
