"""Replacement against libCacheSim (PyPI: libcachesim) on the same accesses in the same run.

Figures in M accesses/s, medians of several rounds: libCacheSim over its own binary records; our kernel alone over chunks in
memory; *sparse*, the kernel and the numbering of 64-bit page ids before it; and a whole replay from Parquet, decoding and
all. Misses must be equal, or the run stops (LIRS: see its docstring). By default two traces are synthetic: Zipf's law, with
page numbers in random order and numbered by first touch, and a mix with a loop and a scan (mix.toml), by first touch.
Usage: python benchmarks/replacement.py [--rounds N] [--policies A,B] [FILE.access.parquet …]
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import libcachesim
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

import tracekit
from tracekit.formats.numbering import Numbering
from tracekit.run import Run
from tracekit.scenario import apply_settings, load_preset, variants
from tracekit.synth import synthesize
from tracekit.trace import open_trace
from tracekit.tracefile import BATCH_ROWS

TRACES = Path(__file__).parent.parent / "traces"
#: Makes page numbers 64-bit ids in no order.
SPREAD = np.uint64(0x9E3779B97F4A7C15)
POLICIES = {
    "lru": libcachesim.LRU,
    "fifo": libcachesim.FIFO,
    "clock": libcachesim.Clock,
    "sieve": libcachesim.Sieve,
    "s3fifo": libcachesim.S3FIFO,
    "s4lru": libcachesim.SLRU,
    "lfu": libcachesim.LFU,
    "2q": libcachesim.TwoQ,
    "arc": libcachesim.ARC,
    "lirs": libcachesim.LIRS,
    "optimal": libcachesim.Belady,
}
#: Policies that must be told to do as libCacheSim does, and those that cannot be: their misses differ a little.
VARIANT = {"s3fifo": "libcachesim"}
DIFFERS = {"lirs"}
NEVER = (1 << 63) - 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--policies", default=",".join(POLICIES))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = given.files
        if not files:
            zipf = synthesize("zipf", folder, accesses=10_000_000, pages=1 << 20)[0]
            mix = _by_first_touch(synthesize(Path(__file__).with_name("mix.toml"), folder)[0])
            files = [TRACES / "balloon-workload.access.parquet", zipf, _by_first_touch(zipf), mix]
        columns = "".join(f"{name:>12}" for name in ("libCacheSim", "kernel", "sparse", "replay", "kernel ÷", "sparse ÷", "replay ÷"))
        print(f"{'trace':18}{'policy':9}{'frames':>8}{columns}")
        for file in map(str, files):
            pages = pl.read_parquet(file, columns=["vm", "ppn"])
            records, frames = _oracle_general(pages, Path(folder)), pages.n_unique() // 10
            ids = pages["ppn"].to_numpy().astype(np.uint64) * SPREAD, pages["vm"].to_physical().to_numpy().astype(np.int32)
            for policy in given.policies.split(","):
                _compare(file, policy, records, frames, ids, given.rounds)


def _compare(file: str, policy: str, records: Path, frames: int, ids: tuple[np.ndarray, np.ndarray], rounds: int) -> None:
    rows = len(ids[0])
    peer_misses, peer = _timed(lambda: _libcachesim(policy, records, frames, rows), rounds)
    settings = [f"paging.module={policy}", f"paging.frames={frames}"]
    if policy in VARIANT:
        settings.append(f"paging.variant={VARIANT[policy]}")
    kernel = _timed(lambda: _kernel(file, settings), rounds)[0]
    sparse = kernel + _timed(lambda: _number(*ids), rounds)[1]
    found, replay = _timed(lambda: _misses(tracekit.replay(file, preset="paging", settings=settings)), rounds)
    if found != peer_misses and policy not in DIFFERS:
        sys.exit(f"{file} {policy}: {found} misses, libCacheSim has {peer_misses}")
    name = Path(file).name.partition(".")[0]
    speeds = [rows / seconds / 1e6 for seconds in (peer, kernel, sparse, replay)]
    figures = "".join(f"{speed:12.1f}" for speed in speeds) + "".join(f"{speed / speeds[0]:11.1f}×" for speed in speeds[1:])
    print(f"{name:18}{policy:9}{frames:8}{figures}", flush=True)


def _timed(run: Callable[[], float], rounds: int) -> tuple[float, float]:
    """The median of what ``run`` returns, and of the seconds it takes; the first round only warms up."""
    run()
    results, seconds = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        results.append(run())
        seconds.append(time.perf_counter() - began)
    return statistics.median(results), statistics.median(seconds)


def _libcachesim(policy: str, records: Path, frames: int, rows: int) -> int:
    reader = libcachesim.TraceReader(str(records), libcachesim.TraceType.ORACLE_GENERAL_TRACE)
    ratio, _ = POLICIES[policy](cache_size=frames).process_trace(reader)
    return round(ratio * rows)


def _kernel(file: str, settings: list[str]) -> float:
    """Seconds that the driver alone takes for all rows, decoded beforehand."""
    trace = open_trace(file)
    run = Run(trace, variants(apply_settings(load_preset("paging"), settings))[0])
    run.start()
    chunks = list(trace.chunks({"access": [name for _, name in run.columns]}))
    prepared = [(chunk.runs, run.arrays(chunk)) for chunk in chunks]
    began = time.perf_counter()
    for runs, columns in prepared:
        run.advance(runs, columns)
    return time.perf_counter() - began


def _number(ids: np.ndarray, vm: np.ndarray) -> int:
    """Number 64-bit ids by first touch, block by block; returns how many pages there are."""
    numbering = Numbering(int(vm.max()) + 1)
    for at in range(0, len(ids), BATCH_ROWS):
        numbering.number(ids[at : at + BATCH_ROWS], vm[at : at + BATCH_ROWS])
    return int(numbering.counts.sum())


def _by_first_touch(file: Path) -> Path:
    """The same trace of one VM with its pages numbered in the order of first touch."""
    table = pq.read_table(file)
    ppn = table["ppn"].to_numpy()
    numbers = Numbering(1).number(ppn.astype(np.uint64), np.zeros(len(ppn), np.int32))
    out = file.with_name(f"{file.name.partition('.')[0]}-by-touch.access.parquet")
    index = table.column_names.index("ppn")
    pq.write_table(table.set_column(index, table.schema.field(index), pa.array(numbers)), out)
    return out


def _misses(results: tracekit.Results) -> int:
    return results.faults.select((pl.col("cold") + pl.col("major")).sum()).collect().item()


def _oracle_general(pages: pl.DataFrame, folder: Path) -> Path:
    """The accesses as libCacheSim's records: time, object, size, number of the object's next access."""
    numbered = pages.with_row_index("i").with_columns(next=pl.col("i").cast(pl.Int64).shift(-1).over("vm", "ppn"))
    records = np.zeros(pages.height, [("time", "<u4"), ("obj", "<u8"), ("size", "<u4"), ("next", "<i8")])
    records["obj"] = numbered.select(pl.struct("vm", "ppn").rank("dense")).to_series().to_numpy()
    records["size"] = 1
    records["next"] = numbered["next"].fill_null(NEVER).to_numpy()
    path = folder / "records.oracleGeneral.bin"
    records.tofile(path)
    return path


if __name__ == "__main__":
    main()
