"""Memory by utility: to whoever would miss least by it, from miss-ratio curves of each VM (Zhou et al., ASPLOS 2004).

The curves are of LRU, over a spatial sample of each VM's pages (SHARDS: Waldspurger et al., FAST 2015): of P pages s are
watched, and a stack distance among them stands for P/s times as many pages. Memory is dealt by lookahead, the algorithm of
utility-based cache partitioning (Qureshi & Patt, MICRO 2006): again and again to the VM with the most hits a page, over any
number of pages, so that cliffs of a curve count.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import param
from tracekit.modules.machine.stack import Stack, stacks, touch
from tracekit.modules.tax import sampling
from tracekit.modules.tax.allocation import Allocation
from tracekit.modules.tax.max_min import fill
from tracekit.modules.tax.watched import number
from tracekit.spatial import hashes, limit

#: Parts that a memory is dealt out in.
_PARTS = 200


class Curves(NamedTuple):
    """The sampler's state, and the LRU stacks of the watched pages, which they know by their numbers among the watched."""

    samples: sampling.Samples
    number: np.ndarray  # int32 by page: its number among the watched, or −1
    stack: Stack
    first: np.ndarray  # int64 by VM: its first watched page
    hits: np.ndarray  # float64 by watched page: accesses by stack distance, within each VM; older ones count less


class Utility(Allocation):
    """The fewest misses in all. VMs that are idle, or whose data never comes back, get their minimum; shares do not count."""

    name = "utility"

    @dataclass(frozen=True)
    class Params(Allocation.Params):
        watch: float = param(0.1, "part of the pages whose reuse is watched", low=1e-6, high=1.0)
        decay: float = param(0.5, "what the past counts at each reallocation", low=0.0, high=1.0)

    def _set_up(self) -> None:
        site, vms = self.site, self.site.host.vm
        is_watched = hashes(site.trace.pages, site.seed) <= limit(self.params.watch)
        is_watched[vms.first] = True  # a VM without a watched page would have no curve
        self._watched = number(is_watched, vms.first, vms.pages)
        self._hits = np.zeros(int(self._watched.pages.sum()))

    def own_state(self, samples: sampling.Samples) -> Curves:
        watched = self._watched
        return Curves(samples, watched.number, stacks(len(self._hits), watched.pages), watched.first, self._hits)

    @staticmethod
    @jit
    def on_access(s, vm, page):
        sampling.count_touch(s.samples, vm, page)
        watched = s.number[page]
        if watched >= 0:
            others = touch(s.stack, vm, np.uint32(watched))
            if others >= 0:
                s.hits[s.first[vm] + others] += 1.0

    @staticmethod
    @jit
    def on_io(s, vm, page, to_device):
        sampling.count_device_write(s.samples, vm, page, to_device)

    @staticmethod
    @jit
    def on_event(s, t, vm, what, a):
        sampling.count_execution(s.samples, t, vm, what, a)

    def divide(self, least: np.ndarray, most: np.ndarray, memory: int) -> np.ndarray:
        vms = self.site.host.vm
        curves = [self._hits[f : f + n] for f, n in zip(self._watched.first, self._watched.pages)]
        scale = vms.pages / self._watched.pages
        targets = lookahead(curves, scale, least, most, memory, max(1, memory // _PARTS))
        self._hits *= self.params.decay
        return fill(targets, most, memory)  # what nobody would miss less by


def lookahead(curves: list[np.ndarray], scale: np.ndarray, least: np.ndarray, most: np.ndarray, memory: int, part: int) -> np.ndarray:
    """Pages (int64 by VM) of a ``memory``, dealt out in ``part``s to the highest utility a page; what has none is left over.

    ``curves[vm][d]`` are accesses that hit in d + 1 watched pages or more, each of which stands for ``scale`` pages.
    """
    hits = [np.concatenate([[0.0], np.cumsum(curve) * factor]) for curve, factor in zip(curves, scale)]
    sizes = least.astype(np.int64).copy()
    while True:
        left = min(memory - int(sizes.sum()), int((most - sizes).sum()))
        best, winner, more = 0.0, -1, 0
        for vm, curve in enumerate(hits):
            room = min(left, int(most[vm] - sizes[vm]))
            if room <= 0:
                continue
            steps = np.unique(np.minimum(np.arange(1, -(-room // part) + 1) * part, room))
            at = _hits(curve, scale[vm], np.concatenate([[sizes[vm]], sizes[vm] + steps]))
            gains = (at[1:] - at[0]) / steps
            k = int(np.argmax(gains))
            if gains[k] > best * (1 + 1e-12):
                best, winner, more = float(gains[k]), vm, int(steps[k])
        if winner < 0:
            return sizes
        sizes[winner] += more


def _hits(curve: np.ndarray, factor: float, pages: np.ndarray) -> np.ndarray:
    """Hits in memories of ``pages``."""
    return curve[np.minimum((pages / factor).astype(np.int64), len(curve) - 1)]
