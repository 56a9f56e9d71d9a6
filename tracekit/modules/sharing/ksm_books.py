"""KSM's own books: what ksmd knows of each page from its last visit, and the counters that follow from it.

ksmd keeps an *item* for each page that it has met in a mergeable range. An item hangs on a node of the stable tree (one
copy-on-write frame), or stands in the unstable tree (checked once this scan, unique so far), or neither (volatile). The
machine may have moved the page since: ksmd finds out when it comes by again, and so do these counters, as in the kernel.

Behaviour after the kernel's documentation (admin-guide/mm/ksm) and of Linux 6.18; trees are the machine's table here, in
which a hint is a page of the unstable tree and a shared frame a node of the stable one.
"""

from typing import NamedTuple

import numpy as np

from tracekit.host import ALREADY, JOINED, KNOWN, LISTED, NONE, OWN_ZERO, PAIRED, SHARED, ZERO
from tracekit.kernel import jit

# What of an item is set: bits of Items.flags.
ITEM = np.uint8(1)  # ksmd has met the page
UNSTABLE = np.uint8(2)  # it stands in the unstable tree
MERGEABLE = np.uint8(4)  # madvise(MADV_MERGEABLE) holds for the page

# Columns of Items.counts.
SHARED_NODES, SHARING, UNSHARED, ITEMS, SKIPPED, SCANNED, FULL_SCANS, POSITION, FREE_NODES, SMART = range(10)


class Items(NamedTuple):
    """ksmd's state. Nodes are numbered on their own, because a frame may be freed and used again before ksmd comes by."""

    flags: np.ndarray  # uint8 by page: ITEM, UNSTABLE, MERGEABLE
    node: np.ndarray  # uint32 by page: node that its item hangs on, or NONE
    checksum: np.ndarray  # uint32 by page: of the content at the last visit; 0 in a fresh item
    age: np.ndarray  # uint8 by page: visits and skips so far, at most 255
    skips: np.ndarray  # uint8 by page: scans that the page may still be skipped
    frame_node: np.ndarray  # uint32 by frame: its node, where it is shared
    length: np.ndarray  # uint32 by node: items that hang on it
    label: np.ndarray  # uint64 by node: label of its content
    free_nodes: np.ndarray  # uint32: stack of unused nodes
    counts: np.ndarray  # int64: see above


def make_items(pages: int, frames: int, smart: bool, mergeable: bool) -> Items:
    """The state before the first scan: no page met, all or none of them mergeable."""
    count = np.zeros(10, np.int64)
    count[FREE_NODES], count[SMART] = pages, smart
    return Items(
        flags=np.full(pages, MERGEABLE if mergeable else 0, np.uint8),
        node=np.full(pages, NONE),
        checksum=np.zeros(pages, np.uint32),
        age=np.zeros(pages, np.uint8),
        skips=np.zeros(pages, np.uint8),
        frame_node=np.full(frames, NONE),
        length=np.zeros(pages, np.uint32),
        label=np.zeros(pages, np.uint64),
        free_nodes=np.arange(pages - 1, -1, -1, dtype=np.uint32),
        counts=count,
    )


@jit
def next_page(s, h, vm):
    """The next page that ksmd visits, in order of VM and page; −1 at the end of a full scan, which also ends the batch."""
    count = s.counts
    while count[POSITION] < s.flags.size:
        page = count[POSITION]
        count[POSITION] += 1
        f = h.frame[page]
        if f == NONE or not h.flags[page] & KNOWN or not s.flags[page] & MERGEABLE or on_own_zero(h, page, f):
            forget_item(s, page)
            continue
        if not s.flags[page] & ITEM:
            s.flags[page] |= ITEM
            count[ITEMS] += 1
        if count[SMART] and h.kind[f] != SHARED and is_skipped(s, page):
            continue
        count[SCANNED] += 1
        return page
    count[POSITION] = 0
    count[FULL_SCANS] += 1
    return -1


@jit
def on_own_zero(h, page, f):
    """Whether a page maps the kernel's zero page, which ksmd passes over."""
    return h.rules[OWN_ZERO] and h.kind[f] == SHARED and h.hash[f] == h.rules[ZERO]


@jit
def is_skipped(s, page):
    """Smart scan: whether a page that found no partner for several visits is left out this time.

    From its fourth visit on it is skipped 1, 2, 4 or 8 times between visits as its age passes 3, 5 and 8.
    """
    age = s.age[page]
    if age < 255:
        s.age[page] += 1
    if age < 3:
        return False
    if s.skips[page] == 0:
        s.skips[page] = 1 if age <= 3 else 2 if age <= 5 else 4 if age <= 8 else 8
        return False
    s.counts[SKIPPED] += 1
    s.skips[page] -= 1
    take_off(s, page)
    return True


@jit
def take_off(s, page):
    """Take a page's item off the trees."""
    if s.flags[page] & UNSTABLE:
        s.flags[page] &= ~UNSTABLE
        s.counts[UNSHARED] -= 1
    node = s.node[page]
    if node == NONE:
        return
    s.node[page] = NONE
    s.length[node] -= 1
    if s.length[node] == 0:
        s.counts[SHARED_NODES] -= 1
        s.free_nodes[s.counts[FREE_NODES]] = node
        s.counts[FREE_NODES] += 1
    else:
        s.counts[SHARING] -= 1


@jit
def forget_item(s, page):
    """ksmd drops the item of a page that it finds gone."""
    if s.flags[page] & ITEM:
        take_off(s, page)
        s.flags[page] &= ~ITEM
        s.counts[ITEMS] -= 1
        s.checksum[page], s.age[page], s.skips[page] = 0, 0, 0


@jit
def unchanged(s, h, page):
    """The gate: whether a page's checksum is what it was at the last visit."""
    checksum = np.uint32(h.digest[page] & np.uint64(0xFFFFFFFF))
    same = s.checksum[page] == checksum
    s.checksum[page] = checksum
    return same


@jit
def note(s, h, page, f, outcome):
    """Follow in the books what came of a visit."""
    if outcome == ALREADY:
        return
    take_off(s, page)
    if outcome == LISTED:
        s.flags[page] |= UNSTABLE
        s.counts[UNSHARED] += 1
    elif outcome == PAIRED:
        other = h.owner[f] ^ np.uint32(page)
        take_off(s, other)
        s.counts[FREE_NODES] -= 1
        node = s.free_nodes[s.counts[FREE_NODES]]
        s.frame_node[f] = node
        s.label[node] = h.hash[f]
        s.counts[SHARED_NODES] += 1
        hang(s, other, node)
        s.counts[SHARING] += 1
        hang(s, page, node)
    elif outcome == JOINED and not on_own_zero(h, page, f):
        s.counts[SHARING] += 1
        hang(s, page, s.frame_node[f])


@jit
def hang(s, page, node):
    """Hang a page's item on a node."""
    s.node[page] = node
    s.length[node] += 1


@jit
def advised(s, h, page, mergeable):
    """madvise: from here on a page is mergeable, or no longer."""
    if mergeable:
        s.flags[page] |= MERGEABLE
    else:
        s.flags[page] &= ~MERGEABLE


def chains(s: Items) -> tuple[int, int]:
    """Contents that take several nodes, and the nodes of such contents."""
    _, nodes = np.unique(s.label[s.length > 0], return_counts=True)
    return int((nodes > 1).sum()), int(nodes[nodes > 1].sum())
