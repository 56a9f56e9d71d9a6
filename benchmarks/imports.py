"""Importing foreign traces: rows a second, from the file to the finished trace file, against other readers in the same run.

Peers only read the file into columns: polars' CSV reader (for the disk trace), NumPy (for binary records), and Python with a
regular expression a line, as one would write it (on a part of the file). Medians of three rounds. Fails below 1 M rows/s for
text and 5 M rows/s for binary records, on an idle machine. Usage: python benchmarks/imports.py [MILLIONS]
"""

import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from tracekit.formats.importer import import_files
from tracekit.formats.oracle import GENERAL

PART = 50_000


def lackey(rng: np.random.Generator, rows: int) -> bytes:
    address = (1 << 32) + rng.integers(0, 1 << 24, rows) * 16
    return b"".join(b"%s %x,8\n" % (b" S" if i % 3 else b"I ", a) for i, a in enumerate(address.tolist()))


def msr(rng: np.random.Generator, rows: int) -> bytes:
    offset = rng.integers(0, 1 << 28, rows) * 4096
    return b"".join(
        b"%d,hm,1,%s,%d,4096,113736\n" % (128166372003061629 + i, b"Read" if i % 3 else b"Write", o) for i, o in enumerate(offset.tolist())
    )


def swiotlb(rng: np.random.Generator, rows: int) -> bytes:
    line = b"    kworker/0:1H-44      [000] d..1.    %d.%06d: swiotlb_bounced: "
    line += b"dev_name: 0000:00:01.1 dma_mask=ffffffff dev_addr=%x size=4096 NORMAL\n"
    return b"".join(line % (i // 10**6, i % 10**6, p << 12) for i, p in enumerate(rng.integers(1 << 20, 1 << 21, rows).tolist()))


def oracle(rng: np.random.Generator, rows: int) -> bytes:
    made = np.zeros(rows, GENERAL)
    made["t"], made["object"] = np.arange(rows) // 10_000, rng.integers(0, rows // 10, rows)
    return made.tobytes()


LINES = {
    "lackey": re.compile(rb"(..) ([0-9a-f]+),(\d+)"),
    "msr": re.compile(rb"(\d+),(\w+),(\d+),(\w+),(\d+),(\d+),(\d+)"),
    "swiotlb": re.compile(
        rb"\s*(.+)-(\d+)\s+\[(\d+)\]\s+(\S+)\s+([\d.]+): swiotlb_bounced: dev_name: (\S+) dma_mask=(\w+) dev_addr=(\w+) size=(\d+) (\w+)"
    ),
}


def by_python(path: Path, pattern: re.Pattern[bytes]) -> int:
    with open(path, "rb") as file:
        return len([found.groups() for _, line in zip(range(PART), file) if (found := pattern.match(line))])


def main(millions: float) -> None:
    rng, rows, slow = np.random.default_rng(1), int(millions * 1e6), []
    makers: dict[str, tuple[str, Callable[[np.random.Generator, int], bytes]]] = {
        "lackey": ("x.txt", lackey), "msr": ("x.csv", msr), "swiotlb": ("y.txt", swiotlb), "oracleGeneral": ("x.oracleGeneral", oracle),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for name, (file, make) in makers.items():
            path, out = Path(folder) / file, Path(folder) / "out.parquet"
            path.write_bytes(make(rng, rows))
            peers: dict[str, Callable[[], int]] = {"tracekit": lambda path=path, out=out: import_files([path], out).rows}
            if name in LINES:
                peers["Python, re a line"] = lambda path=path, name=name: by_python(path, LINES[name])
            if name == "msr":
                peers["polars.read_csv"] = lambda path=path: pl.read_csv(path, has_header=False).height
            if name == "oracleGeneral":
                peers["numpy.fromfile"] = lambda path=path: int(len(np.unique(np.fromfile(path, GENERAL)["object"])) and rows)
            rates: dict[str, list[float]] = {peer: [] for peer in peers}
            peers["tracekit"]()
            for _ in range(3):
                for peer, read in peers.items():
                    began = time.perf_counter()
                    rates[peer].append(read() / 1e6 / (time.perf_counter() - began))
            ours = statistics.median(rates["tracekit"])
            for peer, found in rates.items():
                print(f"{name:14} {peer:18}{statistics.median(found):8.2f} M rows/s{ours / statistics.median(found):8.1f}×")
            if ours < (1 if name in LINES else 5):
                slow.append(name)
    sys.exit(f"too slow: {', '.join(slow)}" if slow else 0)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 5)
