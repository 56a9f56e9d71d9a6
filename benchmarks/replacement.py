"""Replacement against libCacheSim (PyPI: libcachesim) on the same accesses in the same run.

Three figures each, in M accesses/s, medians of several rounds: libCacheSim over its own binary records; our kernel alone
over chunks in memory; and a whole replay from Parquet, decoding and all. Misses must be equal, or the run stops
(LIRS: see its docstring).
Usage: python benchmarks/replacement.py [FILE.access.parquet …]
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import libcachesim
import numpy as np
import polars as pl

import tracekit
from tracekit.run import Run
from tracekit.scenario import apply_settings, load_preset, variants
from tracekit.synth import synthesize
from tracekit.trace import open_trace

ROUNDS = 5
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


def main(files: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if not files:
            real = Path(__file__).parent.parent / "traces" / "balloon-workload.access.parquet"
            files = [str(real), str(synthesize("zipf", folder, accesses=10_000_000, pages=1 << 20)[0])]
        print(f"{'trace':18}{'policy':9}{'frames':>8}{'libCacheSim':>13}{'kernel':>9}{'replay':>9}{'kernel ÷':>10}{'replay ÷':>10}")
        for file in files:
            pages = pl.read_parquet(file, columns=["vm", "ppn"])
            records, frames = _oracle_general(pages, Path(folder)), pages.n_unique() // 10
            for policy in POLICIES:
                _compare(file, policy, records, frames, pages.height)


def _compare(file: str, policy: str, records: Path, frames: int, rows: int) -> None:
    peer_misses, peer = _timed(lambda: _libcachesim(policy, records, frames, rows))
    settings = [f"paging.module={policy}", f"paging.frames={frames}"]
    if policy in VARIANT:
        settings.append(f"paging.variant={VARIANT[policy]}")
    kernel = _timed(lambda: _kernel(file, settings))[0]
    found, replay = _timed(lambda: _misses(tracekit.replay(file, preset="paging", settings=settings)))
    if found != peer_misses and policy not in DIFFERS:
        sys.exit(f"{file} {policy}: {found} misses, libCacheSim has {peer_misses}")
    name = Path(file).name.partition(".")[0]
    peer, kernel, replay = (rows / seconds / 1e6 for seconds in (peer, kernel, replay))
    speeds = f"{peer:13.1f}{kernel:9.1f}{replay:9.1f}"
    print(f"{name:18}{policy:9}{frames:8}{speeds}{kernel / peer:9.1f}×{replay / peer:9.1f}×")


def _timed(run: Callable[[], float]) -> tuple[float, float]:
    """The median of what ``run`` returns, and of the seconds it takes; the first round only warms up."""
    run()
    results, seconds = [], []
    for _ in range(ROUNDS):
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
    main(sys.argv[1:])
