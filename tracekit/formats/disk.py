"""Traces of disk requests in which blocks of 4 KiB are the pages: what a cache in the host's memory would see."""

from collections.abc import Sequence

import numpy as np

from tracekit.formats.format import Columns

LACKS = frozenset[str]()
BLIND = ("pages are blocks of disks, not of memory; only what the guest's own cache did not hold is seen",)
#: Disks lie this far apart in the numbers of blocks (bytes).
_APART = 48


def requests(t: np.ndarray, offset: np.ndarray, size: np.ndarray, write: np.ndarray, disk: tuple[np.ndarray, Sequence[str]]) -> Columns:
    """Records of disk requests: each disk is a VM of its own, its blocks the pages."""
    return {"t": t, "address": offset, "size": size, "write": write, "vm": disk}


def pairs(host: tuple[np.ndarray, list[str]], number: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Names of disks by host and number."""
    code = host[0].astype(np.uint64) << np.uint64(_APART) | np.minimum(number, np.uint64((1 << _APART) - 1))
    found, codes = np.unique(code, return_inverse=True)
    return codes.astype(np.int32), [f"{host[1][int(c) >> _APART]}-{int(c) & ((1 << _APART) - 1)}" for c in found]
