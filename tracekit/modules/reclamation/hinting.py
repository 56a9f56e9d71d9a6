"""Template: a cooperative guest tells which of its pages are free, and the host takes their frames."""

import numpy as np

from tracekit.host import RESIDENT, SWAPPED
from tracekit.kernel import jit

# bind
from tracekit.modules.machine.defaults import drop as swap_drop
from tracekit.modules.machine.frames import leave

# end bind


@jit
def hint_event(h, p, b, vm, what, first, count):
    """Free what the guest says that it does not use; pages beyond its size are none of its."""
    if what != 5:  # hint-free
        return
    size = h.vm[vm].pages
    for ppn in range(min(max(first, 0), size), min(max(first + count, 0), size)):
        page = np.uint32(h.vm[vm].first + ppn)
        if h.flags[page] & SWAPPED:
            h.flags[page] &= ~SWAPPED
            h.vm[vm].swapped -= 1
            swap_drop(h.swap, h, page)
            b.vm[vm].hinted += 1
        elif h.flags[page] & RESIDENT:
            leave(h, p, vm, page)
            b.vm[vm].hinted += 1
