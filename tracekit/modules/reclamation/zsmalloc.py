"""Size classes of the memory that compressed pages are kept in, as in Linux's zsmalloc (kernel documentation mm/zsmalloc).

An object goes to the next larger of 255 classes, 16 bytes apart. A class puts its objects side by side into a *zspage*
of so many frames, up to a longest chain, as waste least; classes alike in frames and objects are one. What is lost is
inside objects and at the end of zspages. Two things are simpler here than in the kernel: holes are closed at once, which
the kernel does under pressure, and a zspage gets its frames one by one as its objects need them, so that a class holds
at most one partly filled frame; the kernel's holds up to ``chain`` − 1 frames more, and what holes it has.
"""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import callable_jit
from tracekit.units import PAGE_BYTES

SMALLEST, STEP = 32, 16
#: Bytes that the allocator adds to an object, to find it again.
HANDLE = 8


class Classes(NamedTuple):
    """The size classes, by number from the smallest, and what they hold."""

    of: np.ndarray  # uint16 by bytes of an object, 0 … 4096: its class
    size: np.ndarray  # int64 by class: bytes that an object takes
    frames: np.ndarray  # int64 by class: frames of a zspage
    fit: np.ndarray  # int64 by class: objects of a zspage
    objects: np.ndarray  # int64 by class: objects in it now


def size_classes(chain: int) -> Classes:
    """Empty classes with zspages of at most ``chain`` frames."""
    sizes = np.arange(SMALLEST, PAGE_BYTES + 1, STEP)
    lengths = np.arange(1, chain + 1)
    frames = lengths[np.argmin(lengths * PAGE_BYTES % sizes[:, None], axis=1)]
    fit = frames * PAGE_BYTES // sizes
    # A class like the next larger one is that one.
    kept = np.append((frames[1:] != frames[:-1]) | (fit[1:] != fit[:-1]), True)
    taken = np.minimum(np.arange(PAGE_BYTES + 1) + HANDLE, PAGE_BYTES)
    of = np.searchsorted(sizes[kept], taken).astype(np.uint16)
    return Classes(of, sizes[kept], frames[kept], fit[kept], np.zeros(int(kept.sum()), np.int64))


@callable_jit
def frames_of(q, which, objects):
    """Frames that so many objects of a class take."""
    full, rest = objects // q.fit[which], objects % q.fit[which]
    return full * q.frames[which] + (rest * q.size[which] + PAGE_BYTES - 1) // PAGE_BYTES


@callable_jit
def growth(q, which):
    """Frames, none or one, that one more object of a class takes."""
    return frames_of(q, which, q.objects[which] + 1) - frames_of(q, which, q.objects[which])
