"""Template: scanning pages for sharing, and following their contents (paper section 4).

``s`` is the state of the sharing scheme and ``v`` its read-only view of the host; the scheme answers which page is due,
whether a page may become a hint, and whether a page whose content has changed is scanned at once.
"""

from tracekit.host import BALLOONED, HINT, KNOWN, NONE, SHARED, SWAPPED
from tracekit.kernel import entry, jit

# bind
from tracekit.modules.machine.defaults import changed, due, trust
from tracekit.modules.machine.frames import find, forget, list_frame, merge, unlist
from tracekit.modules.machine.residency import populate, unshare

# end bind


@entry
def scan(h, p, s, v, vm, budget):
    """Scan up to ``budget`` pages of a VM. Returns how many the policy named."""
    for scanned in range(budget):
        page = due(s, v, vm)
        if page < 0:
            return scanned
        scan_page(h, p, s, v, page)
    return budget


@jit
def scan_page(h, p, s, v, page):
    """Look a page up by its content and share it, or make it a hint for a later match."""
    f = h.frame[page]
    vm = h.page_vm[page]
    h.vm[vm].scanned += 1
    if f == NONE or not h.flags[page] & KNOWN or h.kind[f] == SHARED:
        return
    digest = h.digest[page]
    g = find(h, digest)
    if g == f:
        return
    unlist(h, f)  # a hint under an older digest
    if g == NONE:
        if trust(s, v, page):
            list_frame(h, f, digest, HINT)
        return
    forget(h, p, vm, page)
    merge(h, p, vm, page, g)


@jit
def on_content(h, p, s, v, vm, page, digest):
    """From here on the page holds this content."""
    known = h.flags[page] & KNOWN
    new = not known or h.digest[page] != digest
    f = h.frame[page]
    if f == NONE:
        h.digest[page] = digest
        h.flags[page] |= KNOWN
        if not h.vm[vm].populates or h.flags[page] & (SWAPPED | BALLOONED):
            return
        populate(h, p, vm, page)
    else:
        if new and h.kind[f] == SHARED:
            unshare(h, p, vm, page)
        h.digest[page] = digest
        h.flags[page] |= KNOWN
    if new and changed(s, v, page):
        scan_page(h, p, s, v, page)


@jit
def now_private(h, p, s, v, page):
    """A write or a fault has put a page on a private frame; the trace tells no new content, so it counts as the old one."""
    if h.flags[page] & KNOWN and changed(s, v, page):
        scan_page(h, p, s, v, page)
