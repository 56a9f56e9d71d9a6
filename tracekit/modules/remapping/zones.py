"""Zones of machine memory, and where guest pages lie at first.

A zone ends where some device's reach ends (and where a NUMA node does), so a page's zone says all that matters about
its address: a device that reaches the first k zones reaches the pages in these and no others. Placement happens once,
before the first row: every guest page has a *home* zone, and only remapping takes it elsewhere.
"""

import numpy as np

from tracekit.errors import ScenarioError
from tracekit.kernel import entry
from tracekit.rng import below
from tracekit.stream import NO_PAGE
from tracekit.units import PAGE_BYTES, format_pages

#: Where guest pages lie at first.
PLACEMENTS = ("captured", "first-touch", "interleaved", "high-first", "random")
#: A zone is kept in 8 bits.
_MOST_ZONES = 255


def reach_in_pages(mask: np.ndarray) -> np.ndarray:
    """Whole machine pages (int64) that a device of this mask reaches: a page is within reach if its last byte is."""
    pages = mask // np.uint64(PAGE_BYTES) + (mask % np.uint64(PAGE_BYTES) == np.uint64(PAGE_BYTES - 1)).astype(np.uint64)
    return np.minimum(pages, np.uint64(NO_PAGE)).astype(np.int64)


def zone_ends(masks: np.ndarray, nodes: int, memory: int) -> np.ndarray:
    """Where zones end (int64, machine pages, ascending; the last is NO_PAGE, which lies beyond everything).

    ``masks`` are the devices' masks (uint64), ``nodes`` equal parts of a machine of ``memory`` pages. Raises
    ScenarioError if there are more zones than can be told apart.
    """
    reach = reach_in_pages(masks)
    cuts = [memory * node // nodes for node in range(1, nodes)]
    ends = np.unique(np.array([*reach[reach > 0], *cuts, NO_PAGE], np.int64))
    if len(ends) > _MOST_ZONES:
        made = f"the devices' {len(masks)} masks and {nodes} nodes make {len(ends)} zones"
        raise ScenarioError(f"{made}, more than {_MOST_ZONES}; name fewer nodes, or mend the masks")
    return ends


def zones_within(ends: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """How many of the zones, from the first on, a device of this mask reaches (int64)."""
    return np.searchsorted(ends, reach_in_pages(mask), "right")


def capacity(ends: np.ndarray, first: int, memory: int) -> np.ndarray:
    """Machine pages of each zone (int64) in a machine of ``memory`` pages, those below ``first`` left out."""
    edges = np.clip(np.concatenate([[0], ends]), min(first, memory), memory)
    return np.diff(edges)


def place(how: str, machine_page: np.ndarray, ends: np.ndarray, room: np.ndarray, rng: np.ndarray) -> np.ndarray:
    """The home zone of every guest page (uint8), pages in order of VM and PPN.

    - ``captured``: page i lies at ``machine_page[i]``;
    - ``first-touch``: every guest has touched its memory in address order, one after the other, and each page lies at the
      lowest address that was free;
    - ``high-first``: the same from the highest address down, which spares low memory;
    - ``interleaved``: page after page goes to zone after zone, round and round, past those that are full;
    - ``random``: any free machine page, each as likely.

    ``room`` is the machine pages (int64) of each zone, ``rng`` a random stream. Raises ScenarioError if they are too few.
    """
    pages = len(machine_page)
    if how == "captured":
        return np.searchsorted(ends, machine_page, "right").astype(np.uint8)
    if room.sum() < pages:
        raise ScenarioError(
            f"the VMs have {format_pages(pages)}, but the machine has {format_pages(int(room.sum()))} for them beyond remap.low; "
            "make remap.memory larger or remap.low smaller"
        )
    zone = np.empty(pages, np.uint8)
    if how == "first-touch":
        zone[:] = _ascending(room, pages)
    elif how == "high-first":
        zone[:] = len(room) - 1 - _ascending(room[::-1], pages)
    elif how == "interleaved":
        _interleave(room.copy(), zone)
    else:
        with np.errstate(over="ignore"):  # uint64 wraps around in the generator when not compiled
            _scatter(rng, room.copy(), zone)
    return zone


def _ascending(room: np.ndarray, pages: int) -> np.ndarray:
    """Zones of ``pages`` pages that fill one zone after the other."""
    return np.searchsorted(np.cumsum(room), np.arange(pages), "right")


@entry
def _interleave(room, zone):
    z = -1
    for i in range(zone.size):
        z = (z + 1) % room.size
        while room[z] == 0:
            z = (z + 1) % room.size
        room[z] -= 1
        zone[i] = z


@entry
def _scatter(rng, room, zone):
    """Draw machine pages one by one without putting back: a zone is as likely as it has free pages."""
    left = room.sum()
    for i in range(zone.size):
        pick = below(rng, left)
        z = 0
        while pick >= room[z]:
            pick -= room[z]
            z += 1
        room[z] -= 1
        left -= 1
        zone[i] = z
