"""Counting 50 M digests, of which 8.2 M differ, with multiplicities: tracekit against numpy and polars, in the same run.

numpy sorts only; polars' ``n_unique`` tells no multiplicities. Medians of three rounds, one after the other. Fails below
4 × numpy or 1.2 × polars. Usage: python benchmarks/duplicates.py [MILLIONS]
"""

import statistics
import sys
import time

import numpy as np
import polars as pl

from tracekit.duplicates import count_values


def main(millions: float) -> None:
    rng = np.random.default_rng(1)
    contents = rng.integers(0, 1 << 63, int(millions * 164_000), np.uint64)
    digests = contents[rng.integers(0, len(contents), int(millions * 1e6))]
    series = pl.Series(digests)
    count_values(digests[:100_000])
    methods = {
        "tracekit": lambda: len(count_values(digests)[0]),
        "polars n_unique": series.n_unique,
        "numpy sort": lambda: int(np.count_nonzero(np.diff(np.sort(digests)))) + 1,
    }
    seconds, found = {name: [] for name in methods}, set()
    for _ in range(3):
        for name, method in methods.items():
            began = time.perf_counter()
            found.add(method())
            seconds[name].append(time.perf_counter() - began)
    assert len(found) == 1, f"they do not agree: {found}"
    ours = statistics.median(seconds["tracekit"])
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:18}{median:8.2f} s{median / ours:8.1f}×")
    wanted = {"numpy sort": 4.0, "polars n_unique": 1.2}
    slow = [name for name, factor in wanted.items() if statistics.median(seconds[name]) < factor * ours]
    sys.exit(f"too slow against {', '.join(slow)}" if slow else 0)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 50)
