"""AVML's compressed images (version 2): LiME's headers with a magic of their own, memory in Snappy's framing format.

Each block's stream is followed by 8 bytes of its length. Blocks that are all zero may be left out.
"""

from collections.abc import Iterator

import pyarrow as pa

from tracekit.errors import TraceError
from tracekit.formats import images, lime
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.source import Source, Stream
from tracekit.units import PAGE_BYTES

MAGIC = (0x4C4D5641).to_bytes(4, "little")
#: The longest block that AVML writes, and the longest chunk of Snappy's framing format.
_BLOCK, _CHUNK = 1 << 24, 1 << 16
_COMPRESSED, _PLAIN, _PADDING, _STREAM = 0, 1, 0xFE, 0xFF


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    end = 0
    with source.open() as stream:
        while (header := lime.next_range(stream, MAGIC, tally)) is not None:
            _, first, last = header
            tally.drop("page that AVML left out: zero, or no memory", max(first - end, 0) // PAGE_BYTES if end else 0)
            end = last + 1
            memory = _memory(stream, min(last - first + 1, 2 * _BLOCK))
            whole = len(memory) // PAGE_BYTES * PAGE_BYTES
            if whole and first % PAGE_BYTES == 0:
                yield images.hashed(first // PAGE_BYTES, memory[:whole], tally)
            lost = last - first + 1 - whole
            if lost:
                tally.drop(stream.cut or images.CUT, -(-lost // PAGE_BYTES))
                return
            stream.read(8)


def _memory(stream: Stream, size: int) -> bytes:
    """At most ``size`` bytes out of the chunks that follow; fewer if the file ends. Raises TraceError for nonsense."""
    pieces, left = [], size
    while left:
        at, raw = stream.at, stream.read(4)
        if len(raw) < 4:
            break
        kind, length = raw[0], int.from_bytes(raw[1:], "little")
        body = stream.read(length)
        if len(body) < length:
            break
        if kind in (_COMPRESSED, _PLAIN):
            piece = _piece(stream, at, kind, body[4:])[:left]
            pieces.append(piece)
            left -= len(piece)
        elif not _PADDING <= kind <= _STREAM and kind < 0x80:
            raise TraceError(f"{stream.path}, offset {at}: no chunk of Snappy's framing format; is the file damaged?")
    return b"".join(pieces)


def _piece(stream: Stream, at: int, kind: int, body: bytes) -> bytes:
    if kind == _PLAIN:
        return body
    size = shift = used = 0
    for byte in body[:5]:
        size |= (byte & 127) << shift
        shift, used = shift + 7, used + 1
        if byte < 128:
            break
    if not used or size > _CHUNK:
        raise TraceError(
            f"{stream.path}, offset {at}: a chunk of {size} bytes, Snappy's framing format has at most {_CHUNK}; is the file damaged?"
        )
    try:
        return pa.decompress(body, size, "snappy", asbytes=True)
    except (pa.ArrowException, OSError, ValueError):
        raise TraceError(f"{stream.path}, offset {at}: a chunk that cannot be decompressed; is the file damaged?") from None


FORMAT = Format(
    "avml",
    ("content",),
    "digests of the pages in the image; several images are snapshots, --interval apart, of which the later add changed pages",
    lambda source: source.head[:4] == MAGIC,
    read,
    series=True,
    blind=("blocks that are all zero may be left out and are then not told from holes", "memory changes while the image is taken"),
)
