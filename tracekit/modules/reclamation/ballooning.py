"""Template: the guest behind its balloon (paper section 3.2).

The trace shows what the guest touches when it has all of its memory. With some of it in the balloon, the guest is a
cache of the rest under its own replacement policy ``g``: the balloon takes free pages first, then the guest's victims,
which the guest pages out to its own disk. When the guest touches a page that the balloon took, the balloon takes
another one for it, and if the guest had paged it out, that is a page-in of the guest.
"""

import numpy as np

from tracekit.host import BALLOONED, GUEST_OUT, IN_USE, NONE, SWAPPED
from tracekit.kernel import entry, jit

# bind
from tracekit.modules.machine.defaults import admit as guest_admit
from tracekit.modules.machine.defaults import remove as guest_remove
from tracekit.modules.machine.defaults import touch as guest_touch
from tracekit.modules.machine.defaults import victim as guest_victim
from tracekit.modules.machine.frames import leave

# end bind


@jit
def guest_access(h, p, b, g, vm, page):
    """The guest touches a page: before the host sees it."""
    flags = h.flags[page]
    if flags & IN_USE:
        guest_touch(g, vm, page)
        return
    if flags & BALLOONED:
        if flags & GUEST_OUT:
            h.vm[vm].guest_major += 1
        h.vm[vm].ballooned -= 1
        h.flags[page] = (flags | IN_USE) & ~(BALLOONED | GUEST_OUT)
        inflate_one(h, p, b, g, vm, page)
    else:
        if flags & GUEST_OUT:
            h.vm[vm].guest_major += 1
        h.flags[page] = (flags | IN_USE) & ~GUEST_OUT
    b.in_use[vm] += 1
    guest_admit(g, vm, page)


@jit
def inflate_one(h, p, b, g, vm, incoming):
    """The balloon takes one page of the guest: a free one, else the guest's victim."""
    page = free_page(h, b, vm)
    if page == NONE:
        if b.in_use[vm] == 0:
            return False
        page = guest_victim(g, vm, incoming)
        b.in_use[vm] -= 1
        h.vm[vm].guest_page_outs += 1
        if h.flags[page] & SWAPPED:  # the host reads it in only for the guest to write it out
            h.vm[vm].double_paged += 1
        h.flags[page] |= GUEST_OUT
    if h.flags[page] & SWAPPED:
        h.vm[vm].swapped -= 1
    h.flags[page] = (h.flags[page] | BALLOONED) & ~(IN_USE | SWAPPED)
    h.vm[vm].ballooned += 1
    if h.frame[page] != NONE:
        leave(h, p, page)
    return True


@jit
def free_page(h, b, vm):
    """A page that the guest does not use, searched downward from where the last search ended; or NONE."""
    while b.hand[vm] > 0:
        b.hand[vm] -= 1
        page = np.uint32(h.vm[vm].first + b.hand[vm])
        if not h.flags[page] & (IN_USE | BALLOONED):
            return page
    return NONE


@entry
def inflate(h, p, b, g, vm, count):
    """Inflate a VM's balloon by ``count`` pages, as far as there are pages to take."""
    for _ in range(count):
        if not inflate_one(h, p, b, g, vm, NONE):
            return


@entry
def deflate(h, b, vm, count):
    """Give ``count`` pages back to the guest's free list, lowest first."""
    page = h.vm[vm].first
    end = page + h.vm[vm].pages
    while count > 0 and page < end:
        if h.flags[page] & BALLOONED:
            h.flags[page] &= ~BALLOONED
            h.vm[vm].ballooned -= 1
            b.hand[vm] = h.vm[vm].pages
            count -= 1
        page += 1


@jit
def guest_off(h, b, g, vm):
    """The VM has ended, and its balloon driver with it."""
    for ppn in range(h.vm[vm].pages):
        page = np.uint32(h.vm[vm].first + ppn)
        if h.flags[page] & IN_USE:
            guest_remove(g, vm, page)
    b.in_use[vm] = 0
    b.hand[vm] = h.vm[vm].pages
