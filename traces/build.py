"""Make the committed traces from the raw captures: ``python traces/build.py SOURCE_DIR``.

Rows are taken over as they are; what is added is the metadata: VM sizes, capabilities, provenance. Nothing else in
the project needs the raw captures.
"""

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import xxhash

from tracekit.metadata import Metadata, VmInfo, infer_capabilities, provenance
from tracekit.schema import KINDS
from tracekit.tracefile import TraceFile
from tracekit.tracewriter import TraceWriter

HERE = Path(__file__).parent
ROW_GROUP = 1 << 20
PAGES_OF_MIB = 256
QEMU = "QEMU 7.2 (TCG, one vCPU a VM)"
#: PPNs 0xA0 to 0xFF are no memory of the guest's, so the captures leave them out.
VGA_HOLE = "the VGA hole (PPN 0xA0 to 0xFF) is left out"
ACCESS_BLIND = [
    "device DMA and hardware page-table bits go unseen (5 of 12 080 changed pages went unseen as written)",
    "a row stands for at least one access in its bucket",
]
#: In which order the rows of one bucket come.
FIRST_TOUCH = "within a bucket loads and stores come in the order of the first, then fetches by page number"
BY_NUMBER = "within a bucket loads, then stores, then fetches come by page number: the true order is not known"
CONTENT_BLIND = [VGA_HOLE, "a page that changed and changed back between two snapshots goes unseen"]
IO_BLIND = ["only transfers that the guest's kernel maps through its DMA API are seen; a page mapped once and used often is one row"]


@dataclass(frozen=True)
class Capture:
    """A raw capture: VM sizes in MiB, and what is known about how it was made."""

    name: str
    kinds: tuple[str, ...]
    vms: dict[str, int]
    about: str
    os: str = "Debian, Linux 6.1"
    bucket_ms: int = 0
    order: str = ""
    marks: dict[str, str] = field(default_factory=dict)
    phases: tuple[tuple[float, str], ...] = ()  # when a phase begins, in seconds, and its name
    raw: str = ""  # where the raw files are called otherwise
    folder: str = ""
    method: tuple[str, list[str]] | None = None
    beside: tuple[tuple[str, str], ...] = ()  # (raw file, name here) taken over as they are


CAPTURES = (
    Capture(
        "six-vms",
        ("content",),
        dict.fromkeys(("nginx-a", "nginx-b", "postgres", "idle", "compile", "redis"), 192),
        "12 snapshots 5 s apart of six VMs (nginx twice, postgres, idle, compile, redis)",
    ),
    Capture("ten-clones", ("content",), {f"clone{i}": 128 for i in range(10)}, "4 snapshots of ten identical nginx VMs"),
    Capture(
        "three-vms",
        ("content", "access", "event"),
        {"nginx": 160, "redis": 160, "postgres": 192},
        "14 snapshots 5 s apart, and every load, store and fetch of the same VMs on the same clock",
        bucket_ms=100,
        order=FIRST_TOUCH,
        marks={vm: f"three-vms.{vm}-marks.tsv" for vm in ("nginx", "redis", "postgres")},
    ),
    Capture(
        "toucher-long",
        ("access", "event"),
        {"toucher-long": 320},
        "a program touches 64, 160, 240, 96 (write), 24 (read) and 200 MiB (write), 90 s each",
        bucket_ms=500,
        order=BY_NUMBER,
        marks={"toucher-long": "toucher-long.marks.tsv"},
    ),
    Capture(
        "balloon-workload",
        ("access",),
        {"balloon": 192},
        "a program touches 64 MiB (write) from 34 s on; the guest has a swap disk; nothing is ballooned",
        bucket_ms=100,
        order=FIRST_TOUCH,
        marks={"balloon": "balloon-workload.marks.tsv"},
    ),
    Capture(
        "dma-high",
        ("io", "event"),
        {"dma-high": 6 * 1024},
        "a VM of 5 GiB, of which 2 GiB lie above 4 GiB (its size here is its address space, PCI hole included), "
        "with an ATA disk and a network card of 32 bits and an NVMe disk of 64 bits",
        os="Debian, Linux 6.12",
        phases=((17.75, "read"), (19.25, "sqlite"), (23.25, "dbench"), (33.25, "fio"), (40.25, "net")),
    ),
    Capture(
        "dma-forced",
        ("io", "event"),
        {"dma-forced": 256},
        "a VM started with swiotlb=force, as a confidential VM would be: every transfer bounces",
        os="Debian, Linux 6.12",
        phases=((10.75, "read"), (12.75, "sqlite"), (16.0, "dbench"), (25.25, "fio"), (33.25, "after")),
    ),
    Capture(
        "ksm-three-vms",
        ("content",),
        {"postgres": 192, "redis": 160, "nginx": 160},  # in the order of their addresses, in which ksmd scanned them
        "RAM images of three-vms at its last snapshot, over which Linux 6.18 ran its KSM",
        raw="ksm/three-vms",
        folder="ksm",
        method=("each page of the images hashed (XXH3-64) where they lay in mergeable memory", ["one moment only"]),
        beside=(("ksm/three-vms.counters.json", "ksm-three-vms.counters.json"),),
    ),
)
METHODS = {
    "content": (
        "the VM is stopped, each page hashed (XXH3-64), the VM continued; after the first snapshot changed pages only",
        CONTENT_BLIND,
    ),
    "access": ("a TCG plugin marks each page that is loaded from, stored to or fetched from, by bucket of wall time", ACCESS_BLIND),
    "event": ("the TCG plugin's counts of executed instructions (a) and of loads and stores (b), by bucket", []),
    "marks": (
        "where phases begin, read off the transfers by hand to a quarter of a second, in the known order of the workload, as its "
        "own marks were lost: a is the phase's number",
        [],
    ),
    "io": ("the guest kernel's tracepoints dma:dma_map_*; bounced means that the mapped address is not the page's own", IO_BLIND),
}


def main(source: Path) -> None:
    """Write every trace, its marks, and the manifest of them all."""
    entries = [write_trace(source, capture, kind) for capture in CAPTURES for kind in capture.kinds]
    (HERE / "manifest.json").write_text(json.dumps(entries, indent=1) + "\n")
    for capture in CAPTURES:
        write_marks(source, capture)
        for raw, name in capture.beside:
            (HERE / capture.folder / name).write_text((source / raw).read_text())
    write_experiment(source)


def write_trace(source: Path, capture: Capture, kind: str) -> dict[str, Any]:
    """Write one trace file; returns its entry of the manifest."""
    raw = source / f"{capture.raw or capture.name}.{'io' if capture.phases else kind}.parquet"
    path = HERE / capture.folder / f"{capture.name}.{kind}.parquet"
    path.parent.mkdir(exist_ok=True)
    if kind == "event" and capture.phases:
        rows = len(capture.phases)
        columns = {"t": [round(begin * 1e9) for begin, _ in capture.phases], "seq": range(rows), "vm": list(capture.vms) * rows}
        columns |= {"what": ["mark"] * rows, "a": range(1, rows + 1), "b": [0] * rows}
        with TraceWriter(path, describe(raw, capture, "marks", list(columns)), list(columns)) as writer:
            writer.write({name: list(values) for name, values in columns.items()})
    else:
        parquet = pq.ParquetFile(raw)
        names = [name for name in KINDS[kind].names if name in parquet.schema_arrow.names]
        with TraceWriter(path, describe(raw, capture, kind, names), names) as writer:
            for batch in parquet.iter_batches(ROW_GROUP, columns=names):
                writer.write({name: batch.column(name) for name in names})
    written = TraceFile(path)
    return {
        "file": str(path.relative_to(HERE)),
        "capture": capture.name,
        "kind": kind,
        "origin": f"{QEMU}, {capture.os}: {capture.about}",
        "rows": written.rows,
        "span_ns": list(written.span()),
        "bytes": path.stat().st_size,
        "xxh3_64": digest_of(path),
    }


def describe(raw: Path, capture: Capture, kind: str, columns: list[str]) -> Metadata:
    method, blind = capture.method or METHODS[kind]
    if kind == "marks":
        capabilities, kind = {"event"}, "event"
    else:
        capabilities = infer_capabilities(kind, columns)
    return Metadata(
        kind=kind,
        capture=capture.name,
        vms=tuple(VmInfo(name, mib * PAGES_OF_MIB, os=capture.os) for name, mib in capture.vms.items()),
        capabilities=tuple(sorted(capabilities)),
        bucket_ns=capture.bucket_ms * 1_000_000 if kind in ("access", "event") else 0,
        devices=TraceFile(raw).names_of("device") if kind == "io" else (),
        provenance=provenance(
            {},
            origin=f"{QEMU}, {capture.os}: {capture.about}",
            method=method,
            blind_spots=[*blind, capture.order] if kind == "access" else blind,
            source={"file": raw.name, "xxh3_64": digest_of(raw)},
            rows_dropped={},
        ),
    )


def write_marks(source: Path, capture: Capture) -> None:
    """What the workload itself said about its phases, in order of time: t (ns), VM, mark."""
    marks = []
    for vm, name in capture.marks.items():
        for line in (source / name).read_text().splitlines():
            t, _, said = line.partition("\t")
            marks.append((int(t), vm, re.sub(r"^MARK [\d.]+ ", "", said)))
    marks += [(round(begin * 1e9), vm, f"{name} (inferred)") for begin, name in capture.phases for vm in capture.vms]
    if marks:
        lines = ["t\tvm\tmark", *("\t".join(map(str, mark)) for mark in sorted(marks))]
        (HERE / "marks").mkdir(exist_ok=True)
        (HERE / "marks" / f"{capture.name}.tsv").write_text("\n".join(lines) + "\n")


def write_experiment(source: Path) -> None:
    """The real ballooning experiment: the guest's own counters, about one row a second, beside the balloon's target."""
    log = [json.loads(line) for line in (source / "balloon.jsonl").read_text().splitlines()]
    told = [(row["time_ns"] - 10**9, row["target_mib"]) for row in log]  # a target is first looked at a second after it was set
    columns = ("MemFree: ", "Cached: ", "AnonPages: ", "pswpin ", "pswpout ")
    lines = ["t\ttarget_mib\tfree_kib\tcached_kib\tanonymous_kib\tswap_ins\tswap_outs"]
    for line in (source / "balloon-marks.tsv").read_text().splitlines():
        t, _, said = line.partition("\t")
        targets = [target for when, target in told if when <= int(t)]
        if said.startswith("STAT") and targets:
            counts = [re.search(rf"\b{name}(\d+)", said)[1] for name in columns]  # pyright: ignore[reportOptionalSubscript]
            lines.append("\t".join([t, str(targets[-1]), *counts]))
    (HERE / "experiments").mkdir(exist_ok=True)
    (HERE / "experiments" / "balloon.tsv").write_text("\n".join(lines) + "\n")


def digest_of(path: Path) -> str:
    return xxhash.xxh3_64_hexdigest(path.read_bytes())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python traces/build.py SOURCE_DIR")
    main(Path(sys.argv[1]))
