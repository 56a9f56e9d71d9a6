"""The low memory that remapping may use: which pages were moved there, and which of them leaves when another comes.

Pages are moved into a zone within the device's reach, the highest that has room, as low memory is scarcer the lower it
lies. Where none has, a page that was moved there before leaves for its home. Which one is a choice: none, a random one
(as ESX pages out), the least recently used, or the one whose copies cost least in the recent past, found among 16 random
ones (sampling instead of a heap: Psounis & Prabhakar 2001). A page stays at least for a while: hysteresis against
two pages that push each other out in turn.
"""

from typing import NamedTuple

import numpy as np

from tracekit import rng
from tracekit.kernel import jit

EVICTIONS = ("none", "random", "lru", "cost-benefit")
_RANDOM, _LRU, _COST_BENEFIT = 1, 2, 3
#: What ``make_room`` answers: there is a free page; there is none and no page may leave.
FREE, NOBODY = -1, -2
_SAMPLES = 16
_NEWER, _OLDER = 0, 1


class Low(NamedTuple):
    """State of the low memory. Pages moved into zone z stand in ``slot[first[z] … first[z] + filled[z] − 1]``, and, for
    eviction by age, on a ring by recency through the entry ``pages + z`` of ``link``.
    """

    free: np.ndarray  # int64 by zone: pages not taken
    first: np.ndarray  # int64 by zone
    filled: np.ndarray  # int64 by zone
    slot: np.ndarray  # uint32: pages
    place: np.ndarray  # uint32 by page: its slot
    link: np.ndarray  # uint32 (pages + zones, 2): newer and older neighbour
    since: np.ndarray  # int64 by page: when it was moved
    used: np.ndarray  # int64 by page: number of its last use, since it was moved
    uses: np.ndarray  # int64, one: uses so far
    heat: np.ndarray  # int64 by page: what its copies have cost, or would have, halved every half-life
    aged: np.ndarray  # int64 by page: number of the half-life as of which heat stands
    evict: np.ndarray  # int64, one: index into EVICTIONS
    stay: np.ndarray  # int64, one: ns
    half_life: np.ndarray  # int64, one: ns
    rng: np.ndarray  # uint64 [2]


def low_memory(free: np.ndarray, pages: int, evict: str, stay: int, half_life: int, origin: int, stream: np.ndarray) -> Low:
    """Low memory with ``free`` pages a zone, for a trace of ``pages`` pages that begins at ``origin``."""
    held = np.minimum(free, pages)
    first = np.cumsum(held) - held
    kept = pages if evict != "none" else 0
    ends = np.arange(kept, kept + len(free), dtype=np.uint32)
    link = np.zeros((kept + len(free), 2), np.uint32)
    link[kept:] = ends[:, None]
    return Low(
        free=free.astype(np.int64),
        first=first.astype(np.int64),
        filled=np.zeros(len(free), np.int64),
        slot=np.zeros(int(held.sum()), np.uint32),
        place=np.zeros(kept, np.uint32),
        link=link,
        since=np.zeros(kept, np.int64),
        used=np.zeros(kept, np.int64),
        uses=np.zeros(1, np.int64),
        heat=np.zeros(pages, np.int64),
        aged=np.full(pages, origin // half_life, np.int64),
        evict=np.array([EVICTIONS.index(evict)], np.int64),
        stay=np.array([stay], np.int64),
        half_life=np.array([half_life], np.int64),
        rng=stream,
    )


@jit
def make_room(m, t, within):
    """The page that leaves so that another can come into one of the first ``within`` zones: FREE where one has room,
    NOBODY where no page may leave.
    """
    for z in range(within):
        if m.free[z] > 0:
            return FREE
    if m.evict[0] == 0:
        return NOBODY
    if m.evict[0] == _LRU:
        return oldest(m, t, within)
    return picked(m, t, within)


@jit
def oldest(m, t, within):
    """The least recently used page among those that have stayed long enough."""
    best, least = NOBODY, np.int64(0)
    for z in range(within):
        ends = m.place.size + z
        page = np.int64(m.link[ends, _NEWER])
        if page == ends:
            continue
        # Recency and time of arrival differ: look a few pages on for one that may leave.
        for _ in range(_SAMPLES):
            if page == ends:
                break
            if t - m.since[page] >= m.stay[0]:
                if best < 0 or m.used[page] < least:
                    best, least = page, m.used[page]
                break
            page = np.int64(m.link[page, _NEWER])
    return best


@jit
def picked(m, t, within):
    """A random page, or the coldest of several, that has stayed long enough."""
    total = 0
    for z in range(within):
        total += m.filled[z]
    if total == 0:
        return NOBODY
    best, least = NOBODY, np.int64(0)
    for _ in range(_SAMPLES):
        pick = rng.below(m.rng, total)
        z = 0
        while pick >= m.filled[z]:
            pick -= m.filled[z]
            z += 1
        page = np.int64(m.slot[m.first[z] + pick])
        if t - m.since[page] < m.stay[0]:
            continue
        if m.evict[0] == _RANDOM:
            return page
        heat = cooled(m, page, t)
        if best < 0 or heat < least:
            best, least = page, heat
    return best


@jit
def cooled(m, page, t):
    """A page's heat at ``t``."""
    halvings = t // m.half_life[0] - m.aged[page]
    return m.heat[page] >> min(halvings, 62)


@jit
def warm(m, page, t, cost):
    """A transfer of a page costs a copy, or would have cost one."""
    m.heat[page] = cooled(m, page, t) + cost
    m.aged[page] = t // m.half_life[0]


@jit
def use(m, page, z):
    """A page that was moved into zone z is used: it becomes the newest of its zone."""
    if m.evict[0] == _LRU:
        unlink(m, page)
        push(m, page, z)


@jit
def settle(m, page, t, within):
    """Take a free page of the highest zone within reach that has one, for ``page``. Returns the zone."""
    z = within - 1
    while m.free[z] == 0:
        z -= 1
    m.free[z] -= 1
    if m.evict[0] != 0:
        i = m.first[z] + m.filled[z]
        m.slot[i] = page
        m.place[page] = i
        m.since[page] = t
        m.filled[z] += 1
        push(m, page, z)
    return z


@jit
def leave(m, page, z):
    """A page gives up its place in zone z."""
    m.free[z] += 1
    if m.evict[0] != 0:
        m.filled[z] -= 1
        i, last = m.place[page], m.slot[m.first[z] + m.filled[z]]
        m.slot[i] = last
        m.place[last] = i
        unlink(m, page)


@jit
def push(m, page, z):
    """Make a page that is on no ring the newest of zone z."""
    m.uses[0] += 1
    m.used[page] = m.uses[0]
    ends = m.place.size + z
    newest = m.link[ends, _OLDER]
    m.link[page, _NEWER] = ends
    m.link[page, _OLDER] = newest
    m.link[newest, _NEWER] = page
    m.link[ends, _OLDER] = page


@jit
def unlink(m, page):
    """Take a page off its ring."""
    newer, older = m.link[page, _NEWER], m.link[page, _OLDER]
    m.link[newer, _OLDER] = older
    m.link[older, _NEWER] = newer
