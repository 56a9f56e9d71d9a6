"""What a capture's VMs hold at a moment, as a file of its own: (content, VM, how many pages), in order of content.

Contents are told by a mix of their digest, spread evenly over 64 bits, so that any even part of that range holds about as
much as any other: ``part_of`` reads the rows of one part, wherever it begins. Files are named by the digest of the trace
and the moment, and appear whole: what a killed process has spilled is not read again from the trace.
"""

import io
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from tracekit.duplicates import mixes, one_word
from tracekit.errors import TraceError
from tracekit.kernel import write_atomically
from tracekit.pool.mark import mark_of
from tracekit.pool.task import Advance
from tracekit.schema import KINDS
from tracekit.trace import Trace, open_trace

#: A row: what a page holds, the VM's number in its capture, and how many of its pages hold that.
ROW = np.dtype([("mix", np.uint64), ("vm", np.uint32), ("count", np.uint32)])


@dataclass(frozen=True)
class Capture:
    """A capture of contents: its files, VMs with their sizes, labels (os and security domain), and where its spill lies."""

    name: str
    paths: tuple[str, ...]
    vms: tuple[tuple[str, int, str, str], ...]
    key: str
    rows: int
    #: How its digests are made: only equal ways can be compared.
    way: tuple[object, ...]
    zero: int


def capture_of(paths: Sequence[object], until: int | None) -> Capture:
    """Open a capture's files of contents. Raises TraceError if it has none, or if equal digests do not mean equal pages."""
    trace = open_trace(*paths)  # pyright: ignore[reportArgumentType]
    if "content" not in trace.kinds:
        raise TraceError(f"{trace.name}: has {', '.join(trace.kinds)} only; pages are counted by their content ({KINDS['content'].prose})")
    if "digest64" not in trace.capabilities:
        raise TraceError(f"{trace.name}: its digests are of 32 bits, of which a fleet has too many alike by chance; capture 64 bits")
    ways = {(f.metadata.digest, f.metadata.keyed, f.metadata.zero_digest) for f, _ in trace.files if f.metadata and f.kind == "content"}
    vms = tuple((vm.name, vm.pages, vm.os, vm.domain) for vm in trace.vms if "content" in vm.kinds)
    key = xxhash.xxh3_128_hexdigest(f"{trace.digest} {until}".encode())
    way = (*sorted(ways, key=str), trace.digest_bits)
    return Capture(trace.name, tuple(map(str, paths)), vms, key, trace.rows["content"], way, trace.zero_digest)


def spill(report: Advance, capture: Capture, folder: str, mark: str, until: int | None) -> int:
    """Write a capture's spill into ``folder`` if it is not there. Returns its rows.

    Raises TraceError if that folder is not the one that bears ``mark``: all workers must reach it.
    """
    if mark_of(folder) != mark:
        raise TraceError(f"{folder}: a worker does not reach this folder, in which contents are counted; give one that all reach with -o")
    path = spill_path(folder, capture)
    if not path.exists():
        content = io.BytesIO()
        np.save(content, _rows(open_trace(*capture.paths), until, report))
        write_atomically(path, content.getbuffer())  # pyright: ignore[reportArgumentType]
    return len(np.load(path, mmap_mode="r"))


def spill_path(folder: str | Path, capture: Capture) -> Path:
    """Where a capture's spill lies."""
    return Path(folder) / f"{capture.key}.npy"


def _rows(trace: Trace, until: int | None, report: Advance) -> np.ndarray:
    told, digest = np.zeros(trace.pages, np.bool_), np.zeros(trace.pages, np.uint64)
    end, seen = None if until is None else trace.first_t + until, 0
    for chunk in trace.chunks({"content": ("page", "digest", "digest_hi")}):
        columns = chunk.columns["content"]
        rows = len(columns["page"]) if end is None else int(np.searchsorted(columns["t"], end, "right"))
        page = columns["page"][:rows]
        told[page], digest[page] = True, one_word(columns["digest"][:rows], columns["digest_hi"][:rows])
        seen += chunk.rows
        report(seen)
        if rows < len(columns["page"]):
            break
    having = [vm for vm in trace.vms if "content" in vm.kinds]
    owner = np.repeat(np.arange(len(having), dtype=np.uint32), [np.count_nonzero(told[vm.base : vm.base + vm.pages]) for vm in having])
    mix = mixes(digest[told])
    order = np.argsort(mix, kind="stable")  # VMs stay in order among equal contents
    mix, owner = mix[order], owner[order]
    first = np.flatnonzero(np.append(True, (mix[1:] != mix[:-1]) | (owner[1:] != owner[:-1]))) if len(mix) else np.empty(0, np.int64)
    made = np.empty(len(first), ROW)
    made["mix"], made["vm"], made["count"] = mix[first], owner[first], np.diff(np.append(first, len(mix)))
    return made


def part_of(path: Path, part: int, parts: int) -> np.ndarray:
    """The rows of part ``part`` of ``parts``, read from a spill."""
    rows = np.load(path, mmap_mode="r")
    first, end = (bisect_left(range(len(rows)), -(-(p << 64) // parts), key=lambda i: int(rows["mix"][i])) for p in (part, part + 1))
    return np.array(rows[first:end])
