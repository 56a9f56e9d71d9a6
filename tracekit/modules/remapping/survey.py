"""What lies ahead in a trace's transfers, from one pass before the replay: masks, phases, and the demand of each page.

The demand is what decides what bouncing alone would copy, how concentrated that is, and what one who knew the future
would move. It is summed by page, device and phase, so it is bounded by these and not by the trace's length.
"""

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from tracekit.schema import EVENTS
from tracekit.stream import KIND_ORDER, NO_PAGE, Chunk
from tracekit.trace import Trace

_IO, _EVENT = KIND_ORDER.index("io"), KIND_ORDER.index("event")
_MARK = EVENTS.index("mark")
_FIELDS = ("page", "device", "phase", "mask", "forced")
_SUMS = ("transfers", "copied")


class Survey(NamedTuple):
    """``masks`` are the distinct DMA masks; the other arrays have one entry a (page, device, phase, mask, forced)."""

    masks: np.ndarray  # uint64, ascending
    phases: int  # one more than the most marks that a VM has
    page: np.ndarray  # int64
    device: np.ndarray  # int64
    phase: np.ndarray  # int64: marks of the page's VM before
    mask: np.ndarray  # int64: index into masks
    forced: np.ndarray  # int64: 0 or 1
    transfers: np.ndarray  # int64
    copied: np.ndarray  # int64: bytes that a bounce buffer would copy, twice where a transfer goes both ways


_surveyed: WeakKeyDictionary[Trace, Survey] = WeakKeyDictionary()


def survey(trace: Trace) -> Survey:
    """The survey of a trace's known pages, made once for all its variants."""
    if trace not in _surveyed:
        _surveyed[trace] = _survey(trace)
    return _surveyed[trace]


def _survey(trace: Trace) -> Survey:
    masks: dict[int, int] = {}
    marks = np.zeros(len(trace.vms), np.int64)
    keys, sums = np.empty((0, len(_FIELDS)), np.int64), np.empty((0, len(_SUMS)), np.int64)
    wanted = {"io": ["vm", "page", "device", "to_device", "bytes", "dma_mask", "forced"]}
    if "event" in trace.kinds:
        wanted["event"] = ["vm", "what"]
    for chunk in trace.chunks(wanted):
        phase = _phases(chunk, marks)
        rows = chunk.columns.get("io")
        if rows is None:
            continue
        found, which = np.unique(rows["dma_mask"], return_inverse=True)
        code = np.array([masks.setdefault(int(mask), len(masks)) for mask in found], np.int64)
        known = rows["page"] != NO_PAGE
        both = rows["to_device"] < 0
        columns = (rows["page"], rows["device"], phase, code[which], rows["forced"])
        values = (np.ones(len(known)), rows["bytes"].astype(np.int64) * (1 + both))
        keys = np.concatenate([keys, np.column_stack(columns).astype(np.int64)[known]])
        sums = np.concatenate([sums, np.column_stack(values).astype(np.int64)[known]])
        keys, sums = _summed(keys, sums)
    order = np.argsort(np.array(list(masks), np.uint64))
    rank = np.empty(len(masks), np.int64)
    rank[order] = np.arange(len(masks))
    fields = dict(zip(_FIELDS, keys.T, strict=True)) | dict(zip(_SUMS, sums.T, strict=True))
    fields["mask"] = rank[fields["mask"]]
    return Survey(np.array(list(masks), np.uint64)[order], int(marks.max()) + 1, **fields)


def _phases(chunk: Chunk, marks: np.ndarray) -> np.ndarray:
    """The phase of each I/O row of a chunk: how many marks its VM has had. ``marks`` by VM is advanced."""
    rows, events = chunk.columns.get("io", {}), chunk.columns.get("event", {})
    phase = np.zeros(len(rows.get("t", ())), np.int64)
    for kind, first, end in chunk.runs:
        if kind == _IO:
            phase[first:end] = marks[rows["vm"][first:end]]
        elif kind == _EVENT:
            np.add.at(marks, events["vm"][first:end][events["what"][first:end] == _MARK], 1)
    return phase


def _summed(keys: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One row a distinct key, with the sums of its rows."""
    if not len(keys):
        return keys, sums
    order = np.lexsort(keys.T)
    keys, sums = keys[order], sums[order]
    first = np.flatnonzero(np.concatenate([[True], (np.diff(keys, axis=0) != 0).any(axis=1)]))
    return keys[first], np.add.reduceat(sums, first)
