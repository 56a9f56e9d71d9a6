"""VMware's memory: ``.vmem`` with the ``.vmss`` or ``.vmsn`` beside it that says where its pages lie, or a state that holds them itself.

A state file has groups of tags; those of the group ``memory`` tell runs of pages (``regionPPN``, ``regionPageNum``,
``regionSize``), or hold the memory as a blob. Without runs the memory is flat.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from tracekit.errors import TraceError
from tracekit.formats import images
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.source import Source, Stream
from tracekit.units import PAGE_BYTES

_MAGICS = {bytes.fromhex(text): version for version, text in enumerate(("d0bed2be", "d1bad1ba", "d2bed2be", "d3bed3be"))}
_HEADER, _GROUP = struct.Struct("<4sII"), struct.Struct("<64sQQ")
_STATES = (".vmss", ".vmsn")
_MOST_GROUPS, _MOST_TAGS, _LONG = 1 << 10, 1 << 20, (62, 63)


def _beside(path: Path, endings: tuple[str, ...]) -> Path | None:
    return next((found for ending in endings if (found := path.with_suffix(ending)).exists()), None)


def recognise(source: Source) -> bool:
    return source.head[:4] in _MAGICS or (source.path.suffix == ".vmem" and _beside(source.path, _STATES) is not None)


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    if source.head[:4] in _MAGICS:
        state, memory = source, _beside(source.path, (".vmem",))
    else:
        state, memory = Source(_beside(source.path, _STATES) or source.path), source.path
    with state.open() as stream:
        runs, blob = _memory_group(stream)
    if memory is not None:
        held, begin = Source(memory), 0
        size = held.bytes
    elif blob is not None:
        held, (begin, size) = state, blob
    else:
        raise TraceError(f"{source.path}: neither holds memory nor has a .vmem beside it")
    with held.open() as stream:
        for number, page, count in sorted(runs) or [(0, 0, size // PAGE_BYTES)]:
            stream.seek(begin + number * PAGE_BYTES)
            yield from images.pages(stream, page * PAGE_BYTES, count * PAGE_BYTES, tally)


def _memory_group(stream: Stream) -> tuple[list[tuple[int, int, int]], tuple[int, int] | None]:
    """Runs (page in the file, page of the guest, pages), and where memory lies in the state itself. Raises TraceError."""
    raw = stream.read(_HEADER.size)
    if len(raw) < _HEADER.size or raw[:4] not in _MAGICS:
        raise TraceError(f"{stream.path}: is no VMware state file, or its header is cut off")
    magic, _, groups = _HEADER.unpack(raw)
    if groups > _MOST_GROUPS:
        raise TraceError(f"{stream.path}: tells of {groups} groups, expected at most {_MOST_GROUPS}; is it damaged?")
    found = [_GROUP.unpack(raw) for raw in (stream.read(_GROUP.size) for _ in range(groups)) if len(raw) == _GROUP.size]
    offset = next((offset for name, offset, _ in found if name.split(b"\0")[0] == b"memory"), None)
    if offset is None:
        raise TraceError(f"{stream.path}: has no group of tags about memory; is it cut off?")
    stream.seek(offset)
    return _tags(stream, 4 if _MAGICS[magic] == 0 else 8)


def _tags(stream: Stream, wide: int) -> tuple[list[tuple[int, int, int]], tuple[int, int] | None]:
    values: dict[str, dict[int, int]] = {"regionPPN": {}, "regionPageNum": {}, "regionSize": {}}
    blob = None
    for _ in range(_MOST_TAGS):
        flags, length = stream.read(1), stream.read(1)
        if not length:
            if blob is not None:
                break
            raise TraceError(f"{stream.path}, offset {stream.at}: its tags about memory are cut off")
        if flags == length == b"\0":
            break
        name = stream.read(length[0]).decode(errors="replace")
        indices = [int.from_bytes(stream.read(4), "little") for _ in range(flags[0] >> 6)]
        size = flags[0] & 0x3F
        if size in _LONG:
            size = int.from_bytes(stream.read(wide), "little")
            stream.read(wide + 2)
            if name == "Memory" and size:
                blob = stream.at, size
            stream.seek(stream.at + size)
        else:
            value = int.from_bytes(stream.read(size), "little")
            if name in values and indices:
                values[name][indices[0]] = value
    known = values["regionPPN"].keys() & values["regionPageNum"].keys() & values["regionSize"].keys()
    return [(values["regionPageNum"][i], values["regionPPN"][i], values["regionSize"][i]) for i in sorted(known)], blob


FORMAT = Format(
    "vmware",
    ("content",),
    "every page's digest; several images are snapshots, --interval apart, of which the later add changed pages",
    recognise,
    read,
    series=True,
    blind=("a page that changed and changed back between two snapshots goes unseen",),
)
