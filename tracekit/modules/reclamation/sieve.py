"""SIEVE: a hand sweeps a FIFO queue from old to new and takes out the first page not used since it last passed.

Y. Zhang, J. Yang, Y. Yue, Y. Vigfusson and K. V. Rashmi, "SIEVE is Simpler than LRU: an Efficient Turn-Key Eviction
Algorithm for Web Caches", NSDI 2024. No parameters.
"""

from tracekit.host import NONE
from tracekit.kernel import jit
from tracekit.modules.reclamation.lru import Lru
from tracekit.modules.reclamation.queues import drop, oldest, push, upcoming


class Sieve(Lru):
    """SIEVE: unlike CLOCK, survivors stay where they are in the queue, and new pages do not join behind the hand.

    Zhang et al., NSDI 2024. Misses equal libCacheSim's Sieve exactly.
    """

    name = "sieve"

    @staticmethod
    @jit
    def touch(s, pool, page):
        s.queue.note[page] = 1

    @staticmethod
    @jit
    def admit(s, pool, page):
        s.queue.note[page] = 0
        push(s.queue, pool, 0, page)

    @staticmethod
    @jit
    def remove(s, pool, page):
        drop(s.queue, pool, page)
        _pass_holes(s.queue, pool)

    @staticmethod
    @jit
    def victim(s, pool, page):
        q = s.queue
        b = q.book[pool, 0]
        while True:
            if b.hand < 0:
                oldest(q, pool, 0)
                b.hand = b.tail
            leaves = q.entry[b.first + (b.hand & (b.room - 1))]
            if q.note[leaves] == 0:
                break
            q.note[leaves] = 0
            b.hand += 1
            _pass_holes(q, pool)
        drop(q, pool, leaves)
        _pass_holes(q, pool)
        return leaves

    @staticmethod
    @jit
    def upcoming(s, pool):
        return upcoming(s.queue, pool, 0, s.queue.book[pool, 0].hand)


@jit
def _pass_holes(q, pool):
    """Move the hand on to the next page; past the newest it starts at the oldest again when it is next needed, so that a
    page which joins the queue now is not taken for one that the hand has come to."""
    b = q.book[pool, 0]
    if b.hand < 0:
        return
    while b.hand < b.head and q.entry[b.first + (b.hand & (b.room - 1))] == NONE:
        b.hand += 1
    if b.hand >= b.head:
        b.hand = -1
