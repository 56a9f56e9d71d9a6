"""Tiering by sampled accesses, as the processor's event sampling gives them: every so many accesses, one tells its page.

The authors sample one of thousands of loads and stores. A trace's row already stands for all touches of a page within its
bucket, so far fewer rows go by, and one of far fewer is sampled here.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit
from tracekit.module import Duration, Site, Size, pages_of, param
from tracekit.modules.remapping.tier import FAR, NEAR, SAMPLES, Tier, demote, promote

#: Pages that the search for a cold one looks at, at most, for one that is hot.
_LOOKED_AT = 4096
_BINS = 64


class Sampled(NamedTuple):
    """Sampled accesses of each page, and what is left of the rate limit."""

    reads: np.ndarray  # int64 by page
    writes: np.ndarray  # int64 by page
    cooled: np.ndarray  # int64 by page: coolings that its counts have been through
    histogram: np.ndarray  # int64: pages by number of bits of their count
    limits: np.ndarray  # int64 [5]: sample, hot reads, hot writes, cooling, near pages
    clock: np.ndarray  # int64 [4]: accesses since the last sample, coolings, samples since then, bin from which pages are hot
    budget: np.ndarray  # int64 [4]: moves a period, ns of a period, its number, moves left in it


SAMPLE, HOT_READS, HOT_WRITES, COOLING, CAPACITY = range(5)
SINCE, COOLINGS, SAMPLED, HOT_BIN = range(4)


def sampled(pages: int, limits: list[int], rate: int, period: int) -> Sampled:
    """No samples yet; ``rate`` pages may move in each ``period``."""
    reads, writes, cooled = (np.zeros(pages, np.int64) for _ in range(3))
    clock, budget = np.array([0, 0, 0, 1], np.int64), np.array([rate, period, 0, rate], np.int64)
    return Sampled(reads, writes, cooled, np.zeros(_BINS, np.int64), np.array(limits, np.int64), clock, budget)


class HeMem(Tier):
    """HeMem (Raybuck et al., SOSP 2021): a page with enough sampled reads or writes is hot; all counts are halved when one
    gets too large. A hot far page is promoted, and a near page that is not hot makes room for it.
    """

    name = "hemem"

    @dataclass(frozen=True)
    class Params(Tier.Params):
        sample: int = param(5, "accesses of which one is sampled (the authors: 5000 loads)", low=1, high=10**9)
        hot_reads: int = param(8, "sampled reads that make a page hot", low=1, high=1 << 30)
        hot_writes: int = param(4, "sampled writes that make a page hot", low=1, high=1 << 30)
        cool: int = param(18, "sampled accesses of a page at which all counts are halved", low=1, high=1 << 30)
        rate: Size = param(Size(10 * 10**9), "most memory promoted in a second", "byte/s", low=4096, high=1 << 44)
        period: Duration = param(Duration(10**7), "how often that limit is set anew", "ns", low=10**3)

    def state(self, site: Site) -> Sampled:
        p = self.params
        rate = max(1, pages_of(p.rate) * p.period // 10**9)
        return sampled(site.trace.pages, [p.sample, p.hot_reads, p.hot_writes, p.cool, self.capacity], rate, p.period)

    @staticmethod
    @jit
    def used(s, b, page, t, write, count):
        if not is_sampled(s, b, page, count):
            return
        cool_down(s, page)
        if write:
            s.writes[page] += 1
        else:
            s.reads[page] += 1
        if s.reads[page] + s.writes[page] >= s.limits[COOLING]:
            s.clock[COOLINGS] += 1
            cool_down(s, page)
        if b.where[page] == FAR and is_hot(s, page) and may_move(s, t):
            if b.free[0] == 0:
                demote_not_hot(s, b)
            if b.free[0] > 0:
                s.budget[3] -= 1
                promote(b, page)


class Memtis(Tier):
    """MEMTIS (Lee et al., SOSP 2023): the distribution of access counts sets the threshold, so that what is hot just fits near
    memory. Pages whose count has as many bits as the threshold are promoted; those with fewer make room. Counts are halved
    every so many samples.
    """

    name = "memtis"

    @dataclass(frozen=True)
    class Params(Tier.Params):
        sample: int = param(5, "accesses of which one is sampled (the authors: 200 loads and up, adapted to the load)", low=1, high=10**9)
        cool: int = param(20_000, "samples after which all counts are halved (the authors: two millions)", low=1, high=1 << 40)
        rate: Size = param(Size(10 * 10**9), "most memory promoted in a second", "byte/s", low=4096, high=1 << 44)
        period: Duration = param(Duration(5 * 10**8), "how often that limit is set anew", "ns", low=10**3)

    def state(self, site: Site) -> Sampled:
        p = self.params
        rate = max(1, pages_of(p.rate) * p.period // 10**9)
        return sampled(site.trace.pages, [p.sample, 0, 0, p.cool, self.capacity], rate, p.period)

    @staticmethod
    @jit
    def used(s, b, page, t, count):
        if not is_sampled(s, b, page, count):
            return
        cool_down(s, page)
        before = bits(s.reads[page])
        s.reads[page] += 1
        after = bits(s.reads[page])
        if before != after:
            if before > 0:
                s.histogram[before] -= 1
            s.histogram[after] += 1
            set_threshold(s)
        s.clock[SAMPLED] += 1
        if s.clock[SAMPLED] >= s.limits[COOLING]:
            cool_all(s)
            cool_down(s, page)
        if b.where[page] == FAR and bits(s.reads[page]) >= s.clock[HOT_BIN] and may_move(s, t):
            if b.free[0] == 0:
                demote_below_threshold(s, b)
            if b.free[0] > 0:
                s.budget[3] -= 1
                promote(b, page)


@jit
def is_sampled(s, b, page, count):
    """Whether the sampler's counter of accesses overflows at this row."""
    s.clock[SINCE] += max(np.int64(count), 1)
    if s.clock[SINCE] < s.limits[SAMPLE]:
        return False
    s.clock[SINCE] %= s.limits[SAMPLE]
    b.tally[b.vm[page], SAMPLES] += 1
    return True


@jit
def cool_down(s, page):
    """Bring a page's counts up to the coolings that have taken place."""
    passed = min(s.clock[COOLINGS] - s.cooled[page], 62)
    s.reads[page] >>= passed
    s.writes[page] >>= passed
    s.cooled[page] = s.clock[COOLINGS]


@jit
def is_hot(s, page):
    """Whether a page whose counts are up to date has enough of them."""
    return s.reads[page] >= s.limits[HOT_READS] or s.writes[page] >= s.limits[HOT_WRITES]


@jit
def may_move(s, t):
    """Whether the rate limit allows a move at ``t``."""
    number = t // s.budget[1]
    if number != s.budget[2]:
        s.budget[2] = number
        s.budget[3] = s.budget[0]
    return s.budget[3] > 0


@jit
def demote_not_hot(s, b):
    """Demote the next near page that is not hot, if there is one not too far on."""
    for _ in range(min(_LOOKED_AT, b.where.size)):
        page = b.hand[0]
        b.hand[0] = (page + 1) % b.where.size
        if b.where[page] == NEAR:
            cool_down(s, page)
            if not is_hot(s, page):
                demote(b, page)
                return


@jit
def demote_below_threshold(s, b):
    """Demote the next near page whose count is below the threshold, if there is one not too far on."""
    for _ in range(min(_LOOKED_AT, b.where.size)):
        page = b.hand[0]
        b.hand[0] = (page + 1) % b.where.size
        if b.where[page] == NEAR:
            cool_down(s, page)
            if bits(s.reads[page]) < s.clock[HOT_BIN]:
                demote(b, page)
                return


@jit
def bits(number):
    """How many bits a number has; none for 0."""
    n = 0
    while number > 0:
        number >>= 1
        n += 1
    return n


@jit
def set_threshold(s):
    """The smallest number of bits such that the pages with as many or more fit near memory."""
    pages, threshold = np.int64(0), _BINS
    while threshold > 1 and pages + s.histogram[threshold - 1] <= s.limits[CAPACITY]:
        threshold -= 1
        pages += s.histogram[threshold]
    s.clock[HOT_BIN] = threshold


@jit
def cool_all(s):
    """Halve all counts: each has one bit less."""
    s.clock[COOLINGS] += 1
    s.clock[SAMPLED] = 0
    for i in range(1, _BINS - 1):
        s.histogram[i] = s.histogram[i + 1]
    s.histogram[_BINS - 1] = 0
    set_threshold(s)
