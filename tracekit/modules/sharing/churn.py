"""How long pages share a frame, and why they cease to: seen from report to report."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from tracekit import arrays
from tracekit.host import BALLOONED, KNOWN, NONE, Host
from tracekit.kernel import entry, jit
from tracekit.module import Out
from tracekit.modules.machine.discovery import BINS, bin_of, quantile

_NEVER = np.int64(-(1 << 62))
#: Why a page shares no more; the last are those that still do.
WHY = ("content", "write", "others", "paged out", "ballooned", "VM ended", "still")
_CONTENT, _WRITE, _OTHERS, _PAGED_OUT, _BALLOONED, _VM_ENDED, _STILL = range(len(WHY))


class Churn(NamedTuple):
    """State."""

    since: np.ndarray  # int64 by page: the report that first found it sharing a frame, or _NEVER where it does not
    lasted: np.ndarray  # int64 (WHY, vm, BINS): pages that share no more, by how long they did
    total: np.ndarray  # int64 (WHY, vm): sum of those times, in µs


def make_churn(pages: int, vms: int) -> Churn:
    """Nothing is shared."""
    return Churn(arrays.full(pages, _NEVER), np.zeros((len(WHY), vms, BINS), np.int64), np.zeros((len(WHY), vms), np.int64))


@jit
def follow(h, c, page, same_content, same_frame, now):
    """Note when a page begins and ceases to share a frame, or one content, as far as two reports can tell."""
    f = h.frame[page]
    shares = f != NONE and h.refs[f] > 1
    if c.since[page] != _NEVER and not (shares and same_frame and same_content):
        note(c, why_ended(h.flags[page], f, same_content, same_frame), h.page_vm[page], now - c.since[page])
        c.since[page] = _NEVER
    if shares and c.since[page] == _NEVER:
        c.since[page] = now


@jit
def why_ended(flags, f, same_content, same_frame):
    """Why a page shares no more, or another frame."""
    if not flags & KNOWN:
        return _VM_ENDED
    if not same_content:
        return _CONTENT
    if f == NONE:
        return _BALLOONED if flags & BALLOONED else _PAGED_OUT
    return _OTHERS if same_frame else _WRITE


@jit
def note(c, why, vm, took):
    c.lasted[why, vm, bin_of(took)] += 1
    c.total[why, vm] += took // 1000


@entry
def count_still(page_vm, c, now):
    """Count the pages that share now, by how long they have so far."""
    for page in range(c.since.size):
        if c.since[page] != _NEVER:
            note(c, _STILL, page_vm[page], now - c.since[page])


def tell(churn: Churn, host: Host, now: int, names: Iterable[tuple[int, str]], out: Out) -> None:
    """The rows of the table at the end; ``names`` are the VMs by index, −1 for all of them."""
    count_still(host.page_vm, churn, now)
    for vm, name in names:
        of = slice(None) if vm < 0 else slice(vm, vm + 1)
        for k, why in enumerate(WHY):
            times = churn.lasted[k, of].sum(axis=0)
            if pages := int(times.sum()):
                parts = {f"p{part}": quantile(times, part / 100) / 1e9 for part in (10, 50, 90, 99)}  # pyright: ignore[reportOptionalOperand]
                out.row("churn", now, name, why=why, pages=pages, mean=int(churn.total[k, of].sum()) / 1e6 / pages, **parts)
