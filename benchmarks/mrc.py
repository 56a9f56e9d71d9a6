"""Whole miss-ratio curves against one LRU size of libCacheSim (PyPI: libcachesim), on the same accesses in the same run.

Seconds from Parquet, decoding and all, medians of several rounds; libCacheSim reads its own binary records. ÷ is
libCacheSim's time over ours: above 1 the whole curve takes less than its one size. The exact curve's misses at that size
must equal its, or the run stops. Usage: python benchmarks/mrc.py [FILE.access.parquet …]
"""

import sys
import tempfile
from pathlib import Path

import polars as pl
from replacement import TRACES, _libcachesim, _oracle_general, _timed

from tracekit.mrc import curves
from tracekit.synth import synthesize
from tracekit.trace import Trace, open_trace

ROUNDS = 5
CURVES = {
    "exact": {"method": "exact"},
    "shards 10 %": {"method": "shards"},
    "shards 8192": {"method": "shards", "size": 8192},
    "aet": {"method": "aet"},
}


def main(files: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if not files:
            files = [str(TRACES / f"{name}.access.parquet") for name in ("balloon-workload", "three-vms")]
            files.append(str(synthesize("zipf", folder, accesses=10_000_000, pages=1 << 20)[0]))
        print(f"{'trace':18}{'M rows':>7}{'LRU size':>9}{'libCacheSim':>12}  " + "".join(f"{name:>18}" for name in CURVES))
        for file in files:
            pages = pl.read_parquet(file, columns=["vm", "ppn"])
            _compare(open_trace(file), _oracle_general(pages, Path(folder)), pages.n_unique() // 10)


def _compare(trace: Trace, records: Path, frames: int) -> None:
    rows = trace.rows["access"]
    expected, peer = _timed(lambda: _libcachesim("lru", records, frames, rows), ROUNDS)
    line = f"{trace.name:18}{rows / 1e6:7.1f}{frames:9}{peer:10.2f} s  "
    for name, arguments in CURVES.items():
        ratio, seconds = _timed(lambda arguments=arguments: curves(trace, **arguments, sizes=[frames])["miss_ratio"][0], ROUNDS)
        if name == "exact" and round(ratio * rows) != expected:
            sys.exit(f"{trace.name}: {round(ratio * rows)} misses, libCacheSim has {expected}")
        line += f"{seconds:8.2f} s{peer / seconds:7.1f}×"
    print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
