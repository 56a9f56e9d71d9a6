"""I/O traces from guests' own records of DMA, on the clock of a content capture, or on their own."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from tracekit.capture.access import clock_origin
from tracekit.capture.guest_clock import GuestClock
from tracekit.capture.guest_record import GuestRecord, read_record
from tracekit.capture.marks import read_marks
from tracekit.capture.recording import capture_path
from tracekit.errors import CaptureError
from tracekit.formats import dma
from tracekit.formats.format import Columns, Tally
from tracekit.formats.source import Source
from tracekit.metadata import Metadata, VmInfo, provenance
from tracekit.tracefile import TraceFile
from tracekit.tracewriter import TraceWriter
from tracekit.transfers import split_pages

COLUMNS = ("t", "seq", "vm", "ppn", "device", "to_device", "bytes", "dma_mask", "forced", "bounced")
BLIND = (
    "only what the guest's kernel maps through its DMA API is seen; a page mapped once and used often is one row",
    "swiotlb_bounced alone (before Linux 6.12) tells no direction, and only transfers that bounced",
)
_MARK = "tracekit clock "


def write_io(
    records: Mapping[str, str | os.PathLike[str]],
    out: str | os.PathLike[str],
    beside: str | os.PathLike[str] | None = None,
    marks: str | os.PathLike[str] | None = None,
) -> tuple[Path, dict[str, int]]:
    """Write guests' records of DMA (text of guest_io.sh, by VM) as ``out.io.parquet``; returns it and what was dropped, by reason.

    With the content trace ``beside`` and the ``marks`` that the guests left while it was captured, rows are on its clock;
    without them t is 0 at the first transfer, for a single VM. Raises CaptureError if clocks or VMs do not fit.
    """
    content = TraceFile(beside) if beside else None
    if content is None and len(records) > 1:
        raise CaptureError("several VMs have a clock each; give --beside and --marks, which put them on one")
    known = {vm.name: vm for vm in content.vms} if content else {}
    heard = read_marks(marks) if marks else []
    dropped, parts, vms = dict[str, int](), [], []
    clocks = dict[str, GuestClock]()
    for number, (name, path) in enumerate(records.items()):
        record = read_record(path)
        if content:
            if name not in known:
                raise CaptureError(f"{path}: VM {name!r} is not in {content.path}, which has {', '.join(known)}; name it NAME=FILE")
            clocks[name] = _clock(path, record, [(t, said) for t, vm, said in heard if vm == name], _pauses(content, name))
        tally = Tally("io")
        tally.drop("event that the guest's kernel lost (its buffer was full)", record.lost)
        origin, pages = (clock_origin(content), known[name].pages) if content else (None, None)
        part = _columns(number, _transfers(path, record, tally), record, clocks.get(name), origin, pages, tally)
        vms.append(known.get(name) or VmInfo(name, int(part["ppn"].max()) + 1))
        parts.append(part)
        for reason, count in tally.dropped.items():
            dropped[f"{name}: {reason}"] = count
    return _write(capture_path(out, "io"), parts, vms, clocks, dropped, clock_origin(content) if content else 0), dropped


def _transfers(path: str | os.PathLike[str], record: GuestRecord, tally: Tally) -> Columns:
    """All transfers of a record, as the reader of ftrace's text tells them. Raises CaptureError if there is none."""
    batches = list[Columns]()
    with tempfile.TemporaryDirectory(prefix="tracekit-") as folder:
        text = Path(folder) / "text"
        with open(path, "rb") as file, open(text, "wb") as out:  # without the zeros that a disk ends in
            left = record.size
            while left and (block := file.read(min(left, 1 << 20))):
                out.write(block)
                left -= len(block)
        if record.size:
            batches = [batch for batch in dma.read(Source(text), tally) if len(batch["t"])]
    if not batches:
        raise CaptureError(f"{path}: tells of no DMA; expected ftrace's text of dma_map_* or swiotlb_bounced, as guest_io.sh writes it")
    names = dict[str, int]()
    for batch in batches:
        rows = len(batch["t"])
        codes, told = batch["device"]
        batch["device"] = np.array([*(names.setdefault(name, len(names)) for name in told), 0], np.int32)[codes]
        batch.setdefault("unknown", False)
        for name, value in batch.items():
            batch[name] = value if np.ndim(value) else np.full(rows, value)
    joined: Columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0] if name != "mapped"}
    return joined | {"names": list(names)}


def _clock(path: object, record: GuestRecord, heard: list[tuple[int, str]], pauses: list[tuple[int, int]]) -> GuestClock:
    numbered = {int(said.removeprefix(_MARK)): t for t, said in heard if said.startswith(_MARK) and said.removeprefix(_MARK).isdigit()}
    marks = [(t, record.clocks[number]) for number, t in numbered.items() if number in record.clocks]
    if not marks:
        said = f"{path}: none of its clock marks was heard on the host, so it cannot be put on the host's clock"
        raise CaptureError(f"{said}; run guest_io.sh with a serial port, and tracekit capture marks, and give --marks")
    return GuestClock(marks, pauses)


def _pauses(content: TraceFile, vm: str) -> list[tuple[int, int]]:
    """When the VM stood still for its snapshots, on the host's clock."""
    assert content.metadata is not None
    origin = clock_origin(content)
    return [(origin + t, ns) for t, ns in content.metadata.provenance.get("pauses_ns", {}).get(vm, ())]


def _columns(
    vm: int, told: Columns, record: GuestRecord, clock: GuestClock | None, origin: int | None, pages: int | None, tally: Tally
) -> Columns:
    """Rows of one VM, a page each, in order of time: t is 0 at ``origin`` (None: at the first)."""
    names = told.pop("names")
    order = np.argsort(told["t"], kind="stable")
    told = {name: values[order] for name, values in told.items()}
    t = told["t"].astype(np.int64)
    t = t if clock is None else clock.on_host(t)
    t -= t[0] if origin is None else origin
    first = int(np.searchsorted(t, 0))
    tally.drop("segment before the capture began", first)
    if first == len(t):
        raise CaptureError("no transfer came after the capture began")
    which, ppn, size = split_pages(told["address"][first:], told["size"][first:])
    which += first
    device = told["device"][which]
    masks = np.array([record.masks.get(name, (1 << 64) - 1) for name in names], np.uint64)
    columns: Columns = {name: told[name][which] for name in ("unknown", "to_device", "dma_mask", "bounced", "forced")}
    columns |= {"t": t[which], "vm": np.full(len(which), vm, np.int32), "ppn": ppn, "bytes": size}
    columns["dma_mask"] = np.minimum(columns["dma_mask"], masks[device])  # what no bounce tells, sysfs does
    columns["device"] = np.array([f"{record.drivers.get(name, '')} {name}".strip() for name in names], object)[device]
    if pages is not None:
        beyond = (ppn >= pages) & ~columns["unknown"]
        tally.drop("page beyond the VM's memory", int(beyond.sum()))
        columns = {name: values[~beyond] for name, values in columns.items()}
    return columns


def _write(out: Path, parts: list[Columns], vms: list[VmInfo], clocks: dict[str, GuestClock], dropped: dict[str, int], origin: int) -> Path:
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(rows["t"], kind="stable")
    rows = {name: values[order] for name, values in rows.items()}
    devices, device = np.unique(rows["device"].astype(str), return_inverse=True)
    path = out.with_name(f"{out.name}.io.parquet")
    about = Metadata(
        kind="io",
        capture=out.name,
        vms=tuple(vms),
        capabilities=("dma_masks", "io"),
        devices=tuple(devices.tolist()),
        provenance=provenance(
            {},
            method="the guest kernel's tracepoints dma:dma_map_* and swiotlb:swiotlb_bounced, recorded by guest_io.sh",
            clock={"name": "CLOCK_MONOTONIC", "origin_ns": origin} if clocks else {"name": "the guest's own"},
            clock_error_ns={name: clock.error_ns for name, clock in clocks.items()},
            blind_spots=list(BLIND),
            rows_dropped=dropped,
        ),
    )
    with TraceWriter(path, about, COLUMNS) as writer:
        writer.write({
            "t": rows["t"], "seq": np.arange(len(order), dtype=np.uint64), "vm": (rows["vm"], [vm.name for vm in vms]),
            "ppn": pa.array(np.where(rows["unknown"], 0, rows["ppn"]).astype(np.uint32), mask=rows["unknown"]),
            "device": (device.astype(np.int32), devices.tolist()),
            "to_device": pa.array(rows["to_device"] > 0, mask=rows["to_device"] < 0), "bytes": rows["bytes"].astype(np.uint32),
            "dma_mask": rows["dma_mask"], "forced": rows["forced"], "bounced": rows["bounced"],
        })  # fmt: skip
    return path
