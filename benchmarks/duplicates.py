"""Counting 50 M digests with multiplicities: tracekit against numpy and polars, in the same run.

numpy sorts only; polars' ``n_unique`` tells no multiplicities. Best of three rounds, one after the other, because other
work on the machine only ever adds. Digests: *drawn* with repetition from a sixth as many (8.2 M of 50 M differ);
*half*, of which half occur once and half twice or more; *distinct*; and those of a real capture's last snapshot, over
and over, each time salted anew but for zero pages. Fails below 4 × numpy or 1.2 × polars on the first.
Usage: python benchmarks/duplicates.py [MILLIONS]
"""

import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from tracekit.duplicates import count_values
from tracekit.schema import ZERO_DIGEST

CAPTURE = Path(__file__).parents[1] / "traces" / "six-vms.content.parquet"
WANTED = {"numpy sort": 4.0, "polars n_unique": 1.2}


def digests_of(kind: str, count: int) -> np.ndarray:
    """So many digests of one of the distributions above."""
    rng = np.random.default_rng(1)
    if kind == "drawn":
        contents = rng.integers(0, 1 << 63, int(count * 0.164), np.uint64)
        return contents[rng.integers(0, len(contents), count)]
    if kind == "half":
        contents = rng.integers(0, 1 << 63, count, np.uint64)
        contents[count // 2 :] = contents[rng.integers(0, count // 2, count - count // 2)]
        return rng.permutation(contents)
    if kind == "distinct":
        return rng.integers(0, 1 << 63, count, np.uint64)
    rows = pl.read_parquet(CAPTURE, columns=["vm", "ppn", "digest"])
    pages = rows.group_by("vm", "ppn").last()["digest"].to_numpy()
    salts = np.repeat(rng.integers(0, 1 << 63, -(-count // len(pages)), np.uint64), len(pages))
    repeated = np.tile(pages, len(salts) // len(pages))
    return np.where(repeated == np.uint64(ZERO_DIGEST), repeated, repeated ^ salts)[:count]


def measure(kind: str, count: int) -> dict[str, float]:
    """Seconds that each takes on so many digests."""
    digests = digests_of(kind, count)
    series = pl.Series(digests)
    methods = {
        "tracekit": lambda: len(count_values(digests)[0]),
        "polars n_unique": series.n_unique,
        "numpy sort": lambda: int(np.count_nonzero(np.diff(np.sort(digests)))) + 1,
    }
    seconds, found = dict.fromkeys(methods, float("inf")), set()
    for _ in range(3):
        for name, method in methods.items():
            began = time.perf_counter()
            found.add(method())
            seconds[name] = min(seconds[name], time.perf_counter() - began)
    assert len(found) == 1, f"they do not agree: {found}"
    ratios = "".join(f"{name:>18} {time:5.2f} s {time / seconds['tracekit']:5.1f}×" for name, time in seconds.items())
    print(f"{kind:9}{found.pop() / 1e6:6.1f} M differ{ratios}")
    return seconds


def main(millions: float) -> None:
    count_values(np.arange(100_000, dtype=np.uint64))
    measured = {kind: measure(kind, int(millions * 1e6)) for kind in ("drawn", "half", "distinct", "capture")}["drawn"]
    slow = [name for name, factor in WANTED.items() if measured[name] < factor * measured["tracekit"]]
    sys.exit(f"too slow against {', '.join(slow)}" if slow else 0)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 50)
