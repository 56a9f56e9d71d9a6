"""What the access plugin has written: touches and the VM's own progress, bucket by bucket (the format is told in plugin.c)."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tracekit.errors import CaptureError

_HEAD = struct.Struct("<8sIIII40x")
_BLOCK = struct.Struct("<5Q")
LOAD, STORE, FETCH = 0, 1, 2


@dataclass(frozen=True)
class Bucket:
    """From ``begin`` to ``end`` (ns of CLOCK_MONOTONIC): pages (uint32) in the order in which ``kinds`` was first done to them."""

    begin: int
    end: int
    instructions: int  # of the VM so far
    accesses: int  # loads and stores of the VM so far
    pages: np.ndarray
    kinds: np.ndarray


class PluginLog:
    """One VM's log. ``fetches`` tells whether instruction fetches could be recorded."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        try:
            with open(self.path, "rb") as file:
                head = file.read(_HEAD.size)
        except OSError as error:
            raise CaptureError(f"{self.path}: cannot be read ({error.strerror})") from None
        if len(head) < _HEAD.size or head[:8] != b"tkaccess":
            raise CaptureError(f"{self.path}: is no log of the access plugin; it begins with {head[:8]!r}")
        _, self.api, self.pages, bucket_ms, fetches = _HEAD.unpack(head)
        self.bucket_ns, self.fetches = bucket_ms * 1_000_000, bool(fetches)

    def buckets(self) -> Iterator[Bucket]:
        """All whole buckets; one that was cut off at the end of the file is left out. Raises CaptureError if it is damaged."""
        with open(self.path, "rb") as file:
            file.seek(_HEAD.size)
            while bucket := self._bucket(file):
                yield bucket

    def _bucket(self, file: BinaryIO) -> Bucket | None:
        head = file.read(_BLOCK.size)
        if len(head) < _BLOCK.size:
            return None
        begin, end, instructions, accesses, touches = _BLOCK.unpack(head)
        if begin > end or touches > 3 * self.pages:
            raise CaptureError(f"{self.path}: damaged near byte {file.tell() - _BLOCK.size}; copy the log again")
        raw = file.read(4 * touches)
        if len(raw) < 4 * touches:
            return None
        touched = np.frombuffer(raw, np.uint32)
        pages, kinds = touched & np.uint32(0x3FFFFFFF), (touched >> 30).astype(np.uint8)
        if len(pages) and int(pages.max()) >= self.pages:
            raise CaptureError(f"{self.path}: damaged near byte {file.tell()}: page {pages.max()} of {self.pages}; copy the log again")
        return Bucket(begin, end, instructions, accesses, pages, kinds)
