"""Flattened kdumps, as QEMU and ``makedumpfile -F`` write them to a pipe: pieces of the dump, each with its place in it.

Layout: makedumpfile's IMPLEMENTATION, "flattened format". Only where pieces lie is held, 24 bytes a piece.
"""

import struct

import numpy as np

from tracekit.errors import TraceError
from tracekit.formats.source import Source, Stream
from tracekit.units import PAGE_BYTES

MAGIC = b"makedumpfile"
_HEADER_BYTES = 4096
_PIECE = struct.Struct(">qq")
#: So many pieces hold 64 GiB of packed pages as QEMU writes them, 16 KiB at a time.
MOST_PIECES = 1 << 22


class Pieces:
    """Where the bytes of a dump lie in the flattened file. ``cut`` says that the file ends before its pieces do."""

    def __init__(self, source: Source):
        starts, sizes, places = [], [], []
        place, self.cut = _HEADER_BYTES, True
        with source.open() as stream:
            while True:
                stream.seek(place)
                head = stream.read(_PIECE.size)
                if len(head) < _PIECE.size:
                    break
                start, size = _PIECE.unpack(head)
                if start == size == -1:
                    self.cut = False
                    break
                place += _PIECE.size
                size = min(size, source.bytes - place)
                if start < 0 or size <= 0:
                    break
                if len(starts) == MOST_PIECES:
                    raise TraceError(f"{source.path}: has more than {MOST_PIECES} pieces; put it in order with makedumpfile -R first")
                starts.append(start)
                sizes.append(size)
                places.append(place)
                place += size
        order = np.argsort(np.array(starts, np.int64), kind="stable")  # of several at one place the last counts
        self.starts, self.sizes, self.places = (np.array(values, np.int64)[order] for values in (starts, sizes, places))


class Unflattened:
    """The dump that a flattened file stands for, to read from like a ``Stream``.

    Blocks are filled up with zeros that no piece holds; where a whole block is missing the dump ends.
    """

    def __init__(self, pieces: Pieces, stream: Stream):
        self._pieces, self._stream, self._at = pieces, stream, 0

    def seek(self, place: int) -> None:
        self._at = place

    def read(self, count: int) -> bytes:
        """The next ``count`` bytes, fewer where it ends."""
        pieces, made = self._pieces, bytearray()
        while len(made) < count:
            after = int(np.searchsorted(pieces.starts, self._at, "right"))
            inside = self._at - int(pieces.starts[after - 1]) if after else 0
            if after and inside < pieces.sizes[after - 1]:
                self._stream.seek(int(pieces.places[after - 1]) + inside)
                piece = self._stream.read(min(count - len(made), int(pieces.sizes[after - 1]) - inside))
            elif after < len(pieces.starts) and (gap := int(pieces.starts[after]) - self._at) < PAGE_BYTES:
                piece = bytes(min(count - len(made), gap))
            else:
                break
            if not piece:
                break
            made += piece
            self._at += len(piece)
        return bytes(made)

    def __enter__(self) -> "Unflattened":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.__exit__()
