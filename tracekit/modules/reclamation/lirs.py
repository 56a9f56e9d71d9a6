"""LIRS: what counts is the recency between a page's last two uses, not that of the last one.

S. Jiang and X. Zhang, "LIRS: An Efficient Low Inter-reference Recency Set Replacement Policy to Improve Buffer Cache
Performance", SIGMETRICS 2002. Defaults: 1 % of memory for HIR pages (at least one), stack bounded by twice the memory.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import param
from tracekit.modules.reclamation.queues import OFF, Queued, Queues, drop, length, move, oldest, pop, push, queues, upcoming
from tracekit.modules.reclamation.replacement import Pools, Replacement
from tracekit.prefetch import prefetch

_HIR, _GONE = 0, 1
_LIR = 1


class Recencies(NamedTuple):
    """The stack S of each pool, the list Q of its resident HIR pages, and that of those in S that are not resident."""

    stack: Queues  # the note of a page is 1 if it is LIR
    queue: Queues
    lir: np.ndarray  # int64 by pool: its LIR pages
    most_lir: np.ndarray  # int64 by pool
    most_stack: np.ndarray  # int64 by pool


class Lirs(Queued):
    """Low inter-reference recency set: LIR pages stay; HIR pages pass through a short list, and become LIR if they are used
    again while they are on the recency stack.

    Jiang & Zhang, SIGMETRICS 2002. The paper leaves open how to bound the stack: beyond twice the memory (``stack``), the
    page that left memory first is forgotten, as in libCacheSim. libCacheSim 0.3.5 departs from the paper where an HIR page
    is used that is resident and not on the stack: it makes an LIR page HIR though none becomes LIR, which pages one out;
    that may be the very page in use, which it then takes for resident nevertheless, so that it holds more pages than it has
    frames and can miss less than OPT. Its misses differ by at most 0.2 % at 1, 5, 20 and 50 % of the pages of the traces
    balloon-workload and three-vms, and by up to 8 % at 2 frames (at 1 it lets no page in). No policy that keeps to its
    frames can do the same, so there is no parameter for it.
    """

    name = "lirs"

    @dataclass(frozen=True)
    class Params(Replacement.Params):
        hir: float = param(0.01, "part of memory for HIR pages, at least one page", low=0.0, high=1.0)
        stack: float = param(2.0, "most pages on the recency stack, as a part of memory", low=1.0, high=100.0)

    def state(self, pools: Pools) -> Recencies:
        hir = np.maximum(1, (pools.capacity * self.params.hir).astype(np.int64))
        most = np.maximum(0, pools.capacity - hir), (pools.capacity * self.params.stack).astype(np.int64)
        return Recencies(queues(pools, 1), queues(pools, 2), np.zeros(pools.number, np.int64), *most)

    @staticmethod
    @jit
    def soon(s, page):
        prefetch(s.stack.page, page)
        prefetch(s.queue.page, page)

    @staticmethod
    @jit
    def upcoming(s, pool):
        return upcoming(s.queue, pool, _HIR)

    @staticmethod
    @jit
    def touch(s, pool, page):
        if s.stack.page[page].note == _LIR:
            move(s.stack, pool, 0, page)
            _prune(s, pool)
        elif s.stack.page[page].on == OFF:
            push(s.stack, pool, 0, page)
            move(s.queue, pool, _HIR, page)
            _bound(s, pool)
        else:
            _promote(s, pool, page)

    @staticmethod
    @jit
    def admit(s, pool, page):
        if s.stack.page[page].on != OFF:
            _promote(s, pool, page)
        else:
            push(s.stack, pool, 0, page)
            if s.lir[pool] < s.most_lir[pool]:
                s.stack.page[page].note = _LIR
                s.lir[pool] += 1
            else:
                push(s.queue, pool, _HIR, page)
        _bound(s, pool)

    @staticmethod
    @jit
    def remove(s, pool, page):
        if s.stack.page[page].on != OFF:
            drop(s.stack, pool, page)
        if s.stack.page[page].note == _LIR:
            s.stack.page[page].note = 0
            s.lir[pool] -= 1
        else:
            drop(s.queue, pool, page)
        _prune(s, pool)

    @staticmethod
    @jit
    def victim(s, pool, page):
        if length(s.queue, pool, _HIR) == 0:
            _demote(s, pool)
        leaves = pop(s.queue, pool, _HIR)
        if s.stack.page[leaves].on != OFF:
            push(s.queue, pool, _GONE, leaves)
        return leaves


@jit
def _promote(s, pool, page):
    """A HIR page on the stack, resident or not, becomes LIR."""
    drop(s.queue, pool, page)
    move(s.stack, pool, 0, page)
    s.stack.page[page].note = _LIR
    s.lir[pool] += 1
    while s.lir[pool] > s.most_lir[pool]:
        _demote(s, pool)


@jit
def _demote(s, pool):
    """The LIR page at the bottom of the stack becomes HIR."""
    _prune(s, pool)
    page = oldest(s.stack, pool, 0)
    drop(s.stack, pool, page)
    s.stack.page[page].note = 0
    s.lir[pool] -= 1
    push(s.queue, pool, _HIR, page)
    _prune(s, pool)


@jit
def _prune(s, pool):
    """Take HIR pages off the bottom of the stack; those not resident are forgotten."""
    while length(s.stack, pool, 0) > 0:
        page = oldest(s.stack, pool, 0)
        if s.stack.page[page].note == _LIR:
            return
        drop(s.stack, pool, page)
        if s.queue.page[page].on == _GONE:
            drop(s.queue, pool, page)


@jit
def _bound(s, pool):
    """Forget pages that left memory first until the stack is within its bound."""
    while length(s.stack, pool, 0) > s.most_stack[pool] and length(s.queue, pool, _GONE) > 0:
        page = pop(s.queue, pool, _GONE)
        drop(s.stack, pool, page)
