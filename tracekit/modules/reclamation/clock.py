"""CLOCK, or second chance: the first page around the clock that has not been used since the hand last passed leaves.

F. J. Corbató, "A Paging Experiment with the Multics System", MIT Project MAC Report MAC-M-384, 1968. One reference bit.
"""

from tracekit.kernel import jit
from tracekit.modules.reclamation.lru import Lru
from tracekit.modules.reclamation.queues import pop, push


class Clock(Lru):
    """Second chance: FIFO that passes over pages used since the last time (one reference bit, not set by the fault).

    Corbató 1968. The page under the hand is the front of a queue; one that gets its second chance joins the end, which is
    where it is on the clock when the hand has moved on. Misses equal libCacheSim's Clock exactly.
    """

    name = "clock"

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
    def victim(s, pool, page):
        while True:
            leaves = pop(s.queue, pool, 0)
            if s.queue.note[leaves] == 0:
                return leaves
            s.queue.note[leaves] = 0
            push(s.queue, pool, 0, leaves)
