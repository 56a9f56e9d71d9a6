"""A file server in the manner of dbench: clients, one CPU, one disk and a file cache that is as large as its region (Figure 2)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.kernel import entry
from tracekit.rng import below
from tracekit.synth.blocks.base import SECOND, Block, Rows, Site
from tracekit.synth.params import count, share, size_of_pages, timespan
from tracekit.units import PAGE_BYTES

#: Operations that are worked out at a time.
_PART = 1 << 16


@dataclass(frozen=True)
class FileServerParams:
    clients: int = count(40, "clients", low=1, high=10_000)
    files: int = size_of_pages(220 << 20, "size of all files together")
    file: int = size_of_pages(64 << 10, "size of a file; a client goes through it page by page, then takes another")
    writes: float = share(0.3, "share of the files that a client writes, page by page, instead of reading")
    cpu: int = timespan(100_000, "time on the CPU that an operation on a page takes")
    disk: int = timespan(1_000_000, "time at the disk to read or to write back a page")


class FileServer(Block):
    """Clients read and write files through a cache, the region; its size decides how many operations wait for the disk.

    An operation takes one page: ``cpu`` on the CPU and, if the page is not cached, ``disk`` at the disk as well; a dirty page
    that must leave takes the disk as long, though nobody waits for it. CPU and disk serve one at a time, in order of
    arrival, and a client asks for its next page when it has this one. So with many clients an operation takes
    max(cpu, disk × (misses + write-backs) / operations) in the long run. Any client may take any file: with files of their
    own, those whose files are cached would outrun the others and keep them so. Replacement is CLOCK; the cache starts full.
    An access lies where its operation gets the CPU; one that misses is a write, because the page takes other contents.
    """

    name = "file-server"
    Params = FileServerParams

    def __init__(self, params: Any, site: Site):
        super().__init__(params, site)
        files = params.files // PAGE_BYTES
        cached = site.draws("cached").permutation(files)[: site.pages]
        self._slot = np.full(files, -1, np.int32)
        self._slot[cached] = np.arange(len(cached))
        self._file = np.full(site.pages, -1, np.int32)
        self._file[: len(cached)] = cached
        self._marks = np.zeros((2, site.pages), np.bool_)  # referenced, dirty
        self._client = np.zeros((4, params.clients), np.int64)  # ready, next page, last page of the file, writing
        self._client[0] = site.begins
        self._client[2] = -1
        self._free = np.array([site.begins, site.begins, 0], np.int64)  # CPU from, disk from, hand of the clock
        self._rng = np.array([site.draws("file").key, 0], np.uint64)
        self._counts = np.zeros(2, np.int64)  # operations, misses

    @classmethod
    def check(cls, params: Any, pages: int) -> str:
        over = params.file > params.files
        return f"a file of {params.file} bytes exceeds all files, {params.files}: enlarge files" if over else ""

    @classmethod
    def rate(cls, params: Any, pages: int) -> float:
        return SECOND / params.cpu

    def rows(self, begins: int, ends: int) -> Rows | None:
        pieces = []
        while True:
            t, slot, write = np.empty(_PART, np.int64), np.empty(_PART, np.uint32), np.empty(_PART, np.bool_)
            with np.errstate(over="ignore"):
                made = _serve(
                    ends, self.params.cpu, self.params.disk, self.params.writes, self.params.file // PAGE_BYTES, self._client,
                    self._free, self._slot, self._file, self._marks, self._rng, self._counts, t, slot, write,
                )  # fmt: skip
            pieces.append((t[:made], slot[:made], write[:made]))
            if made < _PART:
                break
        t, slot, write = (np.concatenate(column) for column in zip(*pieces))
        return Rows(t, slot, write)

    def truth(self) -> dict[str, float]:
        operations, misses = map(int, self._counts)
        return {
            "operations": float(operations),
            "hits": float(operations - misses),
            "misses": float(misses),
            "throughput": operations * PAGE_BYTES * SECOND / max(self.site.ends - self.site.begins, 1),
        }


@entry
def _serve(ends, cpu, disk, writes, file_pages, client, free, slot_of, file_of, marks, rng, counts, t, slots, written):
    """Operations that get the CPU before ``ends``, as many as ``t`` holds; returns how many."""
    clients = client.shape[1]
    files = slot_of.size // file_pages
    for row in range(t.size):
        who = 0
        for i in range(1, clients):
            if client[0, i] < client[0, who]:
                who = i
        start = max(client[0, who], free[0])
        if start >= ends:
            return row
        if client[1, who] > client[2, who]:
            client[1, who] = below(rng, files) * file_pages
            client[2, who] = client[1, who] + file_pages - 1
            client[3, who] = below(rng, 1 << 30) < writes * (1 << 30)
        page = client[1, who]
        client[1, who] += 1
        slot, hit = slot_of[page], slot_of[page] >= 0
        done = start + cpu
        free[0] = done
        if not hit:
            slot = free[2]
            while marks[0, slot]:
                marks[0, slot] = False
                slot = slot + 1 if slot + 1 < file_of.size else 0
            free[2] = slot + 1 if slot + 1 < file_of.size else 0
            if file_of[slot] >= 0:
                slot_of[file_of[slot]] = -1
            done = max(done, free[1]) + disk
            free[1] = done + disk if marks[1, slot] else done
            marks[1, slot] = False
            slot_of[page], file_of[slot] = slot, page
            counts[1] += 1
        counts[0] += 1
        client[0, who] = done
        marks[0, slot] = True
        if client[3, who]:
            marks[1, slot] = True
        t[row], slots[row], written[row] = start, slot, client[3, who] or not hit
    return t.size
