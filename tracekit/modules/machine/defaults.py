"""What is bound where a variant has no policy: memory without end, and no sharing."""

import numpy as np

from tracekit.host import NONE
from tracekit.kernel import jit

#: Constants to the compiler, which leaves out what cannot happen. Whether a frame may have several mappers:
may_share = True
#: Whether all VMs share one replacement pool, as in a textbook cache.
one_pool = True
#: Whether there is one pool, and no frame has several mappers or holds anything but a guest page.
plain = False
#: Whether a page about to be paged out is first looked up and shared if possible: a constant likewise.
shares_victims = True


@jit
def touch(s, pool, page):
    """Nobody cares that a resident page was used."""


@jit
def admit(s, pool, page):
    """Nobody keeps track of pages that could be paged out."""


@jit
def remove(s, pool, page):
    """Nobody keeps track of pages that could be paged out."""


@jit
def victim(s, pool, page):
    """Never asked: there is a frame for every page. Answers the page itself."""
    return np.uint32(page)


@jit
def soon(s, page):
    """Nothing is kept of a page that would take time to fetch."""


@jit
def upcoming(s, pool):
    """Nobody knows a page that may be chosen soon."""
    return 0


@jit
def expired(s, pool, page, faults):
    """No page leaves without need."""
    return NONE


@jit
def store(w, h, page, incoming):
    """Nobody cares where a page goes that is paged out."""


@jit
def load(w, h, page):
    """Nobody cares where a page comes from that is paged in."""


@jit
def drop(w, h, page):
    """Nobody cares that a page that was paged out is not needed any more."""


@jit
def changed(s, h, page):
    """A page whose content has changed is not scanned at once."""
    return False


@jit
def due(s, h, vm):
    """No page is due for a scan."""
    return -1


@jit
def trust(s, h, page):
    """Any page may be looked up and become a hint."""
    return True


@jit
def seen(s, h, page, frame, outcome):
    """Nobody keeps books of what came of a scan."""


@jit
def advised(s, h, page, mergeable):
    """Nobody asks the guest."""
