"""LRU: the page that has not been used for the longest time leaves (Mattson et al. 1970)."""

from tracekit.kernel import jit
from tracekit.modules.reclamation.replacement import Links, Pools, Replacement, links, push_newest, unlink


class Lru(Replacement):
    """Least recently used."""

    name = "lru"

    def state(self, pools: Pools) -> Links:
        return links(pools)

    @staticmethod
    @jit
    def touch(s, pool, page):
        if s.newest[pool] != page:
            unlink(s, pool, page)
            push_newest(s, pool, page)

    @staticmethod
    @jit
    def admit(s, pool, page):
        push_newest(s, pool, page)

    @staticmethod
    @jit
    def remove(s, pool, page):
        unlink(s, pool, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        oldest = s.oldest[pool]
        unlink(s, pool, oldest)
        return oldest
