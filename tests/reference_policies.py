"""Slow, readable twins of the replacement policies: a cache of one size each, in dicts and lists, that counts misses.

They share no code with ``tracekit.modules``. Of a dict, the first key is what came in first. ``libcachesim=True`` makes a
twin do what libCacheSim 0.3.5 does where that is not what was published, so that tests can show that nothing else differs.
"""

from collections import OrderedDict


class Cache:
    """``use`` is told of a hit, ``miss`` of a miss, and makes room by itself."""

    def __init__(self, frames, libcachesim=False):
        self.frames, self.libcachesim = frames, libcachesim
        self.misses = 0
        self.space = 0  # pages held, summed over the accesses

    def run(self, pages):
        self.pages = pages
        for self.number, page in enumerate(pages):
            self.release(page)
            if self.holds(page):
                self.use(page)
            else:
                self.misses += 1
                self.miss(page)
            self.space += len(self)
            assert self.libcachesim or len(self) <= self.frames
        return self.misses

    def release(self, page):
        """Give up what is not needed before a page is used, which only a policy of variable space does."""

    def holds(self, page):
        return any(page in queue for queue in self.queues())

    def __len__(self):
        return sum(len(queue) for queue in self.queues())

    def is_full(self):
        return len(self) >= self.frames


def newest(queue, page, value=None):
    queue[page] = value
    queue.move_to_end(page)


def pop_oldest(queue):
    return queue.popitem(last=False)[0]


class Clock(Cache):
    def __init__(self, frames):
        super().__init__(frames)
        self.queue = OrderedDict()  # page → whether it was used

    def queues(self):
        return [self.queue]

    def use(self, page):
        self.queue[page] = True

    def miss(self, page):
        while self.is_full():
            first, used = self.queue.popitem(last=False)
            if used:
                newest(self.queue, first, False)
        newest(self.queue, page, False)


class Sieve(Cache):
    def __init__(self, frames):
        super().__init__(frames)
        self.queue, self.used, self.hand = [], {}, 0  # oldest first

    def queues(self):
        return [self.queue]

    def use(self, page):
        self.used[page] = True

    def miss(self, page):
        if self.is_full():
            self.hand %= len(self.queue)
            while self.used[self.queue[self.hand]]:
                self.used[self.queue[self.hand]] = False
                self.hand = (self.hand + 1) % len(self.queue)
            del self.queue[self.hand]
            if self.hand == len(self.queue):  # it was the newest: the next round begins at the oldest
                self.hand = 0
        self.queue.append(page)
        self.used[page] = False


class S3Fifo(Cache):
    def __init__(self, frames, libcachesim=False):
        super().__init__(frames, libcachesim)
        self.small, self.main, self.ghosts = OrderedDict(), OrderedDict(), OrderedDict()
        self.most_small, self.most_ghosts = int(frames * 0.1), int(frames * 0.9)
        self.fills = libcachesim

    def queues(self):
        return [self.small, self.main]

    def use(self, page):
        queue = self.small if page in self.small else self.main
        queue[page] = min(queue[page] + 1, 3)

    def miss(self, page):
        known = page in self.ghosts
        self.ghosts.pop(page, None)
        if self.is_full():
            self.fills = False
            self.evict()
        if known or (self.fills and len(self.small) >= self.most_small):
            self.main[page] = 0
        else:
            self.small[page] = 0

    def evict(self):
        if len(self.small) >= self.most_small or not self.main:
            while self.small:
                page, uses = self.small.popitem(last=False)
                if uses < 2:
                    self.ghosts[page] = None
                    if len(self.ghosts) > self.most_ghosts:
                        pop_oldest(self.ghosts)
                    return
                self.main[page] = 0
        while True:
            page, uses = self.main.popitem(last=False)
            if not uses:
                return
            self.main[page] = uses - 1


class Slru(Cache):
    def __init__(self, frames):
        super().__init__(frames)
        self.probation, self.protected = OrderedDict(), OrderedDict()

    def queues(self):
        return [self.probation, self.protected]

    def use(self, page):
        self.probation.pop(page, None)
        newest(self.protected, page)
        if len(self.protected) > int(self.frames * 0.8):
            self.probation[pop_oldest(self.protected)] = None

    def miss(self, page):
        if self.is_full():
            pop_oldest(self.probation or self.protected)
        self.probation[page] = None


class S4Lru(Cache):
    def __init__(self, frames):
        super().__init__(frames)
        self.limit, self.segments = frames // 4, [OrderedDict() for _ in range(4)]
        self.over = False

    def queues(self):
        return self.segments

    def release(self, page):
        while self.over and len(self.segments[0]) > self.limit:
            pop_oldest(self.segments[0])
        self.over = False

    def use(self, page):
        was = next(i for i, segment in enumerate(self.segments) if page in segment)
        now = min(was + 1, 3)
        del self.segments[was][page]
        self.segments[now][page] = None
        for i in range(now, 0, -1):
            if len(self.segments[i]) > self.limit:
                self.segments[i - 1][pop_oldest(self.segments[i])] = None
                self.over = i == 1

    def miss(self, page):
        if self.is_full():
            pop_oldest(next(segment for segment in self.segments if segment))
        room = [segment for segment in self.segments if len(segment) < self.limit]
        (room or self.segments)[0][page] = None


class Lfu(Cache):
    def __init__(self, frames):
        super().__init__(frames)
        self.uses, self.last, self.now = {}, {}, 0

    def queues(self):
        return [self.uses]

    def use(self, page):
        self.now += 1
        self.uses[page] += 1
        self.last[page] = self.now

    def miss(self, page):
        if self.is_full():
            del self.uses[min(self.uses, key=lambda page: (self.uses[page], self.last[page]))]
        self.uses[page] = 0
        self.use(page)


class TwoQ(Cache):
    def __init__(self, frames):
        super().__init__(frames)
        self.a1in, self.a1out, self.am = OrderedDict(), OrderedDict(), OrderedDict()

    def queues(self):
        return [self.a1in, self.am]

    def use(self, page):
        if page in self.am:
            self.am.move_to_end(page)

    def miss(self, page):
        known = page in self.a1out
        self.a1out.pop(page, None)
        if self.is_full():
            if len(self.a1in) > int(self.frames * 0.25) or not self.am:
                self.a1out[pop_oldest(self.a1in)] = None
                if len(self.a1out) > int(self.frames * 0.5):
                    pop_oldest(self.a1out)
            else:
                pop_oldest(self.am)
        (self.am if known else self.a1in)[page] = None


class Arc(Cache):
    """The figure of the paper, case by case."""

    def __init__(self, frames):
        super().__init__(frames)
        self.t1, self.t2, self.b1, self.b2 = (OrderedDict() for _ in range(4))
        self.p = 0

    def queues(self):
        return [self.t1, self.t2]

    def use(self, page):  # case I
        self.t1.pop(page, None)
        newest(self.t2, page)

    def miss(self, page):
        c = self.frames
        if page in self.b1:  # case II
            self.p = min(self.p + max(1, len(self.b2) / len(self.b1)), c)
            self.replace(page)
            del self.b1[page]
            self.t2[page] = None
        elif page in self.b2:  # case III
            self.p = max(self.p - max(1, len(self.b1) / len(self.b2)), 0)
            self.replace(page)
            del self.b2[page]
            self.t2[page] = None
        else:  # case IV
            if len(self.t1) + len(self.b1) == c:
                if len(self.t1) < c:
                    pop_oldest(self.b1)
                    self.replace(page)
                else:
                    pop_oldest(self.t1)
            elif len(self) + len(self.b1) + len(self.b2) >= c:
                if len(self) + len(self.b1) + len(self.b2) == 2 * c:
                    pop_oldest(self.b2)
                self.replace(page)
            self.t1[page] = None

    def replace(self, page):
        if self.t1 and (len(self.t1) > self.p or (page in self.b2 and len(self.t1) == self.p)):
            self.b1[pop_oldest(self.t1)] = None
        else:
            self.b2[pop_oldest(self.t2)] = None


class Car(Cache):
    """The figure of the paper, line by line. The hand of a clock is at its first page."""

    def __init__(self, frames):
        super().__init__(frames)
        self.t1, self.t2, self.b1, self.b2 = (OrderedDict() for _ in range(4))
        self.p = 0

    def queues(self):
        return [self.t1, self.t2]

    def use(self, page):
        (self.t1 if page in self.t1 else self.t2)[page] = True

    def miss(self, page):
        c = self.frames
        known = page in self.b1 or page in self.b2
        if self.is_full():
            self.replace()
            if not known and len(self.t1) + len(self.b1) == c:
                pop_oldest(self.b1)
            elif not known and len(self) + len(self.b1) + len(self.b2) == 2 * c:
                pop_oldest(self.b2)
        if not known:
            self.t1[page] = False
        elif page in self.b1:
            self.p = min(self.p + max(1, len(self.b2) / len(self.b1)), c)
            del self.b1[page]
            self.t2[page] = False
        else:
            self.p = max(self.p - max(1, len(self.b1) / len(self.b2)), 0)
            del self.b2[page]
            self.t2[page] = False

    def replace(self):
        while True:
            clock, ghosts = (self.t1, self.b1) if len(self.t1) >= max(1, self.p) else (self.t2, self.b2)
            page, used = clock.popitem(last=False)
            if not used:
                ghosts[page] = None
                return
            self.t2[page] = False


class Lirs(Cache):
    def __init__(self, frames, libcachesim=False):
        super().__init__(frames, libcachesim)
        self.most_hir = max(1, int(frames * 0.01))
        self.most_lir = frames - self.most_hir
        self.lir, self.stack, self.hir, self.gone = set(), OrderedDict(), OrderedDict(), OrderedDict()

    def queues(self):
        return [self.lir, self.hir]

    def holds(self, page):  # libCacheSim takes what it paged out while it was used for resident, as it is on the stack
        return super().holds(page) or (page in self.stack and page not in self.gone)

    def use(self, page):
        if page in self.lir:
            self.stack.move_to_end(page)
            self.prune()
        elif page in self.stack:
            self.hir.pop(page, None)
            self.promote(page)
        else:
            self.hir.move_to_end(page)
            if self.libcachesim:
                while len(self.lir) >= self.most_lir:
                    self.demote()
            self.stack[page] = None
        self.bound()

    def miss(self, page):
        if page in self.stack:
            del self.gone[page]
            if self.is_full():
                self.evict()
            self.promote(page)
        else:
            if self.is_full():
                self.evict()
            self.stack[page] = None
            if len(self.lir) < self.most_lir:
                self.lir.add(page)
            else:
                if len(self.hir) >= self.most_hir:
                    self.evict()
                self.hir[page] = None
        self.bound()

    def promote(self, page):
        newest(self.stack, page)
        self.lir.add(page)
        while len(self.lir) > self.most_lir:
            self.demote()

    def demote(self):
        self.prune()
        page = pop_oldest(self.stack)
        self.lir.remove(page)
        if self.libcachesim and len(self.hir) >= self.most_hir:
            self.evict()
        self.hir[page] = None
        self.prune()

    def evict(self):
        page = pop_oldest(self.hir)
        if page in self.stack:
            self.gone[page] = None

    def prune(self):
        while self.stack and next(iter(self.stack)) not in self.lir:
            self.gone.pop(pop_oldest(self.stack), None)

    def bound(self):
        while len(self.stack) > 2 * self.frames and self.gone:
            del self.stack[pop_oldest(self.gone)]


class Mq(Cache):
    def __init__(self, frames, queues=8, lifetime=10_000, qout=4.0):
        super().__init__(frames)
        self.levels = [OrderedDict() for _ in range(queues)]  # page → when it sinks
        self.uses, self.out = {}, OrderedDict()
        self.lifetime, self.kept = lifetime, int(frames * qout)

    def queues(self):
        return self.levels

    def use(self, page):
        for queue in self.levels:
            queue.pop(page, None)
        self.uses[page] = self.uses.get(page, 0) + 1
        self.levels[min(self.uses[page].bit_length() - 1, len(self.levels) - 1)][page] = self.number + self.lifetime
        for below, queue in zip(self.levels, self.levels[1:]):
            if queue and next(iter(queue.values())) <= self.number:
                below[pop_oldest(queue)] = self.number + 1 + self.lifetime

    def miss(self, page):
        known = self.out.pop(page, page) is None
        if self.is_full():
            left = pop_oldest(next(queue for queue in self.levels if queue))
            self.out[left] = None
            if len(self.out) > self.kept:
                pop_oldest(self.out)
        if not known:
            self.uses[page] = 0
        self.use(page)


class Optimal(Cache):
    def __init__(self, frames):
        super().__init__(frames)
        self.next = {}  # page → number of the access that uses it next

    def queues(self):
        return [self.next]

    def use(self, page):
        self.next[page] = next((i for i in range(self.number + 1, len(self.pages)) if self.pages[i] == page), 1 << 62)

    def miss(self, page):
        if self.is_full():
            del self.next[max(self.next, key=self.next.get)]
        self.use(page)


POLICIES = {
    "clock": Clock, "sieve": Sieve, "s3fifo": S3Fifo, "slru": Slru, "s4lru": S4Lru, "lfu": Lfu,
    "2q": TwoQ, "arc": Arc, "car": Car, "lirs": Lirs, "mq": Mq,
}  # fmt: skip
