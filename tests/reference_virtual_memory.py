"""Slow, readable twins of the policies made for virtual memory: CLOCK-Pro, WSClock, Linux's two, and those of variable space.

They share no code with ``tracekit.modules``, and follow the descriptions literally: where the kernels keep queues, these search.
"""

from reference_policies import Cache, Optimal


class ClockPro(Cache):
    """One list of pages from the tail to the head; each hand is found by what it points to."""

    def __init__(self, frames):
        super().__init__(frames)
        self.clock, self.used = [], set()
        self.hot, self.cold, self.test = set(), set(), set()  # hot and resident; cold and resident; cold and in its test period
        self.least = self.m_cold = max(1, int(frames * 0.01))

    def queues(self):
        return [self.hot, self.cold]

    def use(self, page):
        self.used.add(page)

    def miss(self, page):
        if self.is_full():
            self.evict()
        self.used.discard(page)
        if page in self.test:
            self.promote(page)
        elif self.frames - len(self) > self.least:
            self.to_head(page)
            self.hot.add(page)
        else:
            self.to_head(page)
            self.cold.add(page)
            self.test.add(page)
        self.rest()

    def evict(self):
        while True:
            if not self.cold:
                self.run_hand_hot()
            page = next(page for page in self.clock if page in self.cold)  # HAND_cold
            if page not in self.used:
                break
            self.used.remove(page)
            if page in self.test:
                self.promote(page)
            else:
                self.to_head(page)
                self.test.add(page)
        self.cold.remove(page)
        if page not in self.test:
            self.clock.remove(page)
        while len(self.test - self.cold) > self.frames:
            self.end_test(next(page for page in self.clock if page in self.test))  # HAND_test

    def promote(self, page):
        self.test.remove(page)
        self.cold.discard(page)
        self.adapt(1)
        self.to_head(page)
        self.hot.add(page)
        while len(self.hot) > self.frames - self.m_cold:
            self.run_hand_hot()
        self.rest()

    def run_hand_hot(self):
        while True:
            page = next(page for page in self.clock if page in self.hot or page in self.test)
            if page in self.test:
                self.end_test(page)
                continue
            self.to_head(page)
            if page not in self.used:
                self.hot.remove(page)
                self.cold.add(page)
                self.rest()
                return
            self.used.remove(page)

    def rest(self):
        """HAND_hot moves on to a hot page."""
        if self.hot:
            until = next(i for i, page in enumerate(self.clock) if page in self.hot)
            for page in [page for page in self.clock[:until] if page in self.test]:
                self.end_test(page)

    def end_test(self, page):
        self.test.remove(page)
        self.adapt(1 if page in self.used and page in self.cold else -1)
        if page not in self.cold:
            self.clock.remove(page)

    def adapt(self, change):
        self.m_cold = min(max(self.m_cold + change, self.least), max(self.least, self.frames - self.least))

    def to_head(self, page):
        if page in self.clock:
            self.clock.remove(page)
        self.clock.append(page)


class WsClock(Cache):
    def __init__(self, frames, tau=100_000):
        super().__init__(frames)
        self.ring, self.used, self.last = [], set(), {}  # the first page is under the hand
        self.tau, self.since = tau, 0

    def queues(self):
        return [self.ring]

    def use(self, page):
        self.used.add(page)

    def miss(self, page):
        if self.is_full():
            self.ring.remove(self.victim())
        self.ring.append(page)
        self.used.discard(page)
        self.last[page] = self.number + 1

    def victim(self):
        if self.number - self.since > self.tau:
            for page in list(self.ring):
                if page not in self.used and self.number - self.last[page] > self.tau:
                    return page
                self.passes()
            self.since = min(self.last[page] for page in self.ring)
        while self.ring[0] in self.used:
            self.passes()
        return self.ring[0]

    def passes(self):
        page = self.ring.pop(0)
        if page in self.used:
            self.used.remove(page)
            self.last[page] = self.number
        self.ring.append(page)


class TwoList(Cache):
    def __init__(self, frames):
        super().__init__(frames)
        self.inactive, self.active = [], []  # oldest first
        self.accessed, self.referenced = set(), set()
        self.age, self.left = 0, {}

    def queues(self):
        return [self.inactive, self.active]

    def use(self, page):
        self.accessed.add(page)

    def miss(self, page):
        if self.is_full():
            self.shrink()
        if page in self.left and self.age - self.left.pop(page) <= len(self.active):
            self.activate(page)
        else:
            self.inactive.append(page)
        self.accessed.add(page)
        self.referenced.discard(page)

    def activate(self, page):
        self.active.append(page)
        self.age += 1

    def shrink(self):
        while True:
            while len(self.inactive) < len(self.active):
                page = self.active.pop(0)
                self.accessed.discard(page)
                self.inactive.append(page)
            page = self.inactive.pop(0)
            if page not in self.accessed:
                self.left[page] = self.age
                self.age += 1
                return
            self.accessed.remove(page)
            if page in self.referenced:
                self.activate(page)
            else:
                self.referenced.add(page)
                self.inactive.append(page)


class Mglru(Cache):
    def __init__(self, frames, access="mapped"):
        super().__init__(frames)
        self.mapped = access == "mapped"
        self.lists = {0: [], 1: [], 2: [], 3: []}  # generation → pages listed under it, oldest first; only living generations
        self.gen, self.uses, self.accessed, self.left = {}, {}, set(), {}
        self.now = {tier: [0, 0] for tier in range(4)}  # refaulted, and evicted or protected
        self.past = {tier: [0, 0] for tier in range(4)}
        self.protected = 0

    def queues(self):
        return [self.gen]

    def use(self, page):
        if self.mapped:
            self.accessed.add(page)
        else:
            self.uses[page] = min(self.uses[page] + 1, 255)

    def miss(self, page):
        if self.is_full():
            self.shrink()
        recent = page in self.left and max(self.lists) - self.left[page] < 4
        if recent:
            self.now[self.tier(page)][0] += 1
        self.gen[page] = max(self.lists) if self.mapped else min(self.lists)
        self.lists[self.gen[page]].append(page)
        if not recent or self.mapped:
            self.uses[page] = 0
        self.uses[page] = min(self.uses[page] + 1, 255)
        if self.mapped:
            self.accessed.add(page)

    def tier(self, page):
        return min((self.uses[page] - 1).bit_length(), 3)

    def shrink(self):
        while True:
            self.close_empty()
            if self.is_aging_due():
                self.age()
                continue
            oldest = min(self.lists)
            page = self.lists[oldest].pop(0)
            tier = self.tier(page)
            if self.gen[page] != oldest:
                self.lists[self.gen[page]].append(page)
            elif tier > self.last_tier():
                self.now[tier][1] += 1
                self.protected += 1
                self.change(page, oldest + 1)
                self.lists[oldest + 1].insert(0, page)
            elif page in self.accessed:
                self.accessed.remove(page)
                self.change(page, max(self.lists))
                self.lists[max(self.lists)].append(page)
            else:
                self.now[tier][1] += 1
                self.left[page] = oldest
                del self.gen[page]
                return

    def change(self, page, gen):
        self.gen[page] = gen
        self.uses[page] = 1

    def close_empty(self):
        closed = False
        while len(self.lists) > 2 and not self.lists[min(self.lists)]:
            del self.lists[min(self.lists)]
            closed = True
        if closed:
            self.past = {tier: [(past + now) // 2 for past, now in zip(self.past[tier], self.now[tier])] for tier in range(4)}
            self.now = {tier: [0, 0] for tier in range(4)}

    def is_aging_due(self):
        if len(self.lists) != 3:
            return len(self.lists) < 3
        count = {gen: sum(1 for page in self.gen if self.gen[page] == gen) for gen in self.lists}
        return 2 * count[max(self.lists)] > len(self.gen) or 4 * count[min(self.lists)] < len(self.gen)

    def age(self):
        for page in self.accessed:
            self.change(page, max(self.lists))
        self.accessed.clear()
        self.lists[max(self.lists) + 1] = []

    def last_tier(self):
        refaulted, total = ({tier: self.past[tier][i] + self.now[tier][i] for tier in range(4)} for i in (0, 1))
        for tier in (1, 2, 3):
            often = 2 * (refaulted[0] + 1) * total[tier]  # twice as often as the first tier
            if refaulted[tier] >= 64 and refaulted[tier] * (total[0] + 64) > often:
                return tier - 1
        return 3


class WorkingSet(Cache):
    def __init__(self, frames, tau=100_000):
        super().__init__(frames)
        self.tau, self.last = tau, {}  # page → number of the access that used it last

    def queues(self):
        return [self.last]

    def release(self, page):
        for other in [other for other, last in self.last.items() if self.number - last >= self.tau and other != page]:
            del self.last[other]

    def use(self, page):
        self.last[page] = self.number

    def miss(self, page):
        if self.is_full():
            del self.last[min(self.last, key=self.last.get)]
        self.use(page)


class Pff(WorkingSet):
    def __init__(self, frames, interval=1000):
        super().__init__(frames)
        self.interval, self.fault = interval, -1

    def release(self, page):
        if page in self.last:
            return
        if self.number - self.fault > self.interval:
            self.last = {other: last for other, last in self.last.items() if last >= self.fault}
        self.fault = self.number


class Vmin(Optimal):
    def __init__(self, frames, tau=100_000):
        super().__init__(frames)
        self.tau, self.last = tau, {}  # page → number of the access that used it last

    def release(self, page):
        self.next = {other: next for other, next in self.next.items() if next - self.last[other] <= self.tau or other == page}

    def use(self, page):
        super().use(page)
        self.last[page] = self.number


#: Policy → its twin and the parameters it is tried with.
FIXED = {
    "clock-pro": (ClockPro, [{}]),
    "wsclock": (WsClock, [{"tau": 3}, {"tau": 20}]),
    "two-list": (TwoList, [{}]),
    "mglru": (Mglru, [{}, {"access": "descriptors"}]),
}
VARIABLE = {
    "working-set": (WorkingSet, [{"tau": 1}, {"tau": 6}]),
    "pff": (Pff, [{"interval": 1}, {"interval": 4}]),
    "vmin": (Vmin, [{"tau": 1}, {"tau": 6}]),
}
