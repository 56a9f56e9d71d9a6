"""Counting what is shared, and what could be: the two halves of the savings table.

What a report says is counted anew only for pages whose content or frame, or whose place in the table of frames, has
changed since the last one (``host.changed``): a snapshot of which one page in a hundred differs costs a hundredth.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from tracekit import arrays
from tracekit.duplicates import by_vm, one_word
from tracekit.host import CHANGED, HINT, KNOWN, NONE, SHARED, Host, view
from tracekit.kernel import entry, jit
from tracekit.module import Out
from tracekit.modules.machine.chains import SPREAD
from tracekit.modules.machine.frames import high_of, label_of
from tracekit.modules.sharing import churn
from tracekit.modules.sharing.churn import Churn, follow, make_churn
from tracekit.modules.sharing.groups import SUMS, Groups, enter, leave, make_groups

_KINDS = ("zero", "within", "between")
#: Rows of ``Counted.sums``.
_SUMS = ("pages", "zero", "hints", "stale_hints")
_PAGES, _ZERO, _HINTS, _STALE = range(len(_SUMS))
# What a page was counted as.
_KNOWN, _IS_ZERO, _HINT, _STALE_HINT = 1, 2, 4, 8


class Counted(NamedTuple):
    """How each page and frame has been counted, and what that sums up to."""

    kind: np.ndarray  # uint8 by page: KNOWN …
    content: np.ndarray  # uint64 by page: its digest, which an upper half changes
    frame: np.ndarray  # uint32 by page
    is_shared: np.ndarray  # bool by frame: listed as shared
    contents: Groups  # known pages by content
    frames: Groups  # resident pages by frame
    sums: np.ndarray  # int64 (_SUMS, vm)
    shared_frames: np.ndarray  # int64 [1]
    churn: Churn


class Savings:
    """What sharing has found, and what sharing every two equal pages would save: a property of the trace at this moment."""

    def __init__(self, host: Host, zero: int):
        """``host`` is the machine's own: which pages are to be counted anew is settled here."""
        self._host, self._zero = host, zero
        self._view = view(host._replace(swap=np.zeros(1, np.int64)))  # one type for all variants
        pages, vms = len(host.flags), len(host.vm)
        self._counted = Counted(
            kind=arrays.zeros(pages, np.uint8),
            content=arrays.zeros(pages, np.uint64),
            frame=arrays.full(pages, NONE),
            is_shared=arrays.zeros(len(host.refs), np.bool_),
            contents=make_groups(pages, vms),
            frames=make_groups(pages, vms),
            sums=np.zeros((len(_SUMS), vms), np.int64),
            shared_frames=np.zeros(1, np.int64),
            churn=make_churn(pages, vms),
        )

    def count(self, now: int) -> dict[str, np.ndarray]:
        """By VM: known pages, zero pages, distinct contents; pages that could be shared and reclaimed, and those that are;
        shared frames whose count exceeds 16 bits; hints, and those whose page holds something else by now."""
        host = self._host
        return self._count(now, self._counted, host.flags, host.changed, host.changes)

    def _count(self, now: int, counted: Counted, flags: np.ndarray, changed: np.ndarray, changes: np.ndarray) -> dict[str, np.ndarray]:
        _settle(self._view, flags, changed, changes, np.uint64(self._zero), now, counted)
        possible, found = (dict(zip(SUMS, group.sums, strict=True)) for group in (counted.contents, counted.frames))
        counts = dict(zip(_SUMS, counted.sums, strict=True)) | {"distinct": possible["distinct"]}
        counts |= {f"possible_{name}": possible[name] for name in ("shared", *_KINDS)}
        counts |= {"shared": found["shared"], "overflow": found["overflow"]} | {f"reclaimed_{name}": found[name] for name in _KINDS}
        counts["possible_reclaimed"] = counts["pages"] - counts["distinct"]
        counts["reclaimed"] = sum(found[name] for name in _KINDS)
        return {name: column.copy() for name, column in counts.items()}

    @property
    def shared_frames(self) -> int:
        """Shared frames in the table, at the last count."""
        return int(self._counted.shared_frames[0])

    def tell_churn(self, now: int, names: Iterable[tuple[int, str]], out: Out) -> None:
        """How long pages shared, up to the last count, which was made now."""
        churn.tell(self._counted.churn, self._host, now, names, out)

    def audit(self) -> None:
        """Raise AssertionError unless counting everything anew comes to the same. Works on a copy: when is counted matters."""
        host, counted = self._host, _copy(self._counted)
        counts = self._count(0, counted, host.flags.copy(), host.changed.copy(), host.changes.copy())
        known, zero, vms = (host.flags & KNOWN) != 0, np.uint64(self._zero), len(host.vm)
        possible = by_vm(one_word(host.digest, host.digest_hi), known, host.page_vm, vms, self._zero)
        for name, column in possible.items():
            kept = counts[name if name in ("pages", "zero", "distinct") else "possible_" + name.removeprefix("reclaimed_")]
            assert np.array_equal(kept, column), f"{name}: kept {kept}, counted {column}"
        several = host.frame != NONE
        several[several] = host.refs[host.frame[several]] > 1
        is_zero = host.digest == zero
        for part, names in ((several & is_zero, ("zero",)), (several & ~is_zero, ("within", "between"))):
            found = by_vm(host.frame.astype(np.uint64), part, host.page_vm, vms, int(NONE))
            for name in names:
                of = ("within", "between") if name == "zero" else (name,)
                column = sum(found[f"reclaimed_{kind}"] for kind in of)
                assert np.array_equal(counts[f"reclaimed_{name}"], column), f"reclaimed_{name}: kept {counts}, counted {column}"
        assert np.array_equal(counts["shared"], np.bincount(host.page_vm[several], minlength=vms)), "shared pages"
        hints = np.flatnonzero((host.kind == HINT) & (host.refs > 0))
        assert np.array_equal(counts["hints"], np.bincount(host.page_vm[host.owner[hints]], minlength=vms)), "hints"
        assert np.array_equal(counted.churn.since >= 0, several), "pages that share"
        assert counted.shared_frames[0] == np.count_nonzero((host.kind == SHARED) & (host.refs > 0)), "shared frames"


def _copy(state: Any) -> Any:
    """A copy of a NamedTuple of arrays and of such."""
    return type(state)(*(_copy(part) if isinstance(part, tuple) else part.copy() for part in state))


@entry
def _settle(h, flags, changed, changes, zero, now, c):
    """Take changed pages out of the count as what they were, then count them as what they are."""
    for i in range(changes[0]):
        page = changed[i]
        vm = h.page_vm[page]
        kind = c.kind[page]
        if kind & _KNOWN:
            leave(c.contents, c.content[page], vm)
        if c.frame[page] != NONE:
            leave(c.frames, np.uint64(c.frame[page]), vm)
            count_frame(h, c, c.frame[page])
        tally(c, kind, vm, -1)
    for i in range(changes[0]):
        page = changed[i]
        vm = h.page_vm[page]
        f, digest, content = h.frame[page], h.digest[page], h.digest[page] ^ (high_of(h, page) * SPREAD)
        kind = 0
        if flags[page] & KNOWN:
            kind |= _KNOWN
            if digest == zero:
                kind |= _IS_ZERO
            enter(c.contents, content, digest == zero, vm)
        if f != NONE:
            enter(c.frames, np.uint64(f), digest == zero, vm)
            count_frame(h, c, f)
            if h.kind[f] == HINT:
                kind |= _HINT
                if label_of(h, page) != h.hash[f]:
                    kind |= _STALE_HINT
        tally(c, kind, vm, 1)
        follow(h, c.churn, page, content == c.content[page], f == c.frame[page], now)
        c.kind[page], c.content[page], c.frame[page] = kind, content, f
        flags[page] &= ~CHANGED
    changes[0] = 0


@jit
def tally(c, kind, vm, change):
    """Count a page of this kind, or count it no more."""
    if kind & _KNOWN:
        c.sums[_PAGES, vm] += change
    if kind & _IS_ZERO:
        c.sums[_ZERO, vm] += change
    if kind & _HINT:
        c.sums[_HINTS, vm] += change
    if kind & _STALE_HINT:
        c.sums[_STALE, vm] += change


@jit
def count_frame(h, c, f):
    """Count a frame among the shared ones in the table if it is one."""
    now = h.kind[f] == SHARED and h.refs[f] > 0
    if now != c.is_shared[f]:
        c.is_shared[f] = now
        c.shared_frames[0] += 1 if now else -1
