"""What a transfer costs: bounce buffers as Linux keeps them, or an IOMMU in their place. Kernels, called for each row.

A page beyond its device's reach is copied through a buffer within reach: before a transfer to the device, after one from
it, before and after where it goes both ways. Each page of a transfer bounces for itself, as the host may have put each
elsewhere. Adjacent pages that bounce in one transfer share a segment of the pool; rows of one moment, device and
direction are one mapping, which is what an IOMMU charges for. Forced transfers (confidential VMs) bounce wherever the page
lies, and behind an IOMMU too.
"""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import entry, jit
from tracekit.modules.remapping.low import FREE, Low, leave, make_room, settle, use, warm
from tracekit.modules.remapping.pool import SEGMENT_BYTES, Pool, claim
from tracekit.schema import EVENTS
from tracekit.stream import NO_PAGE

#: Counters of ``Bounces.tally``, by VM, device and phase.
COUNTS = (
    "transfers", "bytes", "bounced", "copied_in_bytes", "copied_out_bytes", "forced", "forced_bytes", "remapped", "evicted", "again",
    "baseline", "baseline_bytes", "unknown", "unknown_bytes", "segments", "exhausted", "exhausted_bytes", "mappings",
)  # fmt: skip
(
    TRANSFERS, BYTES, BOUNCED, COPIED_IN, COPIED_OUT, FORCED, FORCED_BYTES, REMAPPED, EVICTED, AGAIN,
    BASELINE, BASELINE_BYTES, UNKNOWN, UNKNOWN_BYTES, SEGMENTS, EXHAUSTED, EXHAUSTED_BYTES, MAPPINGS,
) = range(len(COUNTS))  # fmt: skip

# Entries of Bounces.last: the row before, and the segment that is being gathered.
_T, _VM, _DEVICE, _WAY, _ROW_PAGE, _PHASE, _SIZE = range(7)
_MARK = EVENTS.index("mark")

# Entries of Bounces.cost, in ps.
BOUNCE_COST, BYTE_COST, MOVE_COST = range(3)


class Bounces(NamedTuple):
    """Where guest pages lie, and what was copied."""

    home: np.ndarray  # uint8 by page: the zone that it was placed in
    zone: np.ndarray  # uint8 by page: the zone that it lies in
    copies: np.ndarray  # uint32 by page: unforced copies since it was last moved
    been: np.ndarray  # bool by page: was moved before
    last_byte: np.ndarray  # uint64 by zone: its highest address
    low: Low
    pool: Pool
    iommu: np.ndarray  # bool, one: devices reach all memory through an IOMMU
    cost: np.ndarray  # int64 [3], ps: of a bounce, of a byte copied, of a page moved
    phase: np.ndarray  # int64 by VM: marks so far
    last: np.ndarray  # int64 [7]
    tally: np.ndarray  # int64 (vm, device, phase, count)


@jit
def zones_in_reach(b, dma_mask):
    """How many zones, from the first on, a device reaches: those whose last byte it reaches."""
    within = 0
    while within < b.last_byte.size and b.last_byte[within] <= dma_mask:
        within += 1
    return within


@jit
def mark(b, vm, what):
    """A mark of a VM begins its next phase."""
    if what == _MARK and b.phase[vm] < b.tally.shape[2] - 1:
        b.phase[vm] += 1


@jit
def beyond_reach(b, t, page, bytes, to_device, dma_mask, forced):
    """Whether a transfer has to be copied because of where its page lies now, so that moving the page would help."""
    if forced or page == NO_PAGE or b.iommu[0]:
        return False
    within = zones_in_reach(b, dma_mask)
    if b.home[page] >= within:
        copied = np.int64(bytes) * (2 if to_device < 0 else 1)
        warm(b.low, page, t, (b.cost[BOUNCE_COST] + copied * b.cost[BYTE_COST]) // 1000)
    if b.zone[page] != b.home[page]:
        use(b.low, page, b.zone[page])
    return b.zone[page] >= within


@jit
def account(b, t, vm, page, device, to_device, bytes, dma_mask, forced, beyond):
    """Count one row, ``beyond`` reach or not."""
    size, phase = np.int64(bytes), b.phase[vm]
    count = b.tally[vm, device, phase]
    count[TRANSFERS] += 1
    count[BYTES] += size
    new = b.last[_T] != t or b.last[_VM] != vm or b.last[_DEVICE] != device or b.last[_WAY] != to_device
    if new:
        count[MAPPINGS] += 1
    into = size if to_device != 0 else 0
    out_of = size if to_device <= 0 else 0
    if page == NO_PAGE:
        count[UNKNOWN] += 1
        count[UNKNOWN_BYTES] += size
    if forced or (page != NO_PAGE and b.home[page] >= zones_in_reach(b, dma_mask)):
        count[BASELINE] += 1
        count[BASELINE_BYTES] += into + out_of
    if forced or beyond:
        count[BOUNCED] += 1
        count[COPIED_IN] += into
        count[COPIED_OUT] += out_of
        if forced:
            count[FORCED] += 1
            count[FORCED_BYTES] += into + out_of
        else:
            b.copies[page] += 2 if to_device < 0 else 1
        adjacent = page != NO_PAGE and np.int64(page) == b.last[_ROW_PAGE] + 1 and not new and b.last[_SIZE] + size <= SEGMENT_BYTES
        if b.last[_SIZE] == 0 or not adjacent:
            end_segment(b)
            count[SEGMENTS] += 1
            b.last[_PHASE] = phase
        b.last[_SIZE] += size
    else:
        end_segment(b)
    b.last[_T], b.last[_VM], b.last[_DEVICE], b.last[_WAY] = t, vm, device, to_device
    b.last[_ROW_PAGE] = np.int64(page) if page != NO_PAGE else -2


@jit
def end_segment(b):
    """Take slots for the segment that was gathered, if there is one."""
    if b.last[_SIZE] > 0:
        if not claim(b.pool, b.last[_T], b.last[_SIZE]):
            count = b.tally[b.last[_VM], b.last[_DEVICE], b.last[_PHASE]]
            count[EXHAUSTED] += 1
            count[EXHAUSTED_BYTES] += b.last[_SIZE]
        b.last[_SIZE] = 0


@entry
def close_books(b):
    """All rows up to a moment have passed, and so has the last segment."""
    end_segment(b)


@jit
def room_for(b, t, dma_mask):
    """The page that would leave low memory for another that this device must reach; FREE or NOBODY."""
    return make_room(b.low, t, zones_in_reach(b, dma_mask))


@jit
def move(b, t, vm, page, device, dma_mask, leaving):
    """Move a page into reach; ``leaving`` (a page, or FREE) goes home to make room."""
    count = b.tally[vm, device, b.phase[vm]]
    if leaving != FREE:
        leave(b.low, leaving, b.zone[leaving])
        b.zone[leaving] = b.home[leaving]
        b.copies[leaving] = 0
        count[EVICTED] += 1
    if b.zone[page] != b.home[page]:
        leave(b.low, page, b.zone[page])
    b.zone[page] = settle(b.low, page, t, zones_in_reach(b, dma_mask))
    b.copies[page] = 0
    count[REMAPPED] += 1
    count[AGAIN] += b.been[page]
    b.been[page] = True
