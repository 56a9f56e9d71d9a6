"""A replacement policy of one's own, as the notebook ``researcher`` writes it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracekit.plugin import Replacement, Slots, below, jit, param, put, slots, take_out


class State(NamedTuple):
    """The pages of each pool, when each page was last used, the pools' random streams, and how many pages are drawn."""

    pages: Slots
    used: np.ndarray
    now: np.ndarray
    rng: np.ndarray
    draws: np.ndarray


class SampledLru(Replacement):
    """Of a few pages drawn at random, the one leaves that was used longest ago."""

    name = "sampled-lru"

    @dataclass(frozen=True)
    class Params(Replacement.Params):
        draws: int = param(5, "pages drawn; one: random", low=1, high=64)

    def state(self, pools):
        return State(
            slots(pools),
            np.zeros(pools.pages, np.int64),
            np.zeros(1, np.int64),
            self.site.streams(pools.number, "victim"),
            np.array([self.params.draws]),
        )

    @staticmethod
    @jit
    def touch(s, pool, page):
        s.now[0] += 1
        s.used[page] = s.now[0]

    @staticmethod
    @jit
    def admit(s, pool, page):
        put(s.pages, pool, page)
        s.now[0] += 1
        s.used[page] = s.now[0]

    @staticmethod
    @jit
    def remove(s, pool, page):
        take_out(s.pages, pool, page)

    @staticmethod
    @jit
    def victim(s, pool, page):
        q = s.pages
        leaves = q.slot[q.base[pool] + below(s.rng[pool], q.filled[pool])]
        for _ in range(s.draws[0] - 1):
            other = q.slot[q.base[pool] + below(s.rng[pool], q.filled[pool])]
            if s.used[other] < s.used[leaves]:
                leaves = other
        take_out(q, pool, leaves)
        return leaves
