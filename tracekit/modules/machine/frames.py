"""Template: frames, who maps them, and the table of shared and hint frames (paper section 4.2).

``h`` is the host, ``p`` the state of the replacement policy, which keeps exactly the pages that alone map their frame:
those are what paging out can gain a frame from. The table has at most one frame a digest. A hint is listed under the
digest that its page had when scanned and is not write-protected; a shared frame is copy-on-write.
"""

import numpy as np

from tracekit.host import HINT, NONE, PRIVATE, SHARED
from tracekit.kernel import jit

# bind
from tracekit.modules.machine.defaults import admit, may_share, one_pool, remove

# end bind

_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@jit
def pool_of(vm):
    """The replacement pool of a VM: its own, or the one that all share."""
    return 0 if one_pool else vm


@jit
def count_resident(h, vm, change):
    """A VM has ``change`` more pages resident from now on, and its space-time is counted from now on."""
    h.vm[vm].resident += change
    h.vm[vm].space -= change * (h.accesses[0] if one_pool else h.vm[vm].accesses)


@jit
def enlist(h, p, vm, page):
    """A page has come to be the only one on its frame: it can be paged out."""
    h.vm[vm].sole += 1
    admit(p, pool_of(vm), page)


@jit
def forget(h, p, vm, page):
    """A page that alone maps its frame ceases to be one that can be paged out."""
    h.vm[vm].sole -= 1
    remove(p, pool_of(vm), page)


@jit
def attach(h, p, vm, page, f):
    """Map a page to a fresh private frame."""
    h.frame[page] = f
    if may_share:
        h.refs[f] = 1
        h.owner[f] = page
        h.kind[f] = PRIVATE
    count_resident(h, vm, 1)
    enlist(h, p, vm, page)


@jit
def unmap(h, p, vm, page):
    """Take a page off its frame and free the frame if it was the last. The policy must have let go of the page."""
    f = h.frame[page]
    h.frame[page] = NONE
    count_resident(h, vm, -1)
    if may_share:
        h.refs[f] -= 1
        h.owner[f] ^= page
        if h.refs[f] > 0:
            if h.refs[f] == 1:
                last = h.owner[f]
                enlist(h, p, h.page_vm[last], last)
            return
        unlist(h, f)
    h.free_frames[h.free[0]] = f
    h.free[0] += 1


@jit
def leave(h, p, vm, page):
    """Take a page off its frame for a reason other than the policy's choice."""
    if not may_share or h.refs[h.frame[page]] == 1:
        forget(h, p, vm, page)
    unmap(h, p, vm, page)


@jit
def merge(h, p, vm, page, g):
    """Move a page from its own frame to the shared frame ``g`` of equal content. Neither may be ``g``'s already."""
    if h.refs[g] == 1:
        other = h.owner[g]
        forget(h, p, h.page_vm[other], other)
    unmap(h, p, vm, page)
    h.kind[g] = SHARED
    h.frame[page] = g
    h.refs[g] += 1
    h.owner[g] ^= page
    count_resident(h, vm, 1)


@jit
def hold(h):
    """Set a free frame aside for compressed pages. There must be one."""
    h.free[0] -= 1
    h.held[0] += 1
    h.free_frames[h.free_frames.size - h.held[0]] = h.free_frames[h.free[0]]


@jit
def let_go(h):
    """Free the frame that was set aside last."""
    h.free_frames[h.free[0]] = h.free_frames[h.free_frames.size - h.held[0]]
    h.held[0] -= 1
    h.free[0] += 1


@jit
def chain_of(h, digest):
    """Index of the hash chain of a digest."""
    mixed = np.uint64(digest) * _SPREAD
    return np.int64((mixed >> np.uint64(32)) & np.uint64(h.bucket.size - 1))


@jit
def list_frame(h, f, digest, kind):
    """Enter a frame into the table."""
    b = chain_of(h, digest)
    first = h.bucket[b]
    h.kind[f] = kind
    h.hash[f] = digest
    h.chain[f] = first
    h.back[f] = NONE
    if first != NONE:
        h.back[first] = f
    h.bucket[b] = f


@jit
def unlist(h, f):
    """Take a frame out of the table, if it is in it."""
    if h.kind[f] == PRIVATE:
        return
    following, previous = h.chain[f], h.back[f]
    if previous == NONE:
        h.bucket[chain_of(h, h.hash[f])] = following
    else:
        h.chain[previous] = following
    if following != NONE:
        h.back[following] = previous
    h.kind[f] = PRIVATE


@jit
def find(h, digest):
    """The frame that holds this content, or NONE. A hint whose page has changed since is dropped on the way."""
    f = h.bucket[chain_of(h, digest)]
    while f != NONE:
        if h.hash[f] == digest:
            if h.kind[f] == HINT and h.digest[h.owner[f]] != digest:
                unlist(h, f)
                return NONE
            return f
        f = h.chain[f]
    return NONE
