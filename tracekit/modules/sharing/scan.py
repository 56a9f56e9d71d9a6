"""Template: scanning pages for sharing, and following their contents (paper section 4).

``s`` is the state of the sharing scheme and ``v`` its read-only view of the host; the scheme answers which page is due,
whether a page may be looked up, and whether a page whose content has changed is scanned at once. It is told what came
of every scan, so that it can keep books of its own; frames and their mappers are the machine's alone. ``d`` keeps how long equal pages
went unfound.
"""

import numpy as np

from tracekit.host import (
    ABSENT,
    ALREADY,
    BALLOONED,
    DISTRUSTED,
    FALSE_MATCH,
    HINT,
    JOINED,
    KNOWN,
    LISTED,
    NONE,
    OWN_ZERO,
    PAIRED,
    SHARED,
    SWAPPED,
    ZERO,
)  # fmt: skip
from tracekit.kernel import entry, jit, rare

# bind
from tracekit.modules.machine.defaults import advised, changed, due, seen, trust
from tracekit.modules.machine.discovery import began, ended, found
from tracekit.modules.machine.frames import changes, content_of, find, forget, high_of, holds, label_of, list_frame, merge, unlist
from tracekit.modules.machine.residency import populate, unshare, use

# end bind


@entry
def scan(h, p, s, v, d, vm, budget, first, gap):
    """Scan up to ``budget`` pages of a VM, due from ``first`` on, ``gap`` ns apart. Returns how many the policy named."""
    for scanned in range(budget):
        d.now[0] = np.int64(first + scanned * gap)
        page = due(s, v, vm)
        if page < 0:
            return scanned
        scan_page(h, p, s, v, d, np.uint32(page))
    return budget


@entry
def overwrite(h, p, s, v, d, pages, contents, t):
    """Guests write these pages, which hold these contents from then on."""
    for i in range(pages.size):
        vm = h.page_vm[pages[i]]
        use(h, p, vm, pages[i], True)
        on_content(h, p, s, v, d, vm, pages[i], contents[i], np.uint64(0), t)


@entry
def drop_hints(h):
    """Take all hints out of the table."""
    for f in range(h.refs.size):
        if h.kind[f] == HINT:
            unlist(h, f)


@rare  # not that it is: it is large, and several kernels would each compile it
def scan_page(h, p, s, v, d, page):
    """Look a page up by its content and share it, or make it a hint for a later match."""
    f = h.frame[page]
    vm = h.page_vm[page]
    h.vm[vm].scanned += 1
    if f == NONE or not h.flags[page] & KNOWN or not h.vm[vm].sharing:
        seen(s, v, page, NONE, ABSENT)
        return
    if h.kind[f] == SHARED:
        seen(s, v, page, f, ALREADY)
        return
    if not trust(s, v, page):
        unlist(h, f)
        seen(s, v, page, f, DISTRUSTED)
        return
    label = label_of(h, page)
    high = high_of(h, page)
    g = find(h, label, high)
    if g == f:
        seen(s, v, page, f, LISTED)
        return
    unlist(h, f)  # a hint under an older label
    if g == NONE:
        if h.rules[OWN_ZERO] and label == h.rules[ZERO]:
            list_frame(h, f, label, SHARED)
            h.vm[vm].merged += 1
            found(d, vm, page)
            seen(s, v, page, f, JOINED)
        else:
            list_frame(h, f, label, HINT)
            h.vm[vm].hinted += 1
            seen(s, v, page, f, LISTED)
        return
    if not holds(h, g, label, high):
        h.vm[vm].false_matches += 1
        seen(s, v, page, f, FALSE_MATCH)
        return
    outcome = PAIRED if h.kind[g] == HINT else JOINED
    if outcome == PAIRED:
        found(d, h.page_vm[h.owner[g]], h.owner[g])
    found(d, vm, page)
    forget(h, p, vm, page)
    merge(h, p, vm, page, g)
    h.vm[vm].merged += 1
    seen(s, v, page, g, outcome)


@jit
def on_content(h, p, s, v, d, vm, page, digest, digest_hi, t):
    """From here on the page holds this content."""
    known = h.flags[page] & KNOWN
    new = not known or h.digest[page] != digest or (h.digest_hi.size > 1 and h.digest_hi[page] != digest_hi)
    f = h.frame[page]
    d.now[0] = t
    if new:
        changes(h, page)
    if new and known:
        ended(d, vm, page)
    if f == NONE:
        know(h, d, page, digest, digest_hi, new)
        if not h.vm[vm].populates or h.flags[page] & (SWAPPED | BALLOONED):
            return
        populate(h, p, vm, page)
    else:
        if new and h.kind[f] == SHARED:
            unshare(h, p, vm, page)
        know(h, d, page, digest, digest_hi, new)
    if new and changed(s, v, page):
        scan_page(h, p, s, v, d, page)


@jit
def know(h, d, page, digest, digest_hi, new):
    """Note what the page holds."""
    h.digest[page] = digest
    if h.digest_hi.size > 1:
        h.digest_hi[page] = digest_hi
    h.flags[page] |= KNOWN
    if new:
        began(d, page, content_of(h, page))


@jit
def now_private(h, p, s, v, d, page, t):
    """A write or a fault has put a page on a private frame; the trace tells no new content, so it counts as the old one."""
    d.now[0] = t
    if h.flags[page] & KNOWN and changed(s, v, page):
        scan_page(h, p, s, v, d, page)


@jit
def on_madvise(h, p, s, v, d, vm, first, count, t):
    """The guest wants ``count`` of its pages shared, or (negative) no longer: then their sharing is broken."""
    d.now[0] = t
    begin, end = max(first, 0), min(first + abs(count), h.vm[vm].pages)
    for ppn in range(begin, end):
        page = np.uint32(h.vm[vm].first + ppn)
        advised(s, v, page, count > 0)
        if count > 0 and h.flags[page] & KNOWN and changed(s, v, page):
            scan_page(h, p, s, v, d, page)
        f = h.frame[page]
        if count < 0 and f != NONE and h.kind[f] == SHARED:
            unshare(h, p, vm, page)


@jit
def contents_end(h, d, vm):
    """The VM has ended, and with it what its pages hold."""
    for ppn in range(h.vm[vm].pages):
        page = np.uint32(h.vm[vm].first + ppn)
        if h.flags[page] & KNOWN:
            changes(h, page)
            ended(d, vm, page)
