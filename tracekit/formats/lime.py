"""LiME's images (and AVML's version 1): ranges, each of 32 bytes of header (magic, version, first and last address) and memory."""

import struct
from collections.abc import Iterator

from tracekit.errors import TraceError
from tracekit.formats import images
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.source import Source, Stream

MAGIC = b"EMiL"
HEADER = struct.Struct("<4sIQQQ")


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    with source.open() as stream:
        while (header := next_range(stream, MAGIC, tally)) is not None:
            _, first, last = header
            yield from images.pages(stream, first, last - first + 1, tally)


def next_range(stream: Stream, magic: bytes, tally: Tally) -> tuple[int, int, int] | None:
    """Version, first and last address of the range that begins here; none at the end of the file. Raises TraceError."""
    at, raw = stream.at, stream.read(HEADER.size)
    if len(raw) < HEADER.size:
        if raw or stream.cut:
            tally.drop(stream.cut or "range whose header is cut off")
        return None
    found, version, first, last, _ = HEADER.unpack(raw)
    if found != magic or last < first:
        raise TraceError(f"{stream.path}, offset {at}: no header of a range where one should begin; is the file whole?")
    return version, first, last


FORMAT = Format(
    "lime",
    ("content",),
    "every page's digest; several images are snapshots, --interval apart, of which the later add changed pages",
    lambda source: source.head[:4] == MAGIC,
    read,
    series=True,
    blind=("memory changes while the image is taken", "a page that changed and changed back between two snapshots goes unseen"),
)
