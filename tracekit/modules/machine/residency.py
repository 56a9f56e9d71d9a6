"""Template: which pages are resident: faults, page-outs, copy-on-write breaks, and the accounts of all of them.

The replacement policy answers *which page*; everything is counted here, so that policies stay comparable.
"""

import numpy as np

from tracekit.host import CHANGED, KNOWN, NONE, RESIDENT, SHARED, SWAPPED, TOUCHED
from tracekit.kernel import entry, jit

# bind
from tracekit.modules.machine.defaults import admit, expired, may_share, one_pool, plain, shares_victims, touch, upcoming, victim
from tracekit.modules.machine.defaults import drop as swap_drop
from tracekit.modules.machine.defaults import load as swap_load
from tracekit.modules.machine.defaults import store as swap_store
from tracekit.modules.machine.frames import (
    attach,
    count_resident,
    find,
    high_of,
    hold,
    holds,
    label_of,
    leave,
    let_go,
    merge,
    pool_of,
    unlist,
    unmap,
    vm_of,
)
from tracekit.prefetch import prefetch

# end bind


@jit
def access(h, p, vm, page, write):
    """The guest touches a page. Returns whether the page has come to be on a private frame by that."""
    now_private = use(h, p, vm, page, write)
    if not one_pool:
        h.vm[vm].accesses += 1  # last: what comes and goes for an access does so before it
    return now_private


@jit
def count_accesses(h, vm, first, end):
    """Count the accesses of a run of rows by VM, where nobody asks how many there were before the run has ended."""
    if not one_pool or first == end:
        return
    since, last = np.uint64(first), np.uint64(end)
    if h.vm.size > 1:
        for i in range(since, last):
            if vm[i] != vm[since]:
                h.vm[np.uint32(vm[since])].accesses += np.int64(i - since)
                since = i
    h.vm[np.uint32(vm[since])].accesses += np.int64(last - since)


@jit
def use(h, p, vm, page, write):
    """Have a page resident, and private if it is written."""
    if not h.flags[page] & RESIDENT:
        fault(h, p, vm, page)
        return True
    if may_share and write and h.kind[h.frame[page]] == SHARED:
        unshare(h, p, vm, page)
        return True
    if not may_share or h.refs[h.frame[page]] == 1:
        touch(p, pool_of(vm), page)
    return False


@jit
def release(h, p, vm, page):
    """Page out what a policy of variable space gives up before ``page`` is used. It is asked until it answers NONE."""
    pool = pool_of(vm)
    while True:
        leaves = expired(p, pool, page, not h.flags[page] & RESIDENT)
        if leaves == NONE:
            return
        put_out(h, p, leaves, NONE)


@jit
def fault(h, p, vm, page):
    """Make a page resident that the guest touched and that has no frame."""
    flags = h.flags[page]
    if flags & SWAPPED:
        h.vm[vm].major += 1
        h.vm[vm].swapped -= 1
        swap_load(h.swap, h, page)
    elif flags & TOUCHED:
        h.vm[vm].minor += 1
    else:
        h.vm[vm].cold += 1
    flags = (flags | TOUCHED) & ~SWAPPED
    if plain and h.free[0] == 0:
        relay(h, p, vm, page, flags)
    else:
        h.flags[page] = flags
        attach(h, p, vm, page, take(h, p, page))


@jit
def relay(h, p, vm, page, flags):
    """The frame of the policy's victim goes straight to a page: what taking and attaching do where nothing else can happen.

    Within a VM that changes nothing but who has the frame, which is most of what a textbook cache does. ``flags`` are those
    that the page comes with.
    """
    out = victim(p, 0, page)
    fetch(h, upcoming(p, 0))
    h.flags[out] = (h.flags[out] | SWAPPED) & ~RESIDENT
    h.flags[page] = flags | RESIDENT
    payer = vm_of(h, out)
    h.vm[payer].swapped += 1
    h.vm[payer].page_outs += 1
    if payer != vm:
        count_resident(h, payer, -1)
        count_resident(h, vm, 1)
        h.vm[payer].sole -= 1
        h.vm[vm].sole += 1
    admit(p, 0, page)


@jit
def fetch(h, page):
    """Have the processor fetch what paging a page out will look at."""
    prefetch(h.flags, page)
    if h.vm.size > 1:
        prefetch(h.page_vm, page)


@jit
def populate(h, p, vm, page):
    """Make a page resident because the trace has told its content, without a touch."""
    h.flags[page] |= TOUCHED
    attach(h, p, vm, page, take(h, p, page))


@jit
def unshare(h, p, vm, page):
    """The content of a page on a copy-on-write frame changes: it gets a private copy, which counts as a break.

    The last page on a shared frame keeps the frame without a copy: nobody else needs the old content.
    """
    f = h.frame[page]
    if h.refs[f] == 1:
        unlist(h, f)
        touch(p, pool_of(vm), page)
        return
    unmap(h, p, vm, page)
    attach(h, p, vm, page, take(h, p, page))
    h.vm[vm].breaks += 1
    h.vm[vm].minor += 1


@jit
def take(h, p, page):
    """A free frame for ``page``; pages are paged out until there is one. Its number, where frames have numbers."""
    while h.free[0] == 0:
        page_out_somewhere(h, p, page)
    h.free[0] -= 1
    return h.free_frames[h.free[0]] if may_share else NONE


@jit
def page_out_somewhere(h, p, incoming):
    """Page out a page of whoever is furthest above its target; that may free no frame yet where pages are shared."""
    payer = richest(h)
    if payer < 0:
        page_out_any(h, p, incoming)
    else:
        page_out_one(h, p, payer, incoming)


@jit
def richest(h):
    """The VM furthest above its target that has pages to give; −1 if none has. With one pool, any such VM will do."""
    best = -1
    for i in range(h.vm.size):
        if h.vm[i].sole > 0:
            if one_pool:
                return i
            if best < 0 or h.vm[i].resident - h.target[i] > h.vm[best].resident - h.target[best]:
                best = i
    return best


@jit
def page_out_one(h, p, payer, incoming):
    """Page out the policy's victim among a VM's pages, or with one pool among all."""
    pool = pool_of(payer)
    page = victim(p, pool, incoming)
    fetch(h, upcoming(p, pool))
    put_out(h, p, page, incoming)


@jit
def put_out(h, p, page, incoming):
    """Page out a page that the policy has dropped; where an equal page is known, share it instead.

    Its frame is private or a hint, or a shared one that nobody else maps any more.
    """
    vm = vm_of(h, page)
    h.vm[vm].sole -= 1
    if may_share and shares_victims and h.flags[page] & KNOWN and h.kind[h.frame[page]] != SHARED and h.vm[vm].sharing:
        unlist(h, h.frame[page])
        label = label_of(h, page)
        high = high_of(h, page)
        g = find(h, label, high)
        if g != NONE and holds(h, g, label, high):
            merge(h, p, vm, page, g)
            h.vm[vm].shared_out += 1
            return
    swap_out(h, p, vm, page, incoming)


@jit
def swap_out(h, p, vm, page, incoming):
    """Write a page to the host's swap and take it off its frame. The fault of the page ``incoming`` waits for it, if any."""
    unmap(h, p, vm, page)
    h.flags[page] |= SWAPPED
    h.vm[vm].swapped += 1
    h.vm[vm].page_outs += 1
    swap_store(h.swap, h, page, incoming)


@jit
def page_out_any(h, p, incoming):
    """Last resort, when every frame is shared: page out the next resident page by number, until a policy has a choice."""
    while True:
        page = h.hand[0]
        h.hand[0] = (page + 1) % h.flags.size
        if h.flags[page] & RESIDENT:
            swap_out(h, p, h.page_vm[page], np.uint32(page), incoming)
            return


@entry
def page_out(h, p, vm, count):
    """Page out up to ``count`` pages of a VM by the policy's choice."""
    for _ in range(count):
        if h.vm[vm].sole == 0:
            return
        page_out_one(h, p, vm, NONE)


@entry
def reclaim(h, p, goal, count):
    """Page out up to ``count`` pages of whoever is furthest above its target, until ``goal`` frames are free."""
    for _ in range(count):
        payer = richest(h)
        if payer < 0 or h.free[0] >= goal:
            return
        page_out_one(h, p, payer, NONE)


@entry
def charge_overhead(h, p, count):
    """Take ``count`` frames for what VMs cost beyond their pages, paging out for them. Returns how many there were."""
    for i in range(count):
        while h.free[0] == 0:
            if h.vm.resident.sum() == 0:
                return i
            page_out_somewhere(h, p, NONE)
        hold(h)
        h.held[0] -= 1
        h.overhead[0] += 1
    return count


@entry
def return_overhead(h, count):
    """Give ``count`` such frames back."""
    for _ in range(count):
        h.overhead[0] -= 1
        h.held[0] += 1
        let_go(h)


@entry
def set_absent(h, vm, absent):
    """A VM is on the host from now on, or not."""
    h.vm[vm].absent = absent


@jit
def power_off(h, p, vm):
    """The VM has ended: its frames fall free, and nothing is known of its pages any more."""
    for ppn in range(h.vm[vm].pages):
        page = np.uint32(h.vm[vm].first + ppn)
        if h.flags[page] & RESIDENT:
            leave(h, p, vm, page)
        if h.flags[page] & SWAPPED:
            swap_drop(h.swap, h, page)
        h.flags[page] &= CHANGED
    h.vm[vm].swapped = 0
    h.vm[vm].ballooned = 0
