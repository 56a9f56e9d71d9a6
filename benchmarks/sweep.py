"""A sweep on one core and on all of them, a process each, and a fleet's pages counted likewise, in the same run.

Synthetic captures (Zipf over pages, each VM its own) × paging variants, and captures of contents of which a third is drawn
from a pool that all VMs share. Seconds are wall time with everything: planning, starting processes, decoding, keeping cells.
On one core everything shares it, the threads that decode ahead too. × is how much faster the cores
together are. Estimates are those that ``--dry-run`` gives beforehand: by constants, then by what the first sweep took.
Fails where a second core makes less than 1.8 ×, unless it does not for a plain loop either: then the machine is not idle.
Usage: python benchmarks/sweep.py [MILLIONS]
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from tracekit.fleet.dedup import dedup
from tracekit.metadata import Metadata, VmInfo
from tracekit.pool.local import LocalPool
from tracekit.pool.memory import cores
from tracekit.results import open_results
from tracekit.sweep import prepare, run
from tracekit.sweep.cost import STARTING
from tracekit.sweep.plan import wall_seconds
from tracekit.tracewriter import TraceWriter

TRACES, VM_PAGES = 6, 1 << 16
SETTINGS = ["paging.module=clock,fifo,lru,random", "paging.frames=5000,10000,20000,30000"]
WANTED = 1.8


def write_accesses(folder: Path, number: int, rows: int) -> Path:
    """A capture of one VM: Zipf (α = 1) over its pages, a row a microsecond."""
    rng = np.random.default_rng(number)
    cumulated = np.cumsum(1 / np.arange(1, VM_PAGES + 1))
    ppn = rng.permutation(VM_PAGES)[np.searchsorted(cumulated, rng.random(rows) * cumulated[-1])].astype(np.uint32)
    path, about = (
        folder / f"v{number}.access.parquet",
        Metadata("access", f"v{number}", (VmInfo("vm", VM_PAGES),), ("access", "exact"), True),
    )
    columns = {"t": np.arange(rows) * 1000, "seq": np.arange(rows), "vm": np.repeat("vm", rows), "ppn": ppn}
    with TraceWriter(path, about, list(columns), "replay") as writer:
        writer.write(columns)
    return path


def write_contents(folder: Path, number: int, pages: int) -> Path:
    """A snapshot of eight VMs: an eighth zero, a third of a pool of all VMs, the others of no other page."""
    rng, rows = np.random.default_rng(100 + number), 8 * pages
    pool = np.random.default_rng(0).integers(1, 1 << 63, 4 * pages, np.uint64)
    digest, kind = rng.integers(1, 1 << 63, rows, np.uint64), rng.random(rows)
    digest[kind < 1 / 3] = pool[rng.integers(0, len(pool), int((kind < 1 / 3).sum()))]
    names = [f"vm{i}" for i in range(8)]
    about = Metadata("content", f"c{number}", tuple(VmInfo(name, pages) for name in names), ("content", "digest64"), True)
    digest[kind > 7 / 8] = about.zero_digest
    columns = {"t": np.zeros(rows, np.int64), "seq": np.arange(rows), "vm": np.repeat(names, pages)}
    columns |= {"ppn": np.tile(np.arange(pages, dtype=np.uint32), 8), "digest": digest}
    path = folder / f"c{number}.content.parquet"
    with TraceWriter(path, about, list(columns), "replay") as writer:
        writer.write(columns)
    return path


def looped(workers: int) -> float:
    """How much more as many processes as that do of a plain loop than one does: what the machine has to offer now."""
    seconds = []
    for count in (1, workers):
        began = time.perf_counter()
        loops = [subprocess.Popen([sys.executable, "-c", "for i in range(20_000_000): pass"]) for _ in range(count)]
        for loop in loops:
            loop.wait()
        seconds.append(time.perf_counter() - began)
    return workers * seconds[0] / seconds[1]


@contextmanager
def on(count: int) -> Iterator[None]:
    """This process and those that it starts on the first so many of its cores."""
    everyone = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(everyone)[:count])
    yield
    os.sched_setaffinity(0, everyone)


def swept(traces: list[Path], out: Path, workers: int) -> tuple[float, float, float]:
    """(seconds that a sweep takes on so many cores, seconds that it was expected to, processor seconds of its workers)."""
    began, worked = time.perf_counter(), sum(os.times()[2:4])
    with on(workers), closing(LocalPool(workers)) as pool:
        prepared = prepare(traces, preset="paging", settings=SETTINGS, out=out, pool=pool)
        expected = wall_seconds((bundle.seconds for bundle in prepared.plan.bundles), pool.workers) + STARTING
        assert not run(prepared, pool)
    return time.perf_counter() - began, expected, sum(os.times()[2:4]) - worked


def main(millions: float) -> None:
    everyone = cores()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        traces = [write_accesses(folder, number, int(millions * 1e6)) for number in range(TRACES)]
        swept(traces[:1], folder / "warm", 1)  # compiles
        offered = looped(everyone)
        one, _, worked = swept(traces, folder / "one", 1)
        all_of_them, expected, together = swept(traces, folder / "all", everyone)
        with closing(LocalPool(everyone)) as pool:  # of the same sweep with another seed
            prepared = prepare(traces, preset="paging", settings=[*SETTINGS, "replay.seed=1"], out=folder / "all", pool=pool)
            calibrated = wall_seconds((bundle.seconds for bundle in prepared.plan.bundles), pool.workers) + STARTING
        rows = open_results(folder / "one").runs.collect()["rows"].sum() / 1e6
        for workers, seconds, cpu in ((1, one, worked), (everyone, all_of_them, together)):
            speed = f"{rows / seconds:8.1f} M rows × variants/s{one / seconds:7.2f} ×"
            print(f"sweep, {workers} core(s){seconds:8.1f} s{cpu:8.1f} s of processors{speed}")
        print(f"expected by constants {expected:.1f} s, by finished cells {calibrated:.1f} s, took {all_of_them:.1f} s")
        contents = [write_contents(folder, number, 1 << 15) for number in range(8)]
        for workers in dict.fromkeys((1, everyone)):
            began = time.perf_counter()
            with on(workers), closing(LocalPool(workers)) as pool:
                tables = dedup(contents, pool=pool, folder=folder / f"counted{workers}", capacity=8 << 15)
            seconds = time.perf_counter() - began
            pages = int(tables["sharing"]["pages"][0])
            print(f"dedup, {workers} core(s){seconds:8.1f} s{pages / 1e6 / seconds:8.2f} M pages/s, placed and verified")
    offered = min(offered, looped(everyone))
    print(f"a plain loop, {everyone} core(s){offered:42.2f} ×")
    too_slow = everyone > 1 and one / all_of_them < WANTED and offered > 0.95 * everyone
    sys.exit(f"a second core makes it {one / all_of_them:.2f} × as fast" if too_slow else 0)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
