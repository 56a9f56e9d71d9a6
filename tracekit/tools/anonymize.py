"""A capture that may be passed on: digests keyed anew, pages permuted, names and provenance left out.

A digest becomes the first 64 bits of its keyed BLAKE2b: who has not the key cannot test whether a known page is among them,
and equal pages stay equal. Pages are permuted within their VM and within the zones that DMA masks tell apart (below 16 MiB,
below 4 GiB, above), by a generator seeded from the key. When pages are used, how often and by whom is not hidden.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from tracekit.errors import TraceError
from tracekit.metadata import VmInfo
from tracekit.schema import EVENTS
from tracekit.stream import NO_BLOCK, NO_PAGE
from tracekit.synth.draws import Draws
from tracekit.tools.rewrite import PAGE_EVENTS, Rows, rewrite, target_of
from tracekit.trace import Trace

#: Pages from which zones begin.
ZONES = (0, 1 << 12, 1 << 20)
_MARK = EVENTS.index("mark")


def anonymize(trace: Trace, key: bytes, folder: Path, name: str = "anonymous") -> list[Path]:
    """Write a capture without what tells whose it is. Returns the files.

    Events that name pages (hint-free, madvise: a permutation tears their runs apart) and marks are left out. Raises
    TraceError if the key is too short to be one.
    """
    if len(key) < 8:
        raise TraceError(f"a key of {len(key)} bytes is guessed; give at least 8, best random ones")
    place = _permuted(trace, key)

    def change(kind: str, rows: Rows) -> Rows:
        if kind == "event":
            kept = ~np.isin(rows["what"], (*PAGE_EVENTS, _MARK))
            return {column: value[kept] for column, value in rows.items()}
        rows = {**rows, "page": place[np.minimum(rows["page"], len(place) - 1)]}
        for column in ("digest", "digest_hi"):
            if column in rows:
                rows[column] = _keyed(rows[column], key)
        if "block" in rows:
            rows["block"] = np.where(rows["block"] == NO_BLOCK, rows["block"], _keyed(rows["block"], key))
        return rows

    domains = {domain: f"domain-{i}" if domain else "" for i, domain in enumerate(dict.fromkeys(vm.domain for vm in trace.vms))}
    target = replace(
        target_of(trace, folder, name, "anonymize"),
        vms=[VmInfo(f"vm-{i}", vm.pages, "", domains[vm.domain]) for i, vm in enumerate(trace.vms)],
        devices=[f"device-{i}" for i in range(len(trace.devices))],
        lost=frozenset({"free_hints"}),
        anonymous=True,
        zero_digest=lambda digest: int(_keyed(np.array([digest], np.uint64), key)[0]),
    )
    return rewrite(trace, target, change)


def _permuted(trace: Trace, key: bytes) -> np.ndarray:
    """Where each page goes (uint32 by page id); one more entry stands for unknown pages."""
    seed = hashlib.blake2b(b"pages", key=hashlib.blake2b(key).digest(), digest_size=16).hexdigest()
    place = np.arange(trace.pages + 1, dtype=np.uint32)
    place[-1] = NO_PAGE
    for i, vm in enumerate(trace.vms):
        for zone, begin in enumerate(ZONES):
            first, end = vm.base + min(begin, vm.pages), vm.base + min([*ZONES, 1 << 31][zone + 1], vm.pages)
            place[first:end] = first + Draws("anonymize", seed, i, zone).permutation(end - first)
    return place


def _keyed(digests: np.ndarray, key: bytes) -> np.ndarray:
    secret = hashlib.blake2b(key).digest()
    distinct, inverse = np.unique(digests, return_inverse=True)
    made = [hashlib.blake2b(d.tobytes(), key=secret, digest_size=8).digest() for d in distinct]
    return np.frombuffer(b"".join(made), np.uint64)[inverse]
