"""Multi-gen LRU of Linux: generations of pages by when they were last found used, tiers by how often, guarded by refaults.

Documented in Linux's Documentation/mm/multigen_lru.rst (Y. Zhao); figures as in Linux 6.1: at least 2 and at most 4
generations, 4 tiers.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import param
from tracekit.modules.reclamation.lists import Lists, drop, lists, oldest, push, push_oldest
from tracekit.modules.reclamation.replacement import Pools, Replacement
from tracekit.modules.reclamation.slots import Slots, put, slots, take_out

_MOST, _LEAST, _TIERS = 4, 2, 4
_NEVER = -1
#: Fewer refaults than these say nothing.
_BATCH = 64

# Counts of a tier, since the oldest generation began.
_REFAULTED, _EVICTED, _PROTECTED = 0, 1, 2


class Generations(NamedTuple):
    """Generations of each pool, numbered since ever: number n is list n mod 4. A page is moved to its list only when it would
    leave otherwise."""

    queue: Lists
    gen: np.ndarray  # uint8 by page: the list of its generation, which it need not be on yet
    size: np.ndarray  # int64 (pool, list): pages by generation
    youngest: np.ndarray  # int64 by pool: number of the youngest generation
    oldest: np.ndarray  # int64 by pool: number of the oldest one
    accessed: np.ndarray  # uint8 by page: the accessed bit of the page table
    found: Slots  # the pages whose bit is set
    uses: np.ndarray  # uint8 by page: accesses through file descriptors in its generation, from which its tier follows
    left: np.ndarray  # int64 by page: the oldest generation when it left, or _NEVER
    counts: np.ndarray  # int64 (pool, tier, 3): what is counted now
    mean: np.ndarray  # int64 (pool, tier, 2): moving averages of refaulted, and of evicted and protected, over generations
    mapped: np.ndarray  # bool, one: accesses go through page tables


class Mglru(Replacement):
    """Linux's multi-gen LRU: the oldest of up to four generations leaves; what the accessed bits show used joins the youngest
    one, and a new one begins when only two or three uneven ones are left.

    A trace does not tell how a page is used. Through page tables (``access = mapped``, as a VM's memory is): pages come into
    the youngest generation and accessed bits decide; all are in the first tier. Through file descriptors (``descriptors``,
    the page cache): pages come into the oldest generation, N uses make tier log2 N, and a tier that is refaulted twice as
    often as the first (the PID controller's P term, and I over past generations) moves on by a generation instead of
    leaving. A trace of pages tells neither anonymous memory from files nor clean from dirty, and not which entries stand
    together in page tables: the aging looks at all accessed bits at once, as walks of all page tables do, there is no
    look-around and no Bloom filter, and pages leave one at a time.
    """

    name = "mglru"

    @dataclass(frozen=True)
    class Params(Replacement.Params):
        access: str = param("mapped", "how pages are used: through page tables, or file descriptors", choices=("mapped", "descriptors"))

    def state(self, pools: Pools) -> Generations:
        return Generations(
            queue=lists(pools, _MOST),
            gen=np.zeros(pools.pages, np.uint8),
            size=np.zeros((pools.number, _MOST), np.int64),
            youngest=np.full(pools.number, _MOST - 1),
            oldest=np.zeros(pools.number, np.int64),
            accessed=np.zeros(pools.pages, np.uint8),
            found=slots(pools),
            uses=np.zeros(pools.pages, np.uint8),
            left=np.full(pools.pages, _NEVER, np.int64),
            counts=np.zeros((pools.number, _TIERS, 3), np.int64),
            mean=np.zeros((pools.number, _TIERS, 2), np.int64),
            mapped=np.array([self.params.access == "mapped"]),
        )

    @staticmethod
    @jit
    def touch(s, pool, page):
        if not s.mapped[0]:
            s.uses[page] = min(s.uses[page], 254) + 1
        elif s.accessed[page] == 0:
            s.accessed[page] = 1
            put(s.found, pool, page)

    @staticmethod
    @jit
    def admit(s, pool, page):
        recent = s.left[page] != _NEVER and s.youngest[pool] - s.left[page] < _MOST
        if recent:
            s.counts[pool, _tier(s, page), _REFAULTED] += 1
        s.left[page] = _NEVER
        if s.mapped[0]:
            s.uses[page] = 1
            s.accessed[page] = 1
            put(s.found, pool, page)
            number = s.youngest[pool]
        else:
            s.uses[page] = min(s.uses[page], 254) + 1 if recent else 1
            number = s.oldest[pool]
        s.gen[page] = number % _MOST
        s.size[pool, number % _MOST] += 1
        push(s.queue, pool, number % _MOST, page)

    @staticmethod
    @jit
    def remove(s, pool, page):
        _drop(s, pool, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        q = s.queue
        while True:
            _close_empty(s, pool)
            if _is_aging_due(s, pool):
                _age(s, pool)
                continue
            number = s.oldest[pool]
            leaves = oldest(q, pool, number % _MOST)
            tier = _tier(s, leaves)
            if s.gen[leaves] != number % _MOST:  # the aging has found it used
                drop(q, pool, leaves)
                push(q, pool, s.gen[leaves], leaves)
            elif tier > _last_tier(s, pool):
                s.counts[pool, tier, _PROTECTED] += 1
                _change(s, pool, leaves, number + 1)
                drop(q, pool, leaves)
                push_oldest(q, pool, (number + 1) % _MOST, leaves)
            elif s.accessed[leaves] == 1:
                s.accessed[leaves] = 0
                take_out(s.found, pool, leaves)
                _change(s, pool, leaves, s.youngest[pool])
                drop(q, pool, leaves)
                push(q, pool, s.gen[leaves], leaves)
            else:
                s.counts[pool, tier, _EVICTED] += 1
                s.left[leaves] = number
                _drop(s, pool, leaves)
                return leaves


@jit
def _drop(s, pool, page):
    s.size[pool, s.gen[page]] -= 1
    drop(s.queue, pool, page)
    if s.accessed[page] == 1:
        s.accessed[page] = 0
        take_out(s.found, pool, page)


@jit
def _change(s, pool, page, number):
    """A page changes to another generation, where it begins in the first tier."""
    s.size[pool, s.gen[page]] -= 1
    s.gen[page] = number % _MOST
    s.size[pool, s.gen[page]] += 1
    s.uses[page] = 1


@jit
def _tier(s, page):
    """Number of the tier for a page's uses."""
    tier = 0
    while tier < _TIERS - 1 and s.uses[page] > 1 << tier:
        tier += 1
    return tier


@jit
def _close_empty(s, pool):
    """The oldest generations end when nothing is left on their lists, and the controller carries over what it has counted."""
    number = s.oldest[pool]
    while number + _LEAST <= s.youngest[pool] and s.queue.length[pool, number % _MOST] == 0:
        number += 1
    if number == s.oldest[pool]:
        return
    s.oldest[pool] = number
    for tier in range(_TIERS):
        counts, mean = s.counts[pool, tier], s.mean[pool, tier]
        mean[0] = (mean[0] + counts[_REFAULTED]) // 2
        mean[1] = (mean[1] + counts[_EVICTED] + counts[_PROTECTED]) // 2
        counts[:] = 0


@jit
def _is_aging_due(s, pool):
    """Two generations are too few, four are enough; three are, if they are even: the youngest not above a half of all
    pages, the oldest not below a quarter."""
    youngest, last = s.youngest[pool], s.oldest[pool]
    if youngest - last + 1 != _LEAST + 1:
        return youngest - last + 1 <= _LEAST
    pages = 0
    for gen in range(_MOST):
        pages += s.size[pool, gen]
    return s.size[pool, youngest % _MOST] * _LEAST > pages or s.size[pool, last % _MOST] * (_LEAST + 2) < pages


@jit
def _age(s, pool):
    """All pages found used join the youngest generation, and another one begins."""
    q = s.found
    for i in range(q.base[pool], q.base[pool] + q.filled[pool]):
        s.accessed[q.slot[i]] = 0
        _change(s, pool, q.slot[i], s.youngest[pool])
    q.filled[pool] = 0
    s.youngest[pool] += 1


@jit
def _last_tier(s, pool):
    """The last tier that may leave: those before it are refaulted less than twice as often as the first one."""
    first_refaulted, first_total = _position(s, pool, 0)
    for tier in range(1, _TIERS):
        refaulted, total = _position(s, pool, tier)
        if refaulted >= _BATCH and refaulted * (first_total + _BATCH) > 2 * (first_refaulted + 1) * total:
            return tier - 1
    return _TIERS - 1


@jit
def _position(s, pool, tier):
    """(Pages refaulted, pages that left or were spared) of a tier, now and in the past."""
    counts, mean = s.counts[pool, tier], s.mean[pool, tier]
    return mean[0] + counts[_REFAULTED], mean[1] + counts[_EVICTED] + counts[_PROTECTED]
