"""Template: which pages are resident: faults, page-outs, copy-on-write breaks, and the accounts of all of them.

The replacement policy answers *which page*; everything is counted here, so that policies stay comparable.
"""

import numpy as np

from tracekit.host import KNOWN, NONE, SHARED, SWAPPED, TOUCHED
from tracekit.kernel import entry, jit

# bind
from tracekit.modules.machine.defaults import may_share, shares_victims, touch, victim
from tracekit.modules.machine.frames import attach, find, holds, label_of, leave, merge, pool_of, unlist, unmap

# end bind


@jit
def access(h, p, vm, page, write):
    """The guest touches a page. Returns whether the page has come to be on a private frame by that."""
    h.vm[vm].accesses += 1
    f = h.frame[page]
    if f == NONE:
        fault(h, p, vm, page)
        return True
    if may_share and write and h.kind[f] == SHARED:
        unshare(h, p, vm, page)
        return True
    if not may_share or h.refs[f] == 1:
        touch(p, pool_of(h, vm), page)
    return False


@jit
def fault(h, p, vm, page):
    """Make a page resident that the guest touched and that has no frame."""
    flags = h.flags[page]
    if flags & SWAPPED:
        h.vm[vm].major += 1
        h.vm[vm].swapped -= 1
    elif flags & TOUCHED:
        h.vm[vm].minor += 1
    else:
        h.vm[vm].cold += 1
    h.flags[page] = (flags | TOUCHED) & ~SWAPPED
    attach(h, p, page, take(h, p, vm, page))


@jit
def populate(h, p, vm, page):
    """Make a page resident because the trace has told its content, without a touch."""
    h.flags[page] |= TOUCHED
    attach(h, p, page, take(h, p, vm, page))


@jit
def unshare(h, p, vm, page):
    """The content of a page on a copy-on-write frame changes: it gets a private copy, which counts as a break.

    The last page on a shared frame keeps the frame without a copy: nobody else needs the old content.
    """
    f = h.frame[page]
    if h.refs[f] == 1:
        unlist(h, f)
        touch(p, pool_of(h, vm), page)
        return
    unmap(h, p, page)
    attach(h, p, page, take(h, p, vm, page))
    h.vm[vm].breaks += 1
    h.vm[vm].minor += 1


@jit
def take(h, p, vm, page):
    """A free frame for ``page``; pages are paged out until there is one."""
    while h.free[0] == 0:
        payer = richest(h)
        if payer < 0:
            page_out_any(h, p)
        else:
            page_out_one(h, p, payer, page)
    h.free[0] -= 1
    return h.free_frames[h.free[0]]


@jit
def richest(h):
    """The VM furthest above its target that has pages to give; −1 if none has. With one pool, any such VM will do."""
    best = -1
    for i in range(h.vm.size):
        if h.vm[i].sole > 0 and (best < 0 or h.vm[i].resident - h.target[i] > h.vm[best].resident - h.target[best]):
            best = i
    return best


@jit
def page_out_one(h, p, vm, incoming):
    """Page out the policy's victim among a VM's pages; where an equal page is known, share it instead.

    The victim's frame is private or a hint, or a shared one that nobody else maps any more.
    """
    page = victim(p, pool_of(h, vm), incoming)
    payer = h.page_vm[page]
    h.vm[payer].sole -= 1
    f = h.frame[page]
    if may_share and shares_victims and h.flags[page] & KNOWN and h.kind[f] != SHARED and h.vm[payer].shares:
        unlist(h, f)
        label = label_of(h, page)
        g = find(h, label)
        if g != NONE and holds(h, g, label):
            merge(h, p, page, g)
            h.vm[payer].shared_out += 1
            return
    swap_out(h, p, page)


@jit
def swap_out(h, p, page):
    """Write a page to the host's swap and take it off its frame."""
    vm = h.page_vm[page]
    unmap(h, p, page)
    h.flags[page] |= SWAPPED
    h.vm[vm].swapped += 1
    h.vm[vm].page_outs += 1


@jit
def page_out_any(h, p):
    """Last resort, when every frame is shared: page out the next resident page by number, until a policy has a choice."""
    while True:
        page = h.hand[0]
        h.hand[0] = (page + 1) % h.frame.size
        if h.frame[page] != NONE:
            swap_out(h, p, np.uint32(page))
            return


@entry
def page_out(h, p, vm, count):
    """Page out up to ``count`` pages of a VM by the policy's choice."""
    for _ in range(count):
        if h.vm[vm].sole == 0:
            return
        page_out_one(h, p, vm, NONE)


@jit
def power_off(h, p, vm):
    """The VM has ended: its frames fall free, and nothing is known of its pages any more."""
    for ppn in range(h.vm[vm].pages):
        page = np.uint32(h.vm[vm].first + ppn)
        if h.frame[page] != NONE:
            leave(h, p, page)
        h.flags[page] = 0
    h.vm[vm].swapped = 0
    h.vm[vm].ballooned = 0
