"""One snapshot of one guest: stopped, its pages digested, continued; what came out are the pages that changed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tracekit.capture.changes import LastDigests
from tracekit.capture.guest import Guest
from tracekit.capture.images import ImageGuest
from tracekit.capture.memory import Buffer
from tracekit.digest import page_digests
from tracekit.errors import CaptureError
from tracekit.units import PAGE_BYTES

#: Codecs that pages can be measured by.
CODECS = ("lz4", "zstd", "snappy")


@dataclass
class Snapshot:
    """A guest's pages that changed by ``since`` (ns of CLOCK_MONOTONIC), at which it stood still for ``pause_ns``."""

    since: int
    pause_ns: int
    seen: int
    pages: np.ndarray
    digests: np.ndarray
    compressed: np.ndarray | None


class Snapshots:
    """Takes one guest's snapshots; ``key`` is that of the digests, ``codec`` that by which changed pages are measured."""

    def __init__(self, guest: Guest | ImageGuest, key: bytes | None = None, codec: str | None = None):
        if codec is not None and codec not in CODECS:
            raise CaptureError(f"{codec!r} is none of the codecs that pages can be measured by: {', '.join(CODECS)}")
        if codec is not None and isinstance(guest, ImageGuest):
            raise CaptureError("pages of images cannot be measured by a codec; leave --compressed out")
        self.guest = guest
        self._key = key
        self._codec = pa.Codec(codec) if codec else None
        self._last = LastDigests()

    def take(self) -> Snapshot:
        """Stop the guest, look, and let it go on."""
        pages, digests, sizes, seen = [], [], [], 0
        with self.guest.stopped() as stop:
            for numbers, found, piece in self._digested():
                changed = self._last.exchange(numbers, found)
                seen += len(numbers)
                pages.append(numbers[changed])
                digests.append(found[changed])
                if piece is not None and self._codec:
                    sizes.append(self._sizes(piece, np.flatnonzero(changed)))
        return Snapshot(
            stop.since, stop.pause_ns, seen, _joined(pages, np.uint32), _joined(digests, np.uint64),
            _joined(sizes, np.uint16) if self._codec else None,
        )  # fmt: skip

    def _digested(self) -> Iterator[tuple[np.ndarray, np.ndarray, Buffer | None]]:
        if isinstance(self.guest, ImageGuest):
            for numbers, found in self.guest.digested(self._key):
                yield numbers.astype(np.uint32), found, None
        else:
            for numbers, piece in self.guest.pieces():
                yield numbers, page_digests(piece, key=self._key), piece

    def _sizes(self, piece: Buffer, which: np.ndarray) -> np.ndarray:
        """Bytes of each page under the codec, as a swap to compressed memory would keep them: never more than a page."""
        assert self._codec is not None
        view = memoryview(piece)
        sizes = [len(self._codec.compress(view[i * PAGE_BYTES : (i + 1) * PAGE_BYTES], asbytes=True)) for i in which]
        return np.minimum(np.array(sizes, np.int64), PAGE_BYTES).astype(np.uint16)


def _joined(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype)
