"""Template: the guest behind its balloon (paper section 3.2).

The trace shows what the guest touches when it has all of its memory. With some of it in the balloon, the guest is a
cache of the rest under its own replacement policy ``g``: the balloon takes free pages first, then the guest's victims.
A victim that was written since its disk copy was made is paged out to the guest's own swap, any other is dropped. When
the guest touches a page that the balloon took, the balloon takes another one for it, and if the guest had given it up,
that is a page-in of the guest. What the guest's kernel keeps for itself is beyond the pages that the trace touches: it
takes its pages likewise, only that the host still has to back them. ``b`` is the state of the guests and their drivers,
see ``guest.py``.
"""

import numpy as np

from tracekit.host import BALLOONED, COPY, DIRTY, GUEST_OUT, IN_USE, KERNEL, NONE, RESIDENT, SWAPPED, ZEROED
from tracekit.kernel import entry, jit

# bind
from tracekit.modules.machine.defaults import admit as guest_admit
from tracekit.modules.machine.defaults import drop as swap_drop
from tracekit.modules.machine.defaults import load as swap_load
from tracekit.modules.machine.defaults import remove as guest_remove
from tracekit.modules.machine.defaults import touch as guest_touch
from tracekit.modules.machine.defaults import victim as guest_victim
from tracekit.modules.machine.frames import leave
from tracekit.modules.machine.residency import access

# end bind

#: When a guest that has ended will have booted, as far as is known: its driver does not load before.
NEVER = 1 << 62


@jit
def guest_access(h, p, b, g, vm, page, write):
    """The guest touches a page: before the host sees it."""
    if not h.flags[page] & IN_USE:
        guest_fault(h, p, b, g, vm, page)
    else:
        guest_touch(g, vm, page)
    if (write or b.vm[vm].blind) and not b.mark[page] & DIRTY:
        if b.mark[page] & COPY:
            b.vm[vm].swap_used -= 1
        b.mark[page] = (b.mark[page] | DIRTY) & ~COPY


@jit
def guest_fault(h, p, b, g, vm, page):
    """The guest takes a page into use: a free one, one that it had given up, or one that the balloon has taken since."""
    if h.flags[page] & GUEST_OUT:
        h.vm[vm].guest_major += 1
    if h.flags[page] & BALLOONED and not b.vm[vm].running:
        pop(h, b, vm)
    taken, kept = h.flags[page] & BALLOONED, b.mark[page] & KERNEL
    h.flags[page] = (h.flags[page] | IN_USE) & ~(BALLOONED | GUEST_OUT)
    b.mark[page] &= ~(KERNEL | ZEROED)
    if taken:
        h.vm[vm].ballooned -= 1
    elif kept:
        b.vm[vm].held -= 1
    if taken or kept:
        other = spare_page(h, b, g, vm, page)
        if other == NONE:
            b.vm[vm].yielded += 1
        elif taken:
            hand_over(h, p, b, vm, other)
        else:
            keep(h, b, vm, other)
    b.vm[vm].in_use += 1
    guest_admit(g, vm, page)


@jit
def hand_over(h, p, b, vm, page):
    """The balloon takes a page that the guest does not use, and the host its frame."""
    if h.flags[page] & SWAPPED:
        h.vm[vm].swapped -= 1
        swap_drop(h.swap, h, page)
    h.flags[page] = (h.flags[page] | BALLOONED) & ~SWAPPED
    b.mark[page] &= ~ZEROED
    h.vm[vm].ballooned += 1
    if h.flags[page] & RESIDENT:
        leave(h, p, vm, page)


@jit
def keep(h, b, vm, page):
    """The guest's kernel takes a page for itself."""
    b.mark[page] = (b.mark[page] | KERNEL) & ~ZEROED
    b.vm[vm].held += 1


@jit
def spare_page(h, b, g, vm, incoming):
    """A page for the balloon or the kernel: a free one, else one that the guest gives up; or NONE."""
    page = free_page(h, b, vm)
    if page == NONE:
        page = give_up(h, b, g, vm, incoming)
    return page


@jit
def give_up(h, b, g, vm, incoming):
    """The guest gives up a page of its policy's choice, written to its swap if it is dirty. NONE if it cannot.

    With its swap full the guest gives up nothing (clean pages neither, for its policy is not asked for them).
    """
    if b.vm[vm].in_use == 0 or b.vm[vm].swap_used == b.vm[vm].swap:
        return NONE
    page = guest_victim(g, vm, incoming)
    b.vm[vm].in_use -= 1
    swapped = h.flags[page] & SWAPPED
    h.flags[page] = (h.flags[page] | GUEST_OUT) & ~IN_USE
    if b.mark[page] & DIRTY:
        b.vm[vm].swap_used += 1
        b.mark[page] = (b.mark[page] | COPY) & ~DIRTY
        h.vm[vm].guest_page_outs += 1
        if swapped:  # the host reads it in only for the guest to write it out
            h.vm[vm].double_paged += 1
            h.vm[vm].swapped -= 1
            h.flags[page] &= ~SWAPPED
            swap_load(h.swap, h, page)
    else:
        b.vm[vm].dropped += 1
        if swapped:  # the host wrote it out for nothing, but need not read it in
            b.vm[vm].dropped_swapped += 1
    return page


@jit
def free_page(h, b, vm):
    """A page that the guest does not use, searched downward from where the last search ended; or NONE."""
    while b.vm[vm].hand > 0:
        b.vm[vm].hand -= 1
        page = np.uint32(h.vm[vm].first + b.vm[vm].hand)
        if is_free(h, b, page):
            return page
    return NONE


@jit
def is_free(h, b, page):
    """Whether nobody has a page of the guest: no program, not its kernel, not the balloon."""
    return not (h.flags[page] & (IN_USE | BALLOONED) or b.mark[page] & KERNEL)


@jit
def pop(h, b, vm):
    """The guest uses memory that only a driver of before its reboot knew to be ballooned: the host resets the balloon."""
    b.vm[vm].pops += 1
    empty(h, b, vm, h.vm[vm].ballooned)


@jit
def empty(h, b, vm, count):
    """Give ``count`` ballooned pages back to the guest's free list, lowest first."""
    page = h.vm[vm].first
    end = page + h.vm[vm].pages
    while count > 0 and page < end:
        if h.flags[page] & BALLOONED:
            h.flags[page] &= ~BALLOONED
            h.vm[vm].ballooned -= 1
            b.vm[vm].hand = h.vm[vm].pages
            count -= 1
        page += 1


@jit
def guest_event(h, b, g, vm, t, what, a):
    """A target that the trace tells, or the guest boots or ends."""
    if what == 3:  # balloon
        b.vm[vm].asked = a
    if what == 1:  # boot
        guest_ends(h, b, g, vm)
        b.vm[vm].began = t
        take_kernel(h, b, vm)
    if what == 2:  # power-off
        guest_ends(h, b, g, vm)
        b.vm[vm].began = NEVER


@jit
def guest_ends(h, b, g, vm):
    """All of the guest's memory is free, and its driver gone."""
    for page in range(h.vm[vm].first, h.vm[vm].first + h.vm[vm].pages):
        if h.flags[page] & IN_USE:
            guest_remove(g, vm, np.uint32(page))
        h.flags[page] &= ~(IN_USE | GUEST_OUT)
        b.mark[page] = 0
    b.vm[vm].hand = h.vm[vm].pages
    b.vm[vm].in_use = b.vm[vm].held = b.vm[vm].swap_used = 0
    if b.vm[vm].running == 1:
        b.vm[vm].running = 0


@jit
def take_kernel(h, b, vm):
    """A guest comes up: its kernel takes its pages, as far as there are free ones."""
    while b.vm[vm].held < b.vm[vm].kernel:
        page = free_page(h, b, vm)
        if page == NONE:
            return
        keep(h, b, vm, page)


@entry
def settle(h, b, vm):
    """A VM's guest comes up for the first time."""
    take_kernel(h, b, vm)


@entry
def inflate(h, p, b, g, vm, count):
    """Inflate a VM's balloon by ``count`` pages, as far as there are pages to take."""
    for _ in range(count):
        page = spare_page(h, b, g, vm, NONE)
        if page == NONE:
            return
        hand_over(h, p, b, vm, page)


@entry
def deflate(h, b, vm, count):
    """Give ``count`` pages back to the guest's free list, lowest first."""
    empty(h, b, vm, count)


@entry
def start_driver(h, b, vm):
    """A VM's driver loads. It knows of no balloon: what the one before it held is given back."""
    if h.vm[vm].ballooned > 0:
        pop(h, b, vm)
    b.vm[vm].running = 1


@entry
def zero(h, p, b, vm, count):
    """The guest's zero-page thread fills up to ``count`` free pages with zeros: the host sees each as written."""
    page = h.vm[vm].first
    end = page + h.vm[vm].pages
    while count > 0 and page < end:
        if is_free(h, b, page) and not b.mark[page] & ZEROED:
            b.mark[page] |= ZEROED
            b.vm[vm].zeroed += 1
            access(h, p, vm, np.uint32(page), True)
            count -= 1
        page += 1
