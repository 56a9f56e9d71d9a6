"""A stranger's package: a replacement policy and a sharing scheme, each in a few lines."""

from tracekit.plugin import Replacement, Sharing, jit, links, push_newest, unlink


class Mru(Replacement):
    """The most recently used page leaves: right for loops a little larger than memory."""

    name = "mru"

    def state(self, pools):
        return links(pools)

    @staticmethod
    @jit
    def touch(s, pool, page):
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
        newest = s.newest[pool]
        unlink(s, pool, newest)
        return newest


class ZeroOnly(Sharing):
    """Pages of zeros are shared the moment they become so, nothing else ever is."""

    name = "zero-only"

    @staticmethod
    @jit
    def changed(s, h, page):
        return h.digest[page] == 0x93D76FE148C689BA
