"""The file server of Figure 2 against a slow twin, and what it says of the figure."""

import numpy as np
import polars as pl
import pytest

from tracekit.synth import synthesize
from tracekit.synth.blocks.base import Site
from tracekit.synth.blocks.file_server import FileServer, FileServerParams
from tracekit.synth.draws import Draws

MS = 1_000_000


def serve(params: FileServerParams, pages: int, ends: int, draws) -> list[tuple[int, int, bool, bool]]:
    """(t, page of the cache, written, hit) of each operation, in plain Python."""
    files = params.files // 4096
    cached = [int(page) for page in draws("cached").permutation(files)[:pages]]
    cache = cached + [-1] * (pages - len(cached))
    used, dirty = [False] * pages, [False] * pages
    words = iter(draws("file").bits(1_000_000).tolist())
    below = lambda n: (next(words) >> 11) * n >> 53  # noqa: E731
    ready = [0] * params.clients
    left: list[list[int]] = [[] for _ in ready]
    writing = [False] * params.clients
    cpu = disk = hand = 0
    done = []
    while True:
        who = min(range(params.clients), key=lambda i: (ready[i], i))
        start = max(ready[who], cpu)
        if start >= ends:
            return done
        if not left[who]:
            size = params.file // 4096
            first = below(files // size) * size
            left[who] = list(range(first, first + size))
            writing[who] = below(1 << 30) < params.writes * (1 << 30)
        page = left[who].pop(0)
        cpu = ready[who] = start + params.cpu
        hit = page in cache
        if not hit:
            while used[hand]:
                used[hand] = False
                hand = (hand + 1) % pages
            slot, hand = hand, (hand + 1) % pages
            ready[who] = max(cpu, disk) + params.disk
            disk = ready[who] + (params.disk if dirty[slot] else 0)
            cache[slot], dirty[slot] = page, False
        slot = cache.index(page)
        used[slot] = True
        dirty[slot] |= writing[who]
        done.append((start, slot, writing[who] or not hit, hit))


@pytest.mark.parametrize(("pages", "clients", "writes"), [(40, 4, 0.5), (64, 1, 0.0), (100, 7, 1.0), (7, 3, 0.3)])
def test_equals_its_twin(pages, clients, writes):
    params = FileServerParams(clients=clients, files=64 * 4096, file=4 * 4096, writes=writes, cpu=3 * MS, disk=7 * MS)
    ends = 3000 * MS
    draws = lambda purpose: Draws("twin", purpose)  # noqa: E731
    block = FileServer(params, Site(pages, 0, ends, lambda index: index, draws))
    parts = [block.rows(t, t + 500 * MS) for t in range(0, ends, 500 * MS)]
    found = [np.concatenate([getattr(part, name) for part in parts]).tolist() for name in ("t", "index", "write")]
    expected = serve(params, pages, ends, draws)
    assert list(zip(*found)) == [row[:3] for row in expected]
    truth, hits = block.truth(), sum(row[3] for row in expected)
    assert (truth["operations"], truth["hits"], truth["misses"]) == (len(expected), hits, len(expected) - hits)


def throughput(tmp_path, **params) -> float:
    truth = pl.read_parquet(synthesize("dbench", tmp_path, 7, duration="100s", **params)[-1])
    return truth.filter(pl.col("quantity") == "throughput")["value"].item()


def test_throughput_grows_with_memory_and_a_balloon_costs_what_the_kernel_keeps(tmp_path):
    """At half the paper's sizes, with what the kernel keeps exaggerated so that it stands out of the noise."""
    size = {"kernel": "1MiB", "program": "48KiB", "files": "110MiB", "per_page": 512, "clients": 10}
    by_memory = [throughput(tmp_path, memory=f"{mib}MiB", **size) for mib in (64, 96, 128)]
    assert by_memory == sorted(by_memory) and by_memory[2] > 2 * by_memory[0]
    assert by_memory[2] == pytest.approx(4096 / 100e-6, rel=0.01)  # all files fit: an operation takes the CPU's time
    ballooned = throughput(tmp_path, memory="128MiB", ballooned="64MiB", **size)
    assert 0.6 * by_memory[0] < ballooned < 0.97 * by_memory[0]
