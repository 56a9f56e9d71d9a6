"""Template: frames, who maps them, and the table of shared and hint frames (paper section 4.2).

``h`` is the host, ``p`` the state of the replacement policy, which keeps exactly the pages that alone map their frame:
those are what paging out can gain a frame from. A frame is listed under its page's *label*: the digest, told apart by
the domain that the VM may share in. A hint is listed under the label that its page had when scanned and is not
write-protected; a shared frame is copy-on-write. What the table does is the host's ``rules``: it keeps some bits of a
label only, and a shared frame takes so many pages and no more; then there is another one of the same label.
"""

import numpy as np

from tracekit.host import CHANGED, HINT, MASK, MASK_HI, MOST, NONE, OWN_ZERO, PRIVATE, RESIDENT, SHARED, ZERO
from tracekit.kernel import jit
from tracekit.modules.machine.chains import SPREAD, bucket_of

# bind
from tracekit.modules.machine.defaults import admit, may_share, one_pool, remove

# end bind


@jit
def pool_of(vm):
    """The replacement pool of a VM: its own, or the one that all share."""
    return 0 if one_pool else vm


@jit
def vm_of(h, page):
    """The VM of a page."""
    return np.uint32(h.page_vm[page]) if h.vm.size > 1 else np.uint32(0)


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
def changes(h, page):
    """What the page holds, or where, or how that is listed, changes: sharing is counted anew for it."""
    if not h.flags[page] & CHANGED:
        h.flags[page] |= CHANGED
        h.changed[h.changes[0]] = page
        h.changes[0] += 1


@jit
def attach(h, p, vm, page, f):
    """Map a page to a fresh private frame."""
    h.flags[page] |= RESIDENT
    if may_share:
        changes(h, page)
        h.frame[page] = f
        h.refs[f] = 1
        h.owner[f] = page
        h.kind[f] = PRIVATE
    count_resident(h, vm, 1)
    enlist(h, p, vm, page)


@jit
def unmap(h, p, vm, page):
    """Take a page off its frame and free the frame if it was the last. The policy must have let go of the page."""
    h.flags[page] &= ~RESIDENT
    count_resident(h, vm, -1)
    if may_share:
        changes(h, page)
        f = h.frame[page]
        h.frame[page] = NONE
        h.refs[f] -= 1
        h.owner[f] ^= page
        if h.refs[f] > 0:
            if h.refs[f] == 1:
                last = h.owner[f]
                changes(h, last)
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
        changes(h, other)
        forget(h, p, h.page_vm[other], other)
        name(h, g, label_of(h, page), high_of(h, page))  # a hint may have been listed for a content of the same hash
    unmap(h, p, vm, page)
    h.kind[g] = SHARED
    h.flags[page] |= RESIDENT
    h.frame[page] = g
    h.refs[g] += 1
    h.owner[g] ^= page
    count_resident(h, vm, 1)


@jit
def hold(h):
    """Set a free frame aside for compressed pages. There must be one."""
    h.free[0] -= 1
    h.held[0] += 1
    if h.free_frames.size > 0:  # where frames have numbers
        h.free_frames[h.free_frames.size - h.held[0] - h.overhead[0]] = h.free_frames[h.free[0]]


@jit
def let_go(h):
    """Free the frame that was set aside last."""
    if h.free_frames.size > 0:
        h.free_frames[h.free[0]] = h.free_frames[h.free_frames.size - h.held[0] - h.overhead[0]]
    h.held[0] -= 1
    h.free[0] += 1


@jit
def label_of(h, page):
    """What a page's content is called in the table: equal only for equal pages of VMs that may share."""
    digest = h.digest[page]
    if h.rules[OWN_ZERO] and digest == h.rules[ZERO]:
        return digest
    label = digest ^ h.domain[h.page_vm[page]]
    return label ^ h.kin[page] if h.kin.size > 1 else label


@jit
def high_of(h, page):
    """The upper half of a page's digest; 0 where digests have 64 bits."""
    return h.digest_hi[page] if h.digest_hi.size > 1 else np.uint64(0)


@jit
def hash_high(h, f):
    """The upper half of the digest under which a frame is listed."""
    return h.hash_hi[f] if h.hash_hi.size > 1 else np.uint64(0)


@jit
def content_of(h, page):
    """One number for all that tells a page's content: the label, which the upper half of its digest changes."""
    return label_of(h, page) ^ (high_of(h, page) * SPREAD)


@jit
def chain_of(h, label):
    """Index of the hash chain of a label."""
    return bucket_of(h.bucket, np.uint64(label) & h.rules[MASK])


@jit
def name(h, f, label, high):
    """What a frame is listed under."""
    h.hash[f] = label
    if h.hash_hi.size > 1:
        h.hash_hi[f] = high


@jit
def list_frame(h, f, label, kind):
    """Enter a frame, which one page maps, into the table."""
    changes(h, h.owner[f])
    name(h, f, label, high_of(h, h.owner[f]))
    b = chain_of(h, label)
    first = h.bucket[b]
    h.kind[f] = kind
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
    if h.refs[f] == 1:
        changes(h, h.owner[f])
    following, previous = h.chain[f], h.back[f]
    if previous == NONE:
        h.bucket[chain_of(h, h.hash[f])] = following
    else:
        h.chain[previous] = following
    if following != NONE:
        h.back[following] = previous
    h.kind[f] = PRIVATE


@jit
def same_hash(h, label, high, other, other_high):
    """Whether the bits that the table keeps of two contents' hashes are the same."""
    return ((label ^ other) & h.rules[MASK]) | ((high ^ other_high) & h.rules[MASK_HI]) == 0


@jit
def find(h, label, high):
    """A frame that the table has for a label (and upper half of a digest) and that takes another page, or NONE.

    A hint whose page has changed since is dropped on the way. Where the table keeps few bits the frame may hold
    something else: see ``holds``.
    """
    f = h.bucket[chain_of(h, label)]
    while f != NONE:
        following = h.chain[f]
        if same_hash(h, h.hash[f], hash_high(h, f), label, high):
            if h.kind[f] == HINT:
                if same_hash(h, label_of(h, h.owner[f]), high_of(h, h.owner[f]), label, high):
                    return f
                unlist(h, f)
            elif h.refs[f] < h.rules[MOST] or (h.rules[OWN_ZERO] and label == h.rules[ZERO]):
                return f
        f = following
    return NONE


@jit
def holds(h, f, label, high):
    """The full compare: whether a listed frame really holds what the label stands for."""
    if h.kind[f] == HINT:
        return label_of(h, h.owner[f]) == label and high_of(h, h.owner[f]) == high
    return h.hash[f] == label and hash_high(h, f) == high
