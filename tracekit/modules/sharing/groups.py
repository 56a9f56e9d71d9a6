"""Pages in groups of which each needs one frame, counted as pages come and go: what is shared, and whom that saves what.

Of a group the first VM (VMs and their pages stand in one order) is charged for the frame; a page less saves each further
page of a VM that is in it, *within* the VM, and the first page of each further VM, *between* VMs. A change costs as many
steps as VMs are in the group.
"""

from typing import NamedTuple

import numpy as np

from tracekit import arrays
from tracekit.host import NONE
from tracekit.kernel import jit
from tracekit.modules.machine.chains import chain_in, chain_out, entry_of

#: Pages of a frame whose 16-bit count cannot tell how many (section 4.2).
OVERFLOWS = 1 << 16
#: Rows of ``sums``.
SUMS = ("distinct", "shared", "zero", "within", "between", "overflow")
DISTINCT, SHARED, ZERO, WITHIN, BETWEEN, OVERFLOW = range(len(SUMS))


class Groups(NamedTuple):
    """Groups by key, and the members of each: a VM that has pages in it, in order of VMs."""

    sums: np.ndarray  # int64 (SUMS, vm)
    # by group
    key: np.ndarray  # uint64
    pages: np.ndarray  # uint32
    zero: np.ndarray  # bool: of zero pages
    first: np.ndarray  # uint32: first member
    chain: np.ndarray  # uint32: next group in the hash chain, or unused group
    bucket: np.ndarray  # uint32: first group of each hash chain
    # by member
    vm: np.ndarray  # uint16
    held: np.ndarray  # uint32: its pages
    following: np.ndarray  # uint32: next member of the group, or unused member
    unused: np.ndarray  # uint32 [2]: first unused group, first unused member


def make_groups(pages: int, vms: int) -> Groups:
    """No groups, and room for as many as pages."""
    chained = np.arange(1, pages + 1, dtype=np.uint32)
    return Groups(
        sums=np.zeros((len(SUMS), vms), np.int64),
        key=arrays.zeros(pages, np.uint64),
        pages=arrays.zeros(pages, np.uint32),
        zero=arrays.zeros(pages, np.bool_),
        first=arrays.full(pages, NONE),
        chain=chained,
        bucket=arrays.full(1 << max(pages - 1, 1).bit_length(), NONE),
        vm=arrays.zeros(pages, np.uint16),
        held=arrays.zeros(pages, np.uint32),
        following=chained.copy(),
        unused=np.zeros(2, np.uint32),
    )


@jit
def enter(g, key, zero, vm):
    """A page of a VM comes to the group of a key."""
    e = entry_of(g.bucket, g.chain, g.key, key)
    if e == NONE:
        e = g.unused[0]
        g.unused[0] = g.chain[e]
        g.key[e], g.pages[e], g.zero[e], g.first[e] = key, 0, zero, NONE
        chain_in(g.bucket, g.chain, key, e)
    pages = g.pages[e]
    if pages == 1:
        g.sums[SHARED, g.vm[g.first[e]]] += 1
    if pages >= 1:
        g.sums[SHARED, vm] += 1
    g.pages[e] = pages + 1
    before, m = NONE, g.first[e]
    while m != NONE and g.vm[m] < vm:
        before, m = m, g.following[m]
    if m != NONE and g.vm[m] == vm:
        g.held[m] += 1
        g.sums[ZERO if g.zero[e] else WITHIN, vm] += 1
    else:
        new = g.unused[1]
        g.unused[1] = g.following[new]
        g.vm[new], g.held[new], g.following[new] = vm, 1, m
        if before == NONE:
            g.first[e] = new
            charge(g, e, vm, m, pages, 1)
        else:
            g.following[before] = new
            g.sums[ZERO if g.zero[e] else BETWEEN, vm] += 1
    if pages + 1 == OVERFLOWS:
        g.sums[OVERFLOW, g.vm[g.first[e]]] += 1


@jit
def leave(g, key, vm):
    """A page of a VM leaves the group of a key, in which it is."""
    e = entry_of(g.bucket, g.chain, g.key, key)
    pages = g.pages[e]
    if pages == OVERFLOWS:
        g.sums[OVERFLOW, g.vm[g.first[e]]] -= 1
    if pages >= 2:
        g.sums[SHARED, vm] -= 1
    g.pages[e] = pages - 1
    before, m = NONE, g.first[e]
    while g.vm[m] != vm:
        before, m = m, g.following[m]
    g.held[m] -= 1
    if g.held[m] > 0:
        g.sums[ZERO if g.zero[e] else WITHIN, vm] -= 1
    else:
        if before == NONE:
            g.first[e] = g.following[m]
            charge(g, e, vm, g.first[e], pages - 1, -1)
        else:
            g.following[before] = g.following[m]
            g.sums[ZERO if g.zero[e] else BETWEEN, vm] -= 1
        g.following[m] = g.unused[1]
        g.unused[1] = m
    if pages == 2:
        g.sums[SHARED, g.vm[g.first[e]]] -= 1
    elif pages == 1:
        drop_group(g, e)


@jit
def charge(g, e, vm, second, pages, change):
    """A VM is charged for the group's frame, of so many pages, instead of its second member, if any (−1: the other way)."""
    g.sums[DISTINCT, vm] += change
    if second == NONE:
        return
    other = g.vm[second]
    g.sums[DISTINCT, other] -= change
    g.sums[ZERO if g.zero[e] else BETWEEN, other] += change
    if pages >= OVERFLOWS:
        g.sums[OVERFLOW, vm] += change
        g.sums[OVERFLOW, other] -= change


@jit
def drop_group(g, e):
    """The group has no pages any more."""
    chain_out(g.bucket, g.chain, g.key[e], e)
    g.chain[e] = g.unused[0]
    g.unused[0] = e
