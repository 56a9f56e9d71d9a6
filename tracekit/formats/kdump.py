"""kdump's compressed dumps (makedumpfile, QEMU ``dump-guest-memory -z``): bitmaps of pages, a descriptor a page, the pages.

QEMU's are flattened.

Layout of the headers: makedumpfile's IMPLEMENTATION and QEMU's include/sysemu/dump.h. Read for behaviour only.
"""

import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from tracekit.errors import TraceError
from tracekit.formats import flattened, images, lzo
from tracekit.formats.flattened import Unflattened
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.source import HEAD_BYTES, Source, Stream
from tracekit.units import PAGE_BYTES

MAGIC = b"KDUMP   "
_NUMBERS = struct.Struct("<iiII")  # from 428 on: block size, blocks of the sub-header, of both bitmaps, page numbers
_DESCRIPTOR = np.dtype([("offset", "<i8"), ("size", "<u4"), ("flags", "<u4"), ("page_flags", "<u8")])
_ZLIB, _LZO, _SNAPPY, _ZSTD = 1, 2, 4, 0x20
#: Bytes of a bitmap, and pages, that are dealt with at a time.
_BITMAP_BYTES, _PAGES = 1 << 16, 1 << 10
_BROKEN = (zlib.error, pa.ArrowException, OSError, ValueError)


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    if source.packing:
        raise TraceError(f"{source.path}: pages of a kdump lie in any order; decompress it first")
    opened: Callable[[], Stream | Unflattened] = source.open
    if source.head[: len(flattened.MAGIC)] == flattened.MAGIC:
        pieces = flattened.Pieces(source)
        if pieces.cut:
            tally.drop("end of the dump: the file is cut off")
        opened = lambda: Unflattened(pieces, source.open())  # noqa: E731
    with opened() as stream:
        head = stream.read(HEAD_BYTES)
    if len(head) < 444:
        raise TraceError(f"{source.path}: its header is cut off")
    block, sub, blocks, numbers = _NUMBERS.unpack_from(head, 428)
    if block != PAGE_BYTES or sub < 0 or blocks < 2:
        raise TraceError(
            f"{source.path}: blocks of {block} bytes, {sub} of the sub-header, {blocks} of bitmaps; expected pages of {PAGE_BYTES} bytes"
        )
    if int.from_bytes(head[8:12], "little") >= 6 and len(head) >= block + 104:
        numbers = int.from_bytes(head[block + 96 : block + 104], "little") or numbers
    first = (1 + sub) * block
    half = blocks // 2 * block
    with opened() as known, opened() as held, opened() as descriptors, opened() as data:
        known.seek(first)
        held.seek(first + half)
        descriptors.seek(first + blocks * block)
        for begin in range(0, min(numbers, half * 8), _BITMAP_BYTES * 8):
            size = min(_BITMAP_BYTES, half - begin // 8)
            there = np.frombuffer(held.read(size), np.uint8)
            tally.drop("page that was left out of the dump", _ones(known.read(size)) - _ones(there.tobytes()))
            pages = np.flatnonzero(np.unpackbits(there, bitorder="little")) + begin
            for some in np.split(pages, range(_PAGES, len(pages), _PAGES)):
                yield from _contents(some, descriptors, data, tally)
            if len(there) < size:
                tally.drop("bitmap that is cut off")
                return


def _ones(raw: bytes) -> int:
    return int(np.unpackbits(np.frombuffer(raw, np.uint8)).sum())


def _contents(pages: np.ndarray, descriptors: Stream | Unflattened, data: Stream | Unflattened, tally: Tally) -> Iterator[Columns]:
    raw = descriptors.read(len(pages) * _DESCRIPTOR.itemsize)
    whole = len(raw) // _DESCRIPTOR.itemsize
    found = np.frombuffer(raw, _DESCRIPTOR, whole)
    tally.drop("page without a descriptor: the file is cut off", len(pages) - whole)
    memory, kept = [], []
    for page, offset, size, flags in zip(pages.tolist(), found["offset"].tolist(), found["size"].tolist(), found["flags"].tolist()):
        content = _page(data, offset, size, flags)
        if content is None:
            tally.drop("page that is damaged, or beyond the end of the file")
        else:
            memory.append(content)
            kept.append(page)
    if kept:
        yield {"page": np.array(kept, np.uint64), "digest": images.hashed(0, b"".join(memory), tally)["digest"]}


def _page(data: Stream | Unflattened, offset: int, size: int, flags: int) -> bytes | None:
    if size > PAGE_BYTES or offset < 0:
        return None
    data.seek(offset)
    raw = data.read(size)
    try:
        if flags & _ZLIB:
            raw = zlib.decompressobj().decompress(raw, PAGE_BYTES)
        elif flags & _LZO:
            plain = np.empty(PAGE_BYTES, np.uint8)
            raw = plain[: max(lzo.unpack(np.frombuffer(raw, np.uint8), plain), 0)].tobytes()
        elif flags & (_SNAPPY | _ZSTD):
            raw = pa.decompress(raw, PAGE_BYTES, "snappy" if flags & _SNAPPY else "zstd", asbytes=True)
    except _BROKEN:
        return None
    return raw if len(raw) == PAGE_BYTES else None


FORMAT = Format(
    "kdump",
    ("content",),
    "digests of the pages in the dump; several dumps are snapshots, --interval apart, of which the later add changed pages",
    lambda source: source.head[:8] == MAGIC or source.head[: len(flattened.MAGIC)] == flattened.MAGIC,
    read,
    series=True,
    blind=("pages that were left out of the dump (zero, free, cache, …) are unknown",),
)
