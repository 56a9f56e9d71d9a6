"""The host: one struct of arrays a variant, read-only views of it, and the audit that proves its books.

Guest pages have dense ids ``base[vm] + ppn``; frames are machine pages. Nothing here decides anything: kernels in
``tracekit.modules`` change these arrays, the audit checks that what they did is possible.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tracekit import arrays
from tracekit.trace import Vm

#: No frame, no page, end of a chain.
NONE = np.uint32(0xFFFFFFFF)

# Flags of a guest page.
TOUCHED = np.uint8(1)  # has held something: its frame has been used
KNOWN = np.uint8(2)  # the trace has told its content
SWAPPED = np.uint8(4)  # paged out by the host
BALLOONED = np.uint8(8)  # held by the balloon driver
IN_USE = np.uint8(16)  # in use by the guest (kept where a balloon is replayed)
GUEST_OUT = np.uint8(32)  # paged out by the guest itself
RESIDENT = np.uint8(64)  # mapped to machine memory
CHANGED = np.uint8(128)  # listed in Host.changed

# Marks of a guest page, kept by the guest where a balloon is replayed.
DIRTY = np.uint8(1)  # written since its copy on disk was made, if there is one
COPY = np.uint8(2)  # its swap slot holds what it holds
KERNEL = np.uint8(4)  # the guest's kernel has it for itself
ZEROED = np.uint8(8)  # free, and filled with zeros by the zero-page thread

# Kinds of a frame.
PRIVATE = np.uint8(0)
HINT = np.uint8(1)  # listed under the digest it had when scanned, not write-protected
SHARED = np.uint8(2)  # listed, copy-on-write

# What can come of scanning a page for sharing.
ABSENT = np.uint8(0)  # it is not resident, its content is not known, or its VM shares nothing
ALREADY = np.uint8(1)  # its frame was copy-on-write before
DISTRUSTED = np.uint8(2)  # the scheme would not have it looked up
LISTED = np.uint8(3)  # nothing equal is listed: its own frame is a hint now
PAIRED = np.uint8(4)  # it equals a hint: that frame is shared by the two now
JOINED = np.uint8(5)  # it has joined a shared frame
FALSE_MATCH = np.uint8(6)  # the table took it for something that the full compare finds different

# What ``Host.rules`` says of the table of shared and hint frames.
MASK = 0  # the bits of a label that the table keeps
MOST = 1  # most pages that may map one shared frame
OWN_ZERO = 2  # 1: the host has a zero page of its own, which any number of pages may map
ZERO = 3  # digest of the zero page
MASK_HI = 4  # the bits of the upper half of a digest that the table keeps

#: Host states by index (paper section 6.3).
STATES = ("high", "soft", "hard", "low")


#: What the machine keeps of each VM. Counters only grow.
VM_FIELDS = (
    "first",  # page id of PPN 0
    "pages",  # size
    "populates",  # content rows make pages resident (the VM has no access rows to do so)
    "sharing",  # its pages may be shared
    "absent",  # an allocation stage has not admitted it, or it has ended: its rows are ignored
    "resident",
    "space",  # with resident × the accesses of its pool: the page-accesses (space-time) that it has held
    "sole",  # pages that alone map their frame: what can be paged out
    "ballooned",
    "swapped",
)
COUNTERS = (
    "ignored", "accesses", "cold", "major", "minor", "page_outs", "shared_out", "double_paged", "guest_major", "guest_page_outs",
    "breaks", "scanned", "merged", "hinted", "false_matches",
)  # fmt: skip
VM_RECORD = np.dtype([(name, np.int64) for name in VM_FIELDS + COUNTERS])


class Host(NamedTuple):
    """Arrays of one variant's host. ``vm`` is one record a VM, because few arrays make kernels that compile fast.

    Where no frame can have several mappers, nobody asks which frame a page has, only how many are free: then ``frame`` and
    the arrays by frame are empty.
    """

    # guest pages
    frame: np.ndarray  # uint32: machine page, or NONE
    digest: np.ndarray  # uint64: content, where KNOWN
    digest_hi: np.ndarray  # uint64: upper half of the digest; of one element where digests have 64 bits
    kin: np.ndarray  # uint64: pages of different kin share nothing; of one element where the scheme tells no pages apart
    flags: np.ndarray  # uint8
    page_vm: np.ndarray  # uint16: the VM of a page
    changed: np.ndarray  # uint32: pages whose content, frame or listing has changed since sharing was last counted, each once
    # frames
    owner: np.ndarray  # uint32: xor of the pages that map the frame: with one mapper, that page
    refs: np.ndarray  # uint32: pages that map the frame
    kind: np.ndarray  # uint8
    hash: np.ndarray  # uint64: label under which a hint or shared frame is listed
    hash_hi: np.ndarray  # uint64: likewise upper half of the digest; of one element where digests have 64 bits
    chain: np.ndarray  # uint32: next frame in the hash chain
    back: np.ndarray  # uint32: previous frame in the hash chain, NONE for the first
    bucket: np.ndarray  # uint32: first frame of each hash chain
    free_frames: np.ndarray  # uint32: stack of free frames; at its other end a stack of held ones
    # scalars, as arrays of one
    accesses: np.ndarray  # int64: accesses of all VMs so far; the virtual time of a pool that they share
    frames: np.ndarray  # int64: all frames
    free: np.ndarray  # int64: free ones
    changes: np.ndarray  # int64: how many pages those in ``changed`` are
    held: np.ndarray  # int64: frames that hold swapped pages, compressed: no guest page can use them
    overhead: np.ndarray  # int64: frames that VMs which came later cost the host beyond their pages, likewise
    hand: np.ndarray  # int64: where the last-resort search of reclaim stands
    state: np.ndarray  # int64: index into STATES
    rules: np.ndarray  # uint64 [MASK, MOST, OWN_ZERO, ZERO, MASK_HI]: how frames are shared
    # VMs
    vm: Any  # recarray VM_RECORD by VM: kept by the machine
    domain: np.ndarray  # uint64 by VM: VMs whose domains differ share nothing
    min: np.ndarray  # int64 by VM, pages: guaranteed
    max: np.ndarray  # int64 by VM, pages: the most it may hold
    shares: np.ndarray  # int64 by VM
    target: np.ndarray  # int64 by VM, pages it should hold
    active: np.ndarray  # int64 by VM: estimate of pages in use
    # what the swap stage knows of swapped pages: its state, in what kernels are given; see Run
    swap: Any


def make_host(vms: Sequence[Vm], frames: int, shares: bool, kin: bool = False, wide: bool = False) -> Host:
    """An empty host of ``frames`` machine pages.

    ``shares``: frames may have several mappers (sharing is replayed); ``kin``: equal pages may be told apart;
    ``wide``: digests have 128 bits.
    """
    size = np.array([vm.pages for vm in vms], np.int64)
    pages, listed = int(size.sum()), frames if shares else 0
    page_vm = arrays.zeros(pages, np.uint16)
    page_vm[:] = np.repeat(np.arange(len(vms), dtype=np.uint16), size)
    books = np.zeros(len(vms), VM_RECORD).view(np.recarray)
    books["first"], books["pages"] = [vm.base for vm in vms], size
    books["sharing"] = True
    return Host(
        frame=arrays.full(pages if shares else 0, NONE),
        digest=arrays.zeros(pages, np.uint64),
        digest_hi=np.zeros(pages if wide else 1, np.uint64),
        kin=np.zeros(pages if kin else 1, np.uint64),
        flags=arrays.zeros(pages, np.uint8),
        page_vm=page_vm,
        changed=np.zeros(pages if shares else 0, np.uint32),
        owner=arrays.zeros(listed, np.uint32),
        refs=arrays.zeros(listed, np.uint32),
        kind=arrays.zeros(listed, np.uint8),
        hash=np.zeros(listed, np.uint64),
        hash_hi=np.zeros(listed if wide else 1, np.uint64),
        chain=np.full(listed, NONE),
        back=np.full(listed, NONE),
        bucket=np.full(1 << max(listed - 1, 1).bit_length(), NONE),
        free_frames=np.arange(listed - 1, -1, -1, dtype=np.uint32),
        frames=np.array([frames], np.int64),
        accesses=np.zeros(1, np.int64),
        free=np.array([frames], np.int64),
        changes=np.zeros(1, np.int64),
        held=np.zeros(1, np.int64),
        overhead=np.zeros(1, np.int64),
        hand=np.zeros(1, np.int64),
        state=np.zeros(1, np.int64),
        rules=np.array([(1 << 64) - 1, (1 << 64) - 1, 0, 0, (1 << 64) - 1], np.uint64),
        vm=books,
        domain=np.zeros(len(vms), np.uint64),
        min=np.zeros_like(size),
        max=size.copy(),
        shares=size.copy(),
        target=size.copy(),
        active=size.copy(),
        swap=np.zeros(1, np.int64),
    )


def view(host: Host, writes: Iterable[str] = ()) -> Host:
    """The same arrays, read-only but for those named in ``writes``: writing another one raises, or does not compile."""
    allowed = set(writes)
    unknown = allowed - set(Host._fields)
    if unknown:
        raise ValueError(f"no host array is called {', '.join(sorted(unknown))}")
    fields = []
    for name, array in zip(Host._fields, host, strict=True):
        if name not in allowed:
            array = array.view()
            array.flags.writeable = False
        fields.append(array)
    return Host(*fields)


def saved(host: Host) -> int:
    """Machine pages that sharing saves now: resident guest pages less frames in use."""
    return int(host.vm.resident.sum()) - used(host)


def used(host: Host) -> int:
    """Frames that guest pages are mapped to."""
    return int(host.frames[0]) - int(host.free[0]) - int(host.held[0]) - int(host.overhead[0])


def audit(host: Host, before: Host | None = None) -> None:
    """Raise AssertionError unless the books balance: every page, frame, list and counter accounted for once.

    ``before`` is an earlier copy of the counters (``snapshot``) that must not have fallen.
    """
    mapped = (host.flags & RESIDENT) != 0
    vms = len(host.vm)
    _same("resident pages", host.vm.resident, np.bincount(host.page_vm[mapped], minlength=vms))
    for name, flag in (("swapped", SWAPPED), ("ballooned", BALLOONED)):
        flagged = (host.flags & flag) != 0
        _same(f"{name} pages", host.vm[name], np.bincount(host.page_vm[flagged], minlength=vms))
        assert not (flagged & mapped).any(), f"a {name} page is resident"
    free, held, frames = int(host.free[0]), int(host.held[0]) + int(host.overhead[0]), int(host.frames[0])
    if not len(host.refs):
        _same("free + used + held frames", free + int(mapped.sum()) + held, frames)
        _same("pages that alone map their frame", host.vm.sole, host.vm.resident)
    else:
        refs = np.bincount(host.frame[mapped], minlength=frames)
        _same("free + used + held frames", free + int((refs > 0).sum()) + held, frames)
        unmapped = np.concatenate([host.free_frames[:free], host.free_frames[frames - held :]])
        _same("free and held frames listed once", len(np.unique(unmapped)), len(unmapped))
        assert not refs[unmapped].any(), "a free or held frame is mapped"
        alone = np.flatnonzero(mapped)[refs[host.frame[mapped]] == 1]
        _same("pages that alone map their frame", host.vm.sole, np.bincount(host.page_vm[alone], minlength=vms))
        _audit_sharing(host, mapped, refs)
    if before is not None:
        for name in COUNTERS:
            assert (host.vm[name] >= before.vm[name]).all(), f"counter {name} fell"


def _audit_sharing(host: Host, mapped: np.ndarray, refs: np.ndarray) -> None:
    _same("pages that have a frame", host.frame != NONE, mapped)
    _same("refs of frames", host.refs, refs)
    owner = np.zeros(len(host.refs), np.uint32)
    np.bitwise_xor.at(owner, host.frame[mapped], np.flatnonzero(mapped).astype(np.uint32))
    _same("owners of frames", host.owner[refs > 0], owner[refs > 0])
    assert ((refs > 1) <= (host.kind == SHARED)).all(), "a frame of several pages is not copy-on-write"
    on_shared = np.flatnonzero(mapped)[host.kind[host.frame[mapped]] == SHARED]
    label = host.digest ^ host.domain[host.page_vm] ^ host.kin
    if host.rules[OWN_ZERO]:
        label[host.digest == host.rules[ZERO]] = host.rules[ZERO]
    _same("contents of shared frames", label[on_shared], host.hash[host.frame[on_shared]])
    if len(host.digest_hi) > 1:
        _same("upper halves of them", host.digest_hi[on_shared], host.hash_hi[host.frame[on_shared]])
    listed = (host.kind != PRIVATE) & (refs > 0)
    found = 0
    for first in host.bucket[host.bucket != NONE]:
        frame, previous = first, NONE
        while frame != NONE:
            assert host.back[frame] == previous, "a hash chain is broken"
            found, previous, frame = found + 1, frame, host.chain[frame]
    _same("listed frames", found, int(listed.sum()))


def snapshot(host: Host) -> Host:
    """A copy of the host, for a later ``audit`` to compare counters with."""
    return Host(*(array.copy() for array in host))


def _same(what: str, kept: object, counted: object) -> None:
    assert np.array_equal(np.asarray(kept), np.asarray(counted)), f"{what}: the books say {kept}, a count says {counted}"
