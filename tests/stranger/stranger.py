"""A stranger's package: a replacement policy and a sharing scheme, each in a few lines."""

from tracekit.plugin import OneQueue, Queued, Sharing, drop, jit, move, newest, push, queues


class Mru(Queued):
    """The most recently used page leaves: right for loops a little larger than memory."""

    name = "mru"

    def state(self, pools):
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
        leaves = newest(s.queue, pool, 0)
        drop(s.queue, pool, leaves)
        return leaves


class ZeroOnly(Sharing):
    """Pages of zeros are shared the moment they become so, nothing else ever is."""

    name = "zero-only"

    @staticmethod
    @jit
    def changed(s, h, page):
        return h.digest[page] == 0x93D76FE148C689BA
