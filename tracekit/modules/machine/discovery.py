"""Template: how long equal pages go unfound, whatever the scheme: the truth that a scan is measured by.

Of each content that pages hold now it is kept how many do, since when there are two, and until when there were. A page
*can be shared* from when it and another one hold the same. It is *found* when it is first shared after that, and *missed*
if its content ends before. Entries are as many as contents now held, so memory is bounded by pages.
"""

import math
from typing import NamedTuple

import numpy as np

from tracekit.host import NONE
from tracekit.kernel import jit
from tracekit.modules.machine.chains import chain_in, chain_out, entry_of

# bind
# end bind

#: Bins of times: four to the doubling, from 1 ns.
BINS = 256
NEVER = -(1 << 62)


class Discovery(NamedTuple):
    """State; an entry is a content held by at least one page."""

    now: np.ndarray  # int64 [1]: trace time
    since: np.ndarray  # int64 by page: when its content came
    entry: np.ndarray  # uint32 by page: the entry of its content, or NONE
    is_found: np.ndarray  # bool by page: its content has been shared since it came
    label: np.ndarray  # uint64 by entry
    held: np.ndarray  # uint32 by entry: pages that hold it
    rose: np.ndarray  # int64 by entry: when a second page came to hold it, the last time
    fell: np.ndarray  # int64 by entry: when only one page was left, the last time
    chain: np.ndarray  # uint32 by entry: next in the hash chain
    bucket: np.ndarray  # uint32: first entry of each hash chain
    unused: np.ndarray  # uint32: stack of unused entries
    top: np.ndarray  # int64 [1]: how many those are
    times: np.ndarray  # int64 (vm, BINS): found pages by the time it took
    total: np.ndarray  # int64 by VM: sum of those times, in µs
    missed: np.ndarray  # int64 by VM


def make_discovery(pages: int, vms: int) -> Discovery:
    """The state before any content is known."""
    return Discovery(
        now=np.zeros(1, np.int64),
        since=np.zeros(pages, np.int64),
        entry=np.full(pages, NONE),
        is_found=np.zeros(pages, np.bool_),
        label=np.zeros(pages, np.uint64),
        held=np.zeros(pages, np.uint32),
        rose=np.zeros(pages, np.int64),
        fell=np.zeros(pages, np.int64),
        chain=np.full(pages, NONE),
        bucket=np.full(1 << max(pages - 1, 1).bit_length(), NONE),
        unused=np.arange(pages - 1, -1, -1, dtype=np.uint32),
        top=np.array([pages], np.int64),
        times=np.zeros((vms, BINS), np.int64),
        total=np.zeros(vms, np.int64),
        missed=np.zeros(vms, np.int64),
    )


@jit
def began(d, page, label):
    """From now on the page holds the content of this label."""
    e = entry_of(d.bucket, d.chain, d.label, label)
    if e == NONE:
        d.top[0] -= 1
        e = d.unused[d.top[0]]
        d.label[e], d.held[e], d.fell[e] = label, 0, NEVER
        chain_in(d.bucket, d.chain, label, e)
    d.held[e] += 1
    if d.held[e] == 2:
        d.rose[e] = d.now[0]
    d.entry[page], d.since[page], d.is_found[page] = e, d.now[0], False


@jit
def ended(d, vm, page):
    """The page ceases to hold its content."""
    e = d.entry[page]
    if not d.is_found[page] and (d.held[e] > 1 or d.fell[e] >= d.since[page]):
        d.missed[vm] += 1
    d.held[e] -= 1
    if d.held[e] == 1:
        d.fell[e] = d.now[0]
    elif d.held[e] == 0:
        chain_out(d.bucket, d.chain, d.label[e], e)
        d.unused[d.top[0]] = e
        d.top[0] += 1
    d.entry[page] = NONE


@jit
def found(d, vm, page):
    """The page is shared now; counted once for every content that it holds."""
    if d.is_found[page]:
        return
    d.is_found[page] = True
    took = max(d.now[0] - max(d.since[page], d.rose[d.entry[page]]), 0)  # it came after its scan was due, and before that was made
    d.times[vm, bin_of(took)] += 1
    d.total[vm] += took // 1000


@jit
def bin_of(took):
    """The bin of a time in ns."""
    return 0 if took < 1 else min(np.int64(4.0 * math.log2(np.float64(took))), BINS - 1)


def quantile(times: np.ndarray, part: float) -> float | None:
    """The time (ns) within which this part of the found pages was found, to within a bin (19 %); None if none was."""
    if not times.sum():
        return None
    reached = int(np.searchsorted(np.cumsum(times), part * times.sum()))
    return 0.0 if reached == 0 else 2 ** ((reached + 0.5) / 4)
