"""LRU: the page that has not been used for the longest time leaves (Mattson et al. 1970)."""

from tracekit.kernel import jit
from tracekit.modules.reclamation.queues import OneQueue, Queued, move, pop, push, queues, upcoming
from tracekit.modules.reclamation.replacement import Pools


class Lru(Queued):
    """Least recently used."""

    name = "lru"

    def state(self, pools: Pools) -> OneQueue:
        return OneQueue(queues(pools, 1))

    @staticmethod
    @jit
    def touch(s, pool, page):
        move(s.queue, pool, 0, page)

    @staticmethod
    @jit
    def admit(s, pool, page):
        push(s.queue, pool, 0, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        return pop(s.queue, pool, 0)

    @staticmethod
    @jit
    def upcoming(s, pool):
        return upcoming(s.queue, pool, 0)
