"""ELF core files of VMs (QEMU ``dump-guest-memory``, ``virsh dump --memory-only``, VirtualBox): segments at physical addresses."""

import struct
from collections.abc import Iterator

from tracekit.errors import TraceError
from tracekit.formats import images
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.source import Source
from tracekit.units import PAGE_BYTES

_EHDR, _PHDR = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ")
_CORE, _LOAD, _MANY = 4, 1, 0xFFFF
#: More segments than this are nonsense.
_MOST_SEGMENTS = 1 << 20


def recognise(source: Source) -> bool:
    head = source.head
    return head[:4] == b"\x7fELF" and len(head) >= 18 and head[16:18] == _CORE.to_bytes(2, "little")


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    with source.open() as stream:
        for offset, address, in_file, in_memory in sorted(_segments(source)):
            stream.seek(offset)
            yield from images.pages(stream, address, min(in_file, in_memory), tally)
            begin, end = -(-(address + min(in_file, in_memory)) // PAGE_BYTES), (address + in_memory) // PAGE_BYTES
            if end > begin and stream.at == offset + min(in_file, in_memory):  # else it was cut off before
                yield from images.zeros(begin, end - begin, tally)


def _segments(source: Source) -> list[tuple[int, int, int, int]]:
    """Offset, physical address, bytes in the file and bytes in memory of each segment. Raises TraceError."""
    raw = _at(source, 0, _EHDR.size)
    if len(raw) < _EHDR.size or raw[4:6] != b"\x02\x01":
        raise TraceError(f"{source.path}: is no 64-bit little-endian ELF file, or its header is cut off")
    table, sections, each, count = (_EHDR.unpack(raw)[i] for i in (5, 6, 9, 10))
    if each != _PHDR.size:
        raise TraceError(f"{source.path}: its program headers are of {each} bytes, expected {_PHDR.size}")
    if count == _MANY:  # the first section's header says how many
        count = int.from_bytes(_at(source, sections, 48)[44:], "little")
    if count > _MOST_SEGMENTS:
        raise TraceError(f"{source.path}: its header tells of {count} segments, expected at most {_MOST_SEGMENTS}; is it damaged?")
    raw = _at(source, table, count * _PHDR.size)
    if len(raw) < count * _PHDR.size:
        raise TraceError(f"{source.path}: its program headers are cut off at {len(raw)} of {count * _PHDR.size} bytes")
    loads = []
    for kind, _, offset, _, address, in_file, in_memory, _ in _PHDR.iter_unpack(raw):
        if kind == _LOAD and in_memory:
            if address + in_memory > 1 << 64:
                raise TraceError(f"{source.path}: a segment ends beyond 2⁶⁴; is the file damaged?")
            loads.append((offset, address, in_file, in_memory))
    if not loads:
        raise TraceError(f"{source.path}: has no segment of memory (PT_LOAD)")
    return loads


def _at(source: Source, place: int, size: int) -> bytes:
    with source.open() as stream:
        stream.seek(place)
        return stream.read(size)


FORMAT = Format(
    "elf",
    ("content",),
    "every page's digest; several images are snapshots, --interval apart, of which the later add changed pages",
    recognise,
    read,
    series=True,
    blind=(
        "device memory that the dump holds (BIOS, VGA) is among the pages",
        "a page that changed and changed back between two snapshots goes unseen",
    ),
)
