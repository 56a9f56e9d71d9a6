"""KVM's dirty ring: which pages of a guest were stored to, as the kernel's and QEMU's tracepoints print it, or as dumps of the ring.

A dump is of ``struct kvm_dirty_gfn``, 16 bytes: flags (bit 0: dirty, bit 1: harvested), slot, page within the slot.
"""

from collections.abc import Iterator

import numpy as np

from tracekit.formats import ftrace
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.lines import Patterns
from tracekit.formats.records import records
from tracekit.formats.source import Source
from tracekit.formats.text import any_line

_ENTRY = np.dtype([("flags", "<u4"), ("slot", "<u4"), ("page", "<u8")])
_DIRTY = 1
_PUSH = "kvm_dirty_ring_push: ring {ring:dec}: dirty 0x{dirty:hex} reset 0x{reset:hex} slot {slot:dec} offset 0x{page:hex} {*}"
_QEMU_HEADS = ("{pid:dec}@{t:seconds}:", "")
_TRACE = Patterns(
    {"page": "{head}" + _PUSH},
    {"another event of KVM": ftrace.any_event("kvm_"), **ftrace.COMMENTS},
    ftrace.HEADS,
)
_QEMU = Patterns(
    {"page": "{head}kvm_dirty_ring_page vcpu {ring:dec} fetch {fetch:dec} offset 0x{page:hex}"},
    {"another event of QEMU's": "{head}kvm_{*}"},
    _QEMU_HEADS,
)
_BLIND = (
    "stores only, and a page's first until the ring is harvested",
    "pages count from the beginning of a memory slot, whose place in the guest's memory is not told: they are numbered by first touch",
)


def _keys(slot: np.ndarray, page: np.ndarray) -> np.ndarray:
    return slot.astype(np.uint64) << np.uint64(40) | page & np.uint64((1 << 40) - 1)


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    by_qemu = _is_qemus(source)
    stamped = not by_qemu or any_line(rb"\d+@[\d.]+:")(source)
    with source.open() as stream:
        for parsed in (_QEMU if by_qemu else _TRACE).read(stream, tally):
            slot = parsed["page"] * np.uint64(0) if by_qemu else parsed["slot"]
            yield ({"t": parsed["t"]} if stamped else {}) | {"page": _keys(slot, parsed["page"]), "write": True}


def read_dump(source: Source, tally: Tally) -> Iterator[Columns]:
    for found in records(source, _ENTRY, tally):
        dirty = (found["flags"] & _DIRTY) != 0
        tally.drop("entry that is not dirty", np.count_nonzero(~dirty))
        yield {"page": _keys(found["slot"], found["page"])[dirty], "write": True}


_is_qemus = any_line(rb"(\d+@[\d.]+:)?kvm_dirty_ring_page ")
_is_trace = ftrace.has_event(rb"kvm_dirty_ring_push")

FORMAT = Format(
    "dirty-ring",
    ("access",),
    "pages of a guest that were stored to, by KVM's or QEMU's tracepoint",
    lambda source: _is_trace(source) or _is_qemus(source),
    read,
    virtual=True,
    lacks=frozenset({"exact"}),
    blind=(*_BLIND, "QEMU does not tell slots: their pages fall together; harvested together, they have the time of that"),
)
DUMP_FORMAT = Format(
    "dirty-ring-dump",
    ("access",),
    "pages of a guest that were stored to, in the order of the ring",
    lambda source: "dirty-ring" in source.name or "dirty_ring" in source.name,
    read_dump,
    virtual=True,
    lacks=frozenset({"exact"}),
    blind=_BLIND,
)
