"""What a trace holds, as tables: kinds, VMs, the sharing at its end, devices, capabilities, notes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from tracekit.duplicates import by_vm, one_word
from tracekit.schema import CAPABILITIES, EVENTS
from tracekit.stream import NO_PAGE
from tracekit.trace import Trace
from tracekit.units import PAGE_BYTES

#: Columns that the tables are made of.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "access": ("vm", "page", "write"),
    "content": ("vm", "page", "digest", "digest_hi"),
    "io": ("vm", "page", "device", "bytes", "dma_mask", "forced", "bounced"),
    "event": ("vm", "what"),
}


def inspect_trace(trace: Trace) -> dict[str, pl.DataFrame]:
    """Read the whole trace once, in memory bounded by its pages. Raises TraceError where it is out of order or bounds.

    ``kinds``: kind, rows, first_t, last_t, span (ns), rate (rows/s).
    ``vms``: vm, pages, bytes, os, domain, kinds, accesses, touched (distinct pages; both null without
    access rows), writes (share of accesses; null where stores are not told from loads); the last row, ``*``, is the sum.
    ``sharing`` (where there is content): vm, pages, zero, distinct, shared, reclaimed once all is replayed, and the parts of
    reclaimed: zero, within a VM, between VMs; a VM is charged for a frame if it maps it first by page order; ``*`` is the
    host.
    ``digests`` (likewise): bits, distinct, expected collisions (pairs of different contents taken for equal), and how many
    contents there really are, with a 95 % interval.
    ``io`` (where there is I/O): vm, device, mask_bits, transfers, bytes, pages (distinct), forced_bytes, bounced_bytes
    (null where the capture does not tell), unknown (transfers whose page is not known).
    ``events`` (where there are events): vm, what, rows.
    ``capabilities``: capability, has, prose. ``notes``: note.
    """
    seen = _Seen(trace)
    for chunk in trace.chunks({kind: _COLUMNS[kind] for kind in trace.kinds}):
        for kind, columns in chunk.columns.items():
            getattr(seen, f"see_{kind}")(columns)
    tables = {"kinds": _kinds(trace, seen), "vms": _vms(trace, seen)}
    if "content" in trace.kinds:
        tables["sharing"] = sharing(trace, seen.digest, seen.told)
        bits, distinct = trace.digest_bits, int(tables["sharing"]["distinct"][-1])
        columns = {"bits": bits, "distinct": distinct, "expected collisions": expected_collisions(bits, distinct)}
        columns |= dict(zip(("contents", "contents low", "contents high"), corrected_distinct(bits, distinct), strict=True))
        tables["digests"] = pl.DataFrame({name: [value] for name, value in columns.items()})
    if "io" in trace.kinds:
        tables["io"] = _io(trace, seen)
    if "event" in trace.kinds:
        tables["events"] = _events(trace, seen)
    has = [name in trace.capabilities for name in CAPABILITIES]
    tables["capabilities"] = pl.DataFrame({"capability": list(CAPABILITIES), "has": has, "prose": list(CAPABILITIES.values())})
    tables["notes"] = pl.DataFrame({"note": trace.notes}, schema={"note": pl.String})
    return tables


def expected_collisions(bits: int, contents: float) -> float:
    """Pairs among so many different contents whose digests of ``bits`` are expected to be equal: N (N − 1) / 2^(bits + 1)."""
    return contents * (contents - 1) / 2 ** (bits + 1)


def corrected_distinct(bits: int, distinct: int) -> tuple[float, float, float]:
    """(estimate, low, high) of how many contents really differ, where ``distinct`` digests of ``bits`` bits do.

    D contents are expected to have M (1 − (1 − 1/M)^D) digests of M = 2^bits; the 95 % interval is that of the Poisson
    number of collisions. Reclaimed pages are pages less contents, so they are over-estimated by the same difference.
    """
    space = 2.0**bits
    estimate = math.log1p(-distinct / space) / math.log1p(-1 / space) if 0 < distinct < space else float(distinct)
    spread = 1.96 * math.sqrt(max(estimate - distinct, 0.0))
    return estimate, max(float(distinct), estimate - spread), estimate + spread


def sharing(trace: Trace, digest: np.ndarray, told: np.ndarray) -> pl.DataFrame:
    """Savings if every two equal pages were shared; ``digest`` and ``told`` (the trace has told it) are by page id."""
    owner = np.repeat(np.arange(len(trace.vms), dtype=np.uint16), [vm.pages for vm in trace.vms])
    counts = pl.DataFrame(by_vm(digest, told, owner, len(trace.vms), trace.zero_digest))
    saved = (pl.col("pages") - pl.col("distinct")).alias("reclaimed")
    counts = counts.insert_column(0, pl.Series("vm", [vm.name for vm in trace.vms], pl.String)).filter(pl.col("pages") > 0)
    total = counts.select(pl.lit("*").alias("vm"), pl.exclude("vm").sum())
    return pl.concat([counts, total]).select(
        "vm", "pages", "zero", "distinct", "shared", saved, pl.exclude("vm", "pages", "zero", "distinct", "shared")
    )


@dataclass
class _Device:
    seen: np.ndarray
    transfers: int = 0
    bytes: int = 0
    forced_bytes: int = 0
    bounced_bytes: int = 0
    unknown: int = 0


class _Seen:
    """What a pass over the trace has counted, in arrays by page id and by VM."""

    def __init__(self, trace: Trace):
        self._trace = trace
        self.touched = np.zeros(trace.pages if "access" in trace.kinds else 0, np.bool_)
        self.told = np.zeros(trace.pages if "content" in trace.kinds else 0, np.bool_)
        self.digest = np.zeros(len(self.told), np.uint64)
        self.accesses = np.zeros(len(trace.vms), np.int64)
        self.writes = np.zeros(len(trace.vms), np.int64)
        self.events = np.zeros((len(trace.vms), len(EVENTS) + 1), np.int64)
        self.devices: dict[tuple[int, int, int], _Device] = {}
        self.spans: dict[str, tuple[int, int]] = {}

    def _see_time(self, kind: str, columns: Mapping[str, np.ndarray]) -> None:
        first, last = int(columns["t"][0]), int(columns["t"][-1])
        self.spans[kind] = self.spans.get(kind, (first, last))[0], last

    def see_access(self, columns: Mapping[str, np.ndarray]) -> None:
        self._see_time("access", columns)
        vms = len(self.accesses)
        self.touched[columns["page"]] = True
        self.accesses += np.bincount(columns["vm"], minlength=vms)
        self.writes += np.bincount(columns["vm"][columns["write"]], minlength=vms)

    def see_content(self, columns: Mapping[str, np.ndarray]) -> None:
        self._see_time("content", columns)
        self.told[columns["page"]] = True
        self.digest[columns["page"]] = one_word(columns["digest"], columns["digest_hi"])

    def see_event(self, columns: Mapping[str, np.ndarray]) -> None:
        self._see_time("event", columns)
        np.add.at(self.events, (columns["vm"], columns["what"]), 1)  # code −1, not of EVENTS, is the last column

    def see_io(self, columns: Mapping[str, np.ndarray]) -> None:
        self._see_time("io", columns)
        key = np.empty(len(columns["vm"]), [("vm", np.int32), ("device", np.int32), ("mask", np.uint64)])
        key["vm"], key["device"], key["mask"] = columns["vm"], columns["device"], columns["dma_mask"]
        groups, which = np.unique(key, return_inverse=True)
        for i, (vm, device, mask) in enumerate(groups.tolist()):
            mine = which == i
            counted = self.devices.setdefault((vm, device, mask), _Device(np.zeros(self._trace.vms[vm].pages, np.bool_)))
            size, page = columns["bytes"][mine].astype(np.int64), columns["page"][mine]
            counted.transfers += len(page)
            counted.bytes += int(size.sum())
            counted.forced_bytes += int(size[columns["forced"][mine]].sum())
            counted.bounced_bytes += int(size[columns["bounced"][mine]].sum())
            counted.unknown += int(np.count_nonzero(page == NO_PAGE))
            counted.seen[page[page != NO_PAGE] - self._trace.vms[vm].base] = True


def _kinds(trace: Trace, seen: _Seen) -> pl.DataFrame:
    rows = []
    for kind in trace.kinds:
        first, last = seen.spans[kind]
        rate = trace.rows[kind] / (last - first) * 1e9 if last > first else None
        rows.append((kind, trace.rows[kind], first, last, last - first, rate))
    types = {"kind": pl.String, "rows": pl.Int64, "first_t": pl.Int64, "last_t": pl.Int64, "span": pl.Int64, "rate": pl.Float64}
    return pl.DataFrame(rows, schema=types, orient="row")


def _vms(trace: Trace, seen: _Seen) -> pl.DataFrame:
    tells_writes = pl.lit("writes" in trace.capabilities)
    rows = []
    for i, vm in enumerate(trace.vms):
        touched = int(np.count_nonzero(seen.touched[vm.base : vm.base + vm.pages]))
        kinds = " ".join(kind for kind in trace.kinds if kind in vm.kinds)
        rows.append((vm.name, vm.pages, vm.os, vm.domain, kinds, int(seen.accesses[i]), touched, int(seen.writes[i])))
    total = [sum(row[k] for row in rows) for k in (1, 5, 6, 7)]
    rows.append(("*", total[0], "", "", " ".join(trace.kinds), *total[1:]))
    types = {"vm": pl.String, "pages": pl.Int64, "os": pl.String, "domain": pl.String, "kinds": pl.String}
    frame = pl.DataFrame(rows, schema={**types, "accesses": pl.Int64, "touched": pl.Int64, "writes": pl.Int64}, orient="row")
    has_access = pl.col("kinds").str.contains("access")
    share = pl.when((pl.col("accesses") > 0) & tells_writes).then(pl.col("writes") / pl.col("accesses"))
    known = pl.when(has_access).then(pl.col("accesses", "touched"))
    return frame.with_columns(known, share.alias("writes")).insert_column(2, (frame["pages"] * PAGE_BYTES).alias("bytes"))


def _io(trace: Trace, seen: _Seen) -> pl.DataFrame:
    tells_bounced = all("bounced" in file.columns for file, _ in trace.files if file.kind == "io")
    rows = []
    for (vm, device, mask), counted in sorted(seen.devices.items()):
        bounced = counted.bounced_bytes if tells_bounced else None
        key = (trace.vms[vm].name, trace.devices[device], mask.bit_length())
        counts = (counted.transfers, counted.bytes, int(np.count_nonzero(counted.seen)), counted.forced_bytes, bounced, counted.unknown)
        rows.append(key + counts)
    names = ("mask_bits", "transfers", "bytes", "pages", "forced_bytes", "bounced_bytes", "unknown")
    return pl.DataFrame(rows, schema={"vm": pl.String, "device": pl.String, **dict.fromkeys(names, pl.Int64)}, orient="row")


def _events(trace: Trace, seen: _Seen) -> pl.DataFrame:
    names = (*EVENTS, "other")
    rows = [(trace.vms[i].name, names[k], int(seen.events[i, k])) for i, k in np.argwhere(seen.events).tolist()]
    return pl.DataFrame(rows, schema={"vm": pl.String, "what": pl.String, "rows": pl.Int64}, orient="row")
