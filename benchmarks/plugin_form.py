"""What a policy costs for being a module: a stranger's CLOCK, four hooks in a file of its own, against the same written as one loop.

Both run over the same decoded chunks and keep the same books: resident and paged-out pages, and by VM accesses, first
touches, page-ins and page-outs. *bare* is the loop that counts misses and nothing else. M accesses/s of processor time,
medians of several rounds in turn; misses must be equal, or the run stops. The hooks are inlined by an option that is
private to numba (see ``tracekit.kernel``): if a new numba breaks it, this ratio tells.
Usage: python benchmarks/plugin_form.py [FILE.access.parquet …]
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from tracekit import registry
from tracekit.kernel import entry, jit
from tracekit.modules.reclamation.replacement import Pools, Replacement
from tracekit.run import Run
from tracekit.scenario import apply_settings, load_preset, variants
from tracekit.synth import synthesize
from tracekit.trace import open_trace

ROUNDS = 7
_NONE = np.uint32(0xFFFFFFFF)
_ACCESSES, _COLD, _MAJOR, _OUT, _RESIDENT, _SWAPPED = range(6)


class Ring(NamedTuple):
    page: np.ndarray  # uint32 by place
    place: np.ndarray  # uint32 by page
    used: np.ndarray  # uint8 by place
    book: np.ndarray  # int64: places taken, hand, a place just left or −1


class StrangersClock(Replacement):
    """CLOCK as a stranger might write it, for one pool and no removals."""

    name = "strangers-clock"

    def state(self, pools: Pools) -> Ring:
        places = int(pools.capacity[0])
        return Ring(np.zeros(places, np.uint32), np.zeros(pools.pages, np.uint32), np.zeros(places, np.uint8), np.array([0, 0, -1]))

    @staticmethod
    @jit
    def touch(s, pool, page):
        s.used[s.place[page]] = 1

    @staticmethod
    @jit
    def admit(s, pool, page):
        place = s.book[2]
        if place < 0:
            place = s.book[0]
            s.book[0] += 1
        s.book[2] = -1
        s.page[place] = page
        s.place[page] = place
        s.used[place] = 0

    @staticmethod
    @jit
    def victim(s, pool, page):
        hand = s.book[1]
        while s.used[hand]:
            s.used[hand] = 0
            hand += 1
            if hand == s.page.size:
                hand = 0
        s.book[2] = hand
        s.book[1] = hand + 1 if hand + 1 < s.page.size else 0
        return s.page[hand]


@entry
def one_loop(vm, page, state, swapped, owner, books, at_place, place, used, book):
    """The same by hand. ``state`` by page: its place + 1, or 0 if it is not resident; ``book`` as in Ring."""
    for i in range(page.size):
        x = page[i]
        books[vm[i], _ACCESSES] += 1
        if state[x]:
            used[place[x]] = 1
            continue
        if swapped[x] == 2:
            books[vm[i], _MAJOR] += 1
            books[vm[i], _SWAPPED] -= 1
        else:
            books[vm[i], _COLD] += 1
        swapped[x] = 1
        if book[0] < at_place.size:
            hand = book[0]
            book[0] += 1
        else:
            hand = book[1]
            while used[hand]:
                used[hand] = 0
                hand += 1
                if hand == at_place.size:
                    hand = 0
            book[1] = hand + 1 if hand + 1 < at_place.size else 0
            victim = at_place[hand]
            state[victim] = 0
            swapped[victim] = 2
            payer = owner[victim]
            books[payer, _RESIDENT] -= 1
            books[payer, _SWAPPED] += 1
            books[payer, _OUT] += 1
        state[x] = 1
        books[vm[i], _RESIDENT] += 1
        at_place[hand] = x
        place[x] = hand
        used[hand] = 0


@entry
def bare_loop(page, at_place, place, used, book):
    """Misses alone. ``place`` is a page's place + 1, or 0."""
    misses = 0
    for i in range(page.size):
        x = page[i]
        if place[x]:
            used[place[x] - np.uint32(1)] = 1
            continue
        misses += 1
        if book[0] < at_place.size:
            hand = book[0]
            book[0] += 1
        else:
            hand = book[1]
            while used[hand]:
                used[hand] = 0
                hand += 1
                if hand == at_place.size:
                    hand = 0
            book[1] = hand + 1 if hand + 1 < at_place.size else 0
            place[at_place[hand]] = 0
        at_place[hand] = x
        place[x] = hand + 1
        used[hand] = 0
    return misses


def main(files: list[str]) -> None:
    registry.register(StrangersClock)
    with tempfile.TemporaryDirectory() as folder:
        if not files:
            real = Path(__file__).parent.parent / "traces" / "balloon-workload.access.parquet"
            files = [str(real), str(synthesize("zipf", folder, accesses=10_000_000, pages=1 << 20)[0])]
        print(f"{'trace':18}{'frames':>8}{'module':>9}{'one loop':>10}{'bare':>8}{'module ÷ one loop':>19}{'module ÷ bare':>15}")
        for file in files:
            _compare(file, pl.read_parquet(file, columns=["vm", "ppn"]).n_unique() // 10)


def _compare(file: str, frames: int) -> None:
    trace = open_trace(file)
    settings = ["paging.module=strangers-clock", f"paging.frames={frames}"]
    variant = variants(apply_settings(load_preset("paging"), settings))[0]
    chunks = list(trace.chunks({"access": ["vm", "page", "write"]}))
    rows = [(chunk.columns["access"]["vm"], chunk.columns["access"]["page"]) for chunk in chunks]
    owner = np.repeat(np.arange(len(trace.vms), dtype=np.uint16), [vm.pages for vm in trace.vms])
    seconds: dict[str, list[float]] = {"module": [], "one loop": [], "bare": []}
    for _ in range(ROUNDS + 1):
        run = Run(trace, variant)
        run.start()
        prepared = [(chunk.runs, run.arrays(chunk)) for chunk in chunks]
        began = time.thread_time()
        for runs, columns in prepared:
            run.advance(runs, columns)
        seconds["module"].append(time.thread_time() - began)
        found = int((run.books.cold + run.books.major).sum())

        books = np.zeros((len(trace.vms), 6), np.int64)
        ring, state, swapped = _ring(frames, trace.pages), np.zeros(trace.pages, np.uint32), np.zeros(trace.pages, np.uint8)
        began = time.thread_time()
        for vm, page in rows:
            one_loop(vm, page, state, swapped, owner, books, *ring)
        seconds["one loop"].append(time.thread_time() - began)

        ring, misses = _ring(frames, trace.pages), 0
        began = time.thread_time()
        for _, page in rows:
            misses += bare_loop(page, *ring)
        seconds["bare"].append(time.thread_time() - began)
        if not found == int(books[:, [_COLD, _MAJOR]].sum()) == misses:
            sys.exit(f"{file}: {found} misses as a module, {books[:, [_COLD, _MAJOR]].sum()} in one loop, {misses} in the bare one")
    speed = {name: trace.rows["access"] / statistics.median(each[1:]) / 1e6 for name, each in seconds.items()}
    module = speed["module"]
    name = Path(file).name.partition(".")[0]
    print(
        f"{name:18}{frames:8}{module:9.1f}{speed['one loop']:10.1f}{speed['bare']:8.1f}"
        f"{module / speed['one loop']:18.2f}×{module / speed['bare']:14.2f}×"
    )


def _ring(frames: int, pages: int) -> Ring:
    """As arguments of the loops: page by place, place by page, bits, book."""
    return Ring(np.zeros(frames, np.uint32), np.zeros(pages, np.uint32), np.zeros(frames, np.uint8), np.zeros(3, np.int64))


if __name__ == "__main__":
    main(sys.argv[1:])
