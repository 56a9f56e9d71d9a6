"""Hashing the pages of a RAM file, mapped: tracekit against copying it, reading it, and a call of xxhash a page, in one run.

The file lies in /dev/shm, as a VM's memory backend does, and is in memory before the clock starts. memcpy copies into a
warm buffer; read-sum adds up its words. Medians of five rounds, one after the other, each with one thread and with all.
Fails below 1.2 × memcpy of as many threads. Usage: python benchmarks/hashing.py [MIB]
"""

import mmap
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xxhash

from tracekit.digest import page_digests
from tracekit.kernel import entry
from tracekit.units import PAGE_BYTES


@entry
def added(words):
    total = np.uint64(0)
    for word in words:
        total += word
    return total


def split(work, data, out, threads):
    """Run ``work(part of data, part of out)`` on as many threads."""
    edges = [len(data) * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda i: work(data[edges[i] : edges[i + 1]], out[edges[i] : edges[i + 1]]), range(threads)))


def main(mib: int) -> None:
    size, cores = mib << 20, len(os.sched_getaffinity(0))
    with tempfile.TemporaryFile(dir="/dev/shm") as file:
        rng = np.random.default_rng(1)
        for _ in range(mib):
            file.write(rng.integers(0, 1 << 63, 1 << 17, np.uint64).tobytes())
        file.flush()
        mapped = mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ)
        words = np.frombuffer(mapped, np.uint64)
        view, warm = memoryview(mapped), np.zeros(len(words), np.uint64)
        one = page_digests(view[: 1 << 20])
        assert one.tolist() == [xxhash.xxh3_64_intdigest(view[i : i + PAGE_BYTES]) for i in range(0, 1 << 20, PAGE_BYTES)]
        methods = {}
        for threads in dict.fromkeys((1, cores)):
            methods["memcpy", threads] = lambda n=threads: split(lambda a, b: np.copyto(b, a), words, warm, n)
            methods["read-sum", threads] = lambda n=threads: split(lambda a, _: added(a), words, warm, n)
            methods["tracekit", threads] = lambda n=threads: page_digests(view, threads=n)
        methods["xxhash a page", 1] = lambda: [xxhash.xxh3_64_intdigest(view[i : i + PAGE_BYTES]) for i in range(0, size, PAGE_BYTES)]
        seconds: dict[tuple[str, int], list[float]] = {name: [] for name in methods}
        for _ in range(5):
            for name, method in methods.items():
                began = time.perf_counter()
                method()
                seconds[name].append(time.perf_counter() - began)
    rate = {name: size / 1e9 / statistics.median(times) for name, times in seconds.items()}
    for name, threads in methods:
        print(f"{name:14}{threads:3} threads{rate[name, threads]:8.1f} GB/s{rate[name, threads] / rate['memcpy', threads]:7.2f} × memcpy")
    slow = [threads for name, threads in methods if name == "tracekit" and rate[name, threads] < 1.2 * rate["memcpy", threads]]
    sys.exit(f"too slow with {slow} threads" if slow else 0)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1024)
