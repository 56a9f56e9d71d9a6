"""Replaying a series of snapshots costs in proportion to changed pages: a million pages, of which 1 % change a snapshot.

Two VMs of half the pages; contents are drawn from half as many, a quarter are zero pages; a report at every snapshot;
everything equal is shared at once, or a scan runs beside it. The time of a later snapshot is what eleven take beyond the
first, a tenth each, decoding included. Fails where a later one takes more than 5 % of the first.
Usage: python benchmarks/snapshots.py [PAGES]
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import tracekit
from tracekit.metadata import Metadata, VmInfo
from tracekit.schema import ZERO_DIGEST
from tracekit.tracewriter import TraceWriter

SECOND = 10**9
LATER, CHANGED = 10, 0.01


def write(path: Path, pages: int, snapshots: int) -> Path:
    """A capture of so many snapshots, 5 s apart."""
    rng = np.random.default_rng(1)
    about = Metadata("content", "snapshots", (VmInfo("a", pages // 2), VmInfo("b", pages // 2)), ("content", "digest64"), synthetic=True)
    with TraceWriter(path, about, ["t", "seq", "vm", "ppn", "digest"]) as out:
        for k in range(snapshots):
            page = np.arange(pages) if k == 0 else np.sort(rng.choice(pages, int(CHANGED * pages), replace=False))
            digest = rng.integers(1, pages // 2, len(page)).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            digest[rng.random(len(page)) < 0.25] = ZERO_DIGEST
            vm = (page >= pages // 2).astype(np.int32)
            t, seq = np.full(len(page), 5 * k * SECOND), np.arange(len(page), dtype=np.uint64)
            out.write({"t": t, "seq": seq, "vm": (vm, ("a", "b")), "ppn": (page % (pages // 2)).astype(np.uint32), "digest": digest})
    return path


def seconds(trace: Path, module: str) -> float:
    """Best of three replays."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        tracekit.replay(trace, {"sharing": {"module": module}, "replay": {"report": "5s"}}, jobs=1)
        times.append(time.perf_counter() - began)
    return min(times)


def main(pages: int) -> None:
    slow = []
    with tempfile.TemporaryDirectory() as folder:
        one, series = (write(Path(folder) / f"{n}.content.parquet", pages, n) for n in (1, 1 + LATER))
        tiny = write(Path(folder) / "tiny.content.parquet", 100, 1)
        for module in ("share-everything", "esx"):
            still, first = seconds(tiny, module), seconds(one, module)
            later = (seconds(series, module) - first) / LATER
            print(f"{module:18}first {1e3 * (first - still):7.1f} ms   later {1e3 * later:6.1f} ms, {later / (first - still):.1%} of it")
            slow += [module] if later > 0.05 * (first - still) else []
    sys.exit(f"too slow: {', '.join(slow)}" if slow else 0)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
