"""A compressed pool before the other tiers, as Linux's zswap (kernel documentation admin-guide/mm/zswap).

The pool takes frames from the host as it grows, so that guest pages have fewer. A page of zeros takes none. A page that
does not compress goes to the next tier. So does one that finds the pool at its limit, which also makes the pool write its
oldest pages back to the next tier until it is below the accept threshold; the kernel's worker does that soon, here it is
done at once.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit import rng
from tracekit.host import NONE
from tracekit.kernel import jit
from tracekit.module import Duration, Site, Size, param
from tracekit.modules.machine.frames import hold, let_go
from tracekit.modules.reclamation.queues import Queues, drop, oldest, push, queues
from tracekit.modules.reclamation.replacement import Pools
from tracekit.modules.reclamation.swap import (
    COMPRESSED,
    LOADS,
    ZERO,
    Remote,
    Swap,
    Tiers,
    count_store,
    put,
    send_on,
    take_back,
)
from tracekit.modules.reclamation.zsmalloc import SMALLEST, Classes, frames_of, growth, size_classes
from tracekit.units import PAGE_BYTES

#: What is counted by VM of the pool.
BYTES, INCOMPRESSIBLE, INCOMPRESSIBLE_WAITS, FULL, WRITTEN_BACK, UNKNOWN = range(6)
#: Instead of a compressed size: the page is all zeros.
ZEROS = np.uint16(0xFFFF)


class Pool(NamedTuple):
    """The compressed pool."""

    tiers: Tiers
    classes: Classes
    size: np.ndarray  # uint16 by page: bytes of its content compressed, ZEROS, or 0 where the trace has not told the content
    kept: np.ndarray  # uint16 by page in the pool: bytes that it was compressed to
    age: Queues  # of the pages in the pool
    tally: np.ndarray  # int64 (vm, 6 counts)
    limit: np.ndarray  # int64: frames of the pool at most, at which it accepts pages again; bytes of a page at most
    zero: np.ndarray  # uint64: digest of the zero page
    keys: np.ndarray  # uint64: random streams of sizes by digest, and by page
    spread: np.ndarray  # float64: part of the contents that are incompressible; bytes of the largest other one


@jit
def drawn(s, key, what):
    """The stated distribution's size for a content: some do not compress, the others have sizes uniform up to the largest."""
    u = np.float64(rng.mixed(s.keys[key], np.uint64(what)) >> np.uint64(11)) * (1.0 / 9007199254740992.0)
    if u < s.spread[0]:
        return np.uint16(PAGE_BYTES)
    return np.uint16(SMALLEST + (u - s.spread[0]) / (1.0 - s.spread[0]) * (s.spread[1] + 1.0 - SMALLEST))


@jit
def keep(s, h, vm, page, incoming):
    """Put a page into the pool, if it compresses and there is room. Returns whether it was."""
    size = s.size[page]
    if size == 0:
        size = drawn(s, 1, page)
    if size > s.limit[2]:
        s.tally[vm, INCOMPRESSIBLE] += 1
        if incoming != NONE:
            s.tally[h.page_vm[incoming], INCOMPRESSIBLE_WAITS] += 1
        return False
    which = s.classes.of[size]
    more = growth(s.classes, which)
    if h.held[0] + more > min(s.limit[0], h.frames[0] - h.overhead[0] - 1) or more > h.free[0]:
        s.tally[vm, FULL] += 1
        while h.held[0] > s.limit[1]:
            write_back(s, h)
        return False
    if more:
        hold(h)
    s.classes.objects[which] += 1
    s.kept[page] = size
    s.tally[vm, BYTES] += size
    if s.size[page] == 0:
        s.tally[vm, UNKNOWN] += 1
    push(s.age, 0, 0, page)
    put(s.tiers, vm, page, COMPRESSED)
    return True


@jit
def write_back(s, h):
    """Write the page that has been in the pool longest back to the next tier. The pool must not be empty."""
    page = oldest(s.age, 0, 0)
    vm = h.page_vm[page]
    let_out(s, h, vm, page)
    s.tally[vm, WRITTEN_BACK] += 1
    send_on(s.tiers, vm, page)


@jit
def let_out(s, h, vm, page):
    """Take a page out of its tier; out of the pool, with the frame that it alone needed."""
    if s.tiers.tier[page] == COMPRESSED:
        drop(s.age, 0, page)
        s.tally[vm, BYTES] -= s.kept[page]
        which = s.classes.of[s.kept[page]]
        s.classes.objects[which] -= 1
        if growth(s.classes, which):
            let_go(h)
    take_back(s.tiers, vm, page)


class Zswap(Swap):
    """A compressed pool; then remote memory, if there is any; then disk.

    Sizes are the content rows' ``compressed``; where the capture has none, each content has a size drawn by its digest
    from a stated distribution, and a page whose content the trace has not told one drawn by its number.
    """

    name = "zswap"

    @dataclass(frozen=True)
    class Params(Remote.Params):
        remote: Size = param(Size(0), "remote memory behind the pool", "byte", low=0, high=1 << 50)
        pool: float = param(20.0, "part of memory that the pool may take (max_pool_percent)", "%", low=0.0, high=90.0)
        accept: float = param(90.0, "part of that down to which a full pool is written back (accept_threshold_percent)", "%", 0.0, 100.0)
        largest: int = param(
            4095,
            "largest compressed size that is kept (4095: Linux; 2990: Lagar-Cavilla et al. 2019)",
            "byte",
            low=SMALLEST,
            high=PAGE_BYTES,
        )
        chain: int = param(8, "most frames of a zspage (ZSMALLOC_CHAIN_SIZE)", "page", low=1, high=16)
        incompressible: float = param(0.3, "drawn sizes: part of the contents that do not compress", low=0.0, high=1.0)
        mean: int = param(
            1365, "drawn sizes: mean of the other contents, uniform around it; 1365 is a third of a page", "byte", low=SMALLEST, high=2048
        )
        compress: Duration = param(Duration(12_000), "compressing a page, where a fault has to wait for it", "ns", low=0)
        decompress: Duration = param(Duration(6_000), "decompressing a page (6 µs: Lagar-Cavilla et al. 2019)", "ns", low=0)

    def state(self, site: Site) -> Pool:
        p, pages, vms = self.params, len(site.host.flags), len(site.host.vm)
        self._limit = int(min(site.usable * p.pool / 100, site.frames - 1))  # one frame is left for guest pages, whatever happens
        most = min(2 * p.mean - SMALLEST, PAGE_BYTES - 1)
        self._pool = Pool(
            tiers=self.tiers,
            classes=size_classes(p.chain),
            size=np.zeros(pages, np.uint16),
            kept=np.zeros(pages, np.uint16),
            age=queues(Pools(1, pages, np.zeros(1, np.int64), np.zeros(1, np.int64), np.full(1, pages)), 1),
            tally=np.zeros((vms, 6), np.int64),
            limit=np.array([self._limit, int(self._limit * p.accept / 100), p.largest], np.int64),
            zero=np.array([site.trace.zero_digest], np.uint64),
            keys=np.array([site.stream("digest")[0], site.stream("page")[0]], np.uint64),
            spread=np.array([p.incompressible, most]),
        )
        return self._pool

    @staticmethod
    @jit
    def on_content(s, page, digest, compressed):
        if digest == s.zero[0]:
            s.size[page] = ZEROS
        elif compressed > 0:
            s.size[page] = min(compressed, PAGE_BYTES)
        else:
            s.size[page] = drawn(s, 0, digest)

    @staticmethod
    @jit
    def store(s, h, page, incoming):
        vm = h.page_vm[page]
        if s.size[page] == ZEROS:
            put(s.tiers, vm, page, ZERO)
            tier = ZERO
        elif keep(s, h, vm, page, incoming):
            tier = COMPRESSED
        else:
            tier = send_on(s.tiers, vm, page)
        count_store(s.tiers, h, vm, tier, incoming)

    @staticmethod
    @jit
    def load(s, h, page):
        vm = h.page_vm[page]
        s.tiers.tally[vm, LOADS, s.tiers.tier[page]] += 1
        let_out(s, h, vm, page)

    @staticmethod
    @jit
    def drop(s, h, page):
        if s.tiers.tier[page] > 0:
            let_out(s, h, h.page_vm[page], page)

    def costs(self) -> tuple[np.ndarray, np.ndarray]:
        ins, outs = super().costs()
        ins[COMPRESSED] += self.params.decompress
        outs[COMPRESSED] += self.params.compress
        return ins, outs

    def waits(self, outs: np.ndarray) -> np.ndarray:
        return super().waits(outs) + self._pool.tally[:, INCOMPRESSIBLE_WAITS] * self.params.compress

    def pool(self) -> dict[str, np.ndarray]:
        t = self._pool.tally
        return {
            "compressed_bytes": t[:, BYTES],
            "incompressible": t[:, INCOMPRESSIBLE],
            "full": t[:, FULL],
            "written_back": t[:, WRITTEN_BACK],
            "unknown": t[:, UNKNOWN],
        }

    def audit(self) -> None:
        super().audit()
        host, s = self.site.host, self._pool
        kept = s.tiers.tier == COMPRESSED
        assert (s.classes.objects == np.bincount(s.classes.of[s.kept[kept]], minlength=len(s.classes.size))).all(), "objects of a class"
        frames = sum(int(frames_of(s.classes, i, s.classes.objects[i])) for i in np.flatnonzero(s.classes.objects))
        assert frames == host.held[0], f"the pool's objects take {frames} frames, the host sets {host.held[0]} aside"
        assert frames <= self._limit, f"the pool holds {frames} frames of at most {self._limit}"
        sizes = np.bincount(host.page_vm[kept], weights=s.kept[kept], minlength=len(host.vm))
        assert (s.tally[:, BYTES] == sizes).all(), "compressed bytes: the books differ from a count"
