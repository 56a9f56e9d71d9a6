"""Importing foreign traces: rows a second, from the file to the finished trace file, a row a family of formats.

Peers, in the same run, only read the file into columns: polars' CSV reader (for the disk trace), NumPy (for binary records), and
Python with a regular expression a line, as one would write it (on a part of the file). Medians of three rounds. Rows a second
of the processor (all threads) tell what an otherwise idle core does, however loaded the machine is. Fails where both are
below 1 M for text or 5 M for binary records; where several lines make one row, lines count. Usage: python benchmarks/imports.py
[MILLIONS [FORMAT …]]
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

from tracekit.formats.importer import Options, import_files
from tracekit.formats.oracle import GENERAL

PART = 50_000
_FTRACE = b"    kworker/0:1H-44      [000] d..1.    %d.%06d: "
_WRITES = (b"Read", b"Write", b"Read")


def _lines(line: bytes, *values: Callable[[int, int], object]) -> Callable[[np.ndarray], bytes]:
    """A maker of text: ``line`` filled in by functions of the line's number and of an address."""
    return lambda addresses: b"".join(line % tuple(value(i, a) for value in values) for i, a in enumerate(addresses.tolist()))


def _number(i: int, _: int) -> int:
    return i


def _address(_: int, address: int) -> int:
    return address


def _page(_: int, address: int) -> int:
    return address & ~4095


def _ppn(_: int, address: int) -> int:
    return address >> 12


_TIME = (lambda i, _: i // 10**6, lambda i, _: i % 10**6)


def _oracle(addresses: np.ndarray) -> bytes:
    made = np.zeros(len(addresses), GENERAL)
    made["t"], made["object"] = np.arange(len(addresses)) // 10_000, addresses >> 12
    return made.tobytes()


#: Of each format: the file's name, the kind of rows, and what makes the file of addresses.
MAKERS: dict[str, tuple[str, str, Callable[[np.ndarray], bytes]]] = {
    "lackey": ("x.txt", "access", _lines(b"%s %x,8\n", lambda i, _: b" S" if i % 3 else b"I ", lambda _, a: a + (1 << 32))),
    "drmemtrace": ("x.txt", "access", _lines(
        b"%12d           1: W0.T3256418 write        8 byte(s) @ 0x%016x by PC 0x00007fc205a61943\n", _number, _address)),
    "pinatrace": ("x.out", "access", _lines(b"0x7f1b5c113093: %s 0x%x\n", lambda i, _: b"RW"[i % 2 : i % 2 + 1], _address)),
    "din": ("x.din", "access", _lines(b"%d %x\n", lambda i, _: i % 3, _address)),
    "ewha": ("x.txt", "access", _lines(b"%s 0x%08X 4\n", lambda i, _: (b"readi", b"readd", b"write")[i % 3], _address)),
    "damon": ("x.txt", "access", _lines(
        _FTRACE + b"damon_aggregated: target_id=0 nr_regions=5 %d-%d: 3 1\n", *_TIME, _page, lambda _, a: (a & ~4095) + 8192)),
    "kvm-faults": ("x.txt", "access", _lines(
        _FTRACE + b"kvm_page_fault: vcpu 0 rip 0xffff address 0x%016x error_code 0x2\n", *_TIME, _address)),
    "dirty-ring": ("x.txt", "access", _lines(
        _FTRACE + b"kvm_dirty_ring_push: ring 0: dirty 0x1 reset 0x0 slot 0 offset 0x%x (used 5)\n", *_TIME, _ppn)),
    "perf-faults": ("x.txt", "access", _lines(
        b"      gcc   164     %d.%06d: page-faults: %16x [unknown] ffffffff9605dc80 rep_stos\n", *_TIME, _address)),
    "perf-mem": ("x.txt", "access", _lines(
        b"  stress  4242/4242 [003] %d.%06d: cpu/mem-loads,ldlat=30/P: 7f12abcd1234 5080144 |OP LOAD|LVL L3 miss|SNP None 7f00 %x\n",
        *_TIME, _address)),
    "msr": ("x.csv", "access", _lines(
        b"%d,hm,1,%s,%d,4096,113736\n", lambda i, _: 128166372003061629 + i, lambda i, _: _WRITES[i % 3], _page)),
    "spc": ("x.spc", "access", _lines(b"%d,%d,4096,w,%d.%06d\n", lambda i, _: i % 2, lambda _, a: a >> 12 << 3, *_TIME)),
    "dma": ("x.txt", "io", _lines(
        _FTRACE + b"dma_map_page: 0000:00:02.0 dir=TO_DEVICE dma_addr=%x size=4096 phys_addr=%x attrs=\n", *_TIME, _page, _page)),
    "dma lists": ("x.txt", "io", _lines(
        _FTRACE + b"dma_map_sg: 0000:00:02.0 dir=TO_DEVICE nents=2/2 ents=2/2 dma_addrs={0x%x,0x%x} sizes={0x1000,0x1000} "
        b"phys_addrs={0x%x,0x%x} attrs=\n", *_TIME, _page, _page, _page, _page)),
    "swiotlb": ("x.txt", "io", _lines(
        _FTRACE + b"swiotlb_bounced: dev_name: 0000:00:01.1 dma_mask=ffffffff dev_addr=%x size=4096 NORMAL\n", *_TIME, _page)),
    "blkparse": ("x.txt", "io", _lines(
        b"  8,1    3 %8d     %d.%09d   697  %s   W %d + 8 [cp]\n", _number, *_TIME, lambda i, _: b"QGDC"[i % 4 : i % 4 + 1],
        lambda _, a: a >> 12 << 3)),
    "qemu": ("x.log", "io", _lines(b"77@%d.%06d:pci_nvme_map_addr addr 0x%x len 4096\n", *_TIME, _page)),
    "hashes": ("x.txt", "content", _lines(b"%d\n", lambda _, a: a * 7919 + 10**15)),
    "ksm": ("x.txt", "event", _lines(
        _FTRACE + b"ksm_merge_with_ksm_page: ksm pfn %d rmap_item 000000006dbf5ff1 mm 0000000017d731a6 error 0\n", *_TIME, _ppn)),
    "vmscan": ("x.txt", "event", _lines(
        _FTRACE + b"mm_vmscan_lru_shrink_inactive: nid=0 nr_scanned=%d nr_reclaimed=1 nr_dirty=0 flags=RECLAIM_WB_FILE\n", *_TIME, _ppn)),
    "csv": ("x.csv", "access", lambda addresses: b"t,ppn,vm,write\n" + _lines(b"%d,%d,vm,1\n", _number, _ppn)(addresses)),
    "oracleGeneral": ("x.oracleGeneral", "access", _oracle),
}  # fmt: skip
BINARY = ("oracleGeneral",)
OPTIONS = {"csv": Options(mapping={"vm": "vm"})}
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


def main(millions: float, names: list[str]) -> None:
    rng, count, slow = np.random.default_rng(1), int(millions * 1e6), []
    addresses = rng.integers(0, 1 << 26, count) * 16
    with tempfile.TemporaryDirectory() as folder:
        for name in names or MAKERS:
            file, kind, make = MAKERS[name]
            path, out = Path(folder) / file, Path(folder) / f"out.{kind}.parquet"
            path.write_bytes(make(addresses))
            options = OPTIONS.get(name)
            peers: dict[str, Callable[[], int]] = {
                "tracekit": lambda path=path, out=out, options=options: max(import_files([path], out, options).rows, count)
            }
            if name in LINES:
                peers["Python, re a line"] = lambda path=path, name=name: by_python(path, LINES[name])
            if name == "msr":
                peers["polars.read_csv"] = lambda path=path: pl.read_csv(path, has_header=False).height
            if name == "oracleGeneral":
                peers["numpy.fromfile"] = lambda path=path: int(len(np.unique(np.fromfile(path, GENERAL)["object"])) and count)
            rates: dict[str, list[float]] = {peer: [] for peer in peers}
            worked: list[float] = []
            peers["tracekit"]()
            for _ in range(3):
                for peer, read in peers.items():
                    began, busy = time.perf_counter(), time.process_time()
                    found = read() / 1e6
                    rates[peer].append(found / (time.perf_counter() - began))
                    if peer == "tracekit":
                        worked.append(found / (time.process_time() - busy))
            ours = statistics.median(rates["tracekit"])
            for peer, times in rates.items():
                print(f"{name:14} {peer:18}{statistics.median(times):8.2f} M rows/s{ours / statistics.median(times):8.1f}×")
            print(f"{name:14} {'a processor second':18}{statistics.median(worked):8.2f} M rows")
            if max(ours, statistics.median(worked)) < (5 if name in BINARY else 1):
                slow.append(name)
    sys.exit(f"too slow: {', '.join(slow)}" if slow else 0)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 2, sys.argv[2:])
