"""Images of memory as guests: dumps and snapshots, flat or ELF; each is one snapshot, at a time that its name or the user tells.

Other formats of images come in by ``tracekit import``.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tracekit.capture.guest import Stop
from tracekit.capture.memory import PIECE, Buffer
from tracekit.errors import CaptureError
from tracekit.units import PAGE_BYTES

FLAT = "pages of flat images are numbered by their place in the file, which a hole below 4 GiB would shift"
_LOAD, _HEAD, _SEGMENT, _MANY = 1, 64, 56, 0xFFFF


@dataclass(frozen=True)
class Part:
    """``size`` bytes of memory from ``address`` on, the first ``stored`` of them in the file at ``offset``, the rest zeros."""

    address: int
    offset: int
    stored: int
    size: int


class ImageGuest:
    """One or more images of one VM, in order of time (``at`` in ns each): every ``stopped`` moves on to the next."""

    method = "images of its memory"

    def __init__(self, images: list[tuple[Path, int]], name: str):
        self.name = name
        self.images = images
        self._parts = [image_parts(path) for path, _ in images]
        self._next = -1
        flat = any(len(parts) == 1 and not is_elf(path) for parts, (path, _) in zip(self._parts, images))
        self.blind: tuple[str, ...] = (
            "pages of flat images are numbered by their place in the file: a hole below 4 GiB shifts them",
        ) * flat

    @property
    def pages(self) -> int:
        """Pages of the address space."""
        return max(-(-(part.address + part.size) // PAGE_BYTES) for parts in self._parts for part in parts)

    @contextmanager
    def stopped(self) -> Iterator[Stop]:
        """The next image; nothing has to stand still."""
        self._next += 1
        yield Stop(self.images[self._next][1])

    def pieces(self) -> Iterator[tuple[np.ndarray, Buffer]]:
        with open(self.images[self._next][0], "rb") as file:
            for part in self._parts[self._next]:
                for begin in range(0, part.size, PIECE):
                    size = min(PIECE, part.size - begin)
                    stored = max(0, min(size, part.stored - begin))
                    piece = os.pread(file.fileno(), stored, part.offset + begin)
                    if len(piece) < stored:
                        raise CaptureError(f"{file.name}: ends {stored - len(piece)} bytes before its memory does; copy it again")
                    first = (part.address + begin) // PAGE_BYTES
                    pages = -(-size // PAGE_BYTES)
                    yield np.arange(first, first + pages, dtype=np.uint32), piece.ljust(pages * PAGE_BYTES, b"\0")

    def close(self) -> None:
        """Nothing is held open."""


def is_elf(path: Path) -> bool:
    """Whether a file begins as ELF does."""
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def image_parts(path: Path) -> list[Part]:
    """Where an image has which memory. Raises CaptureError if it is none."""
    try:
        size = path.stat().st_size
        if not size or path.is_dir():
            raise CaptureError(f"{path}: is {'a folder' if path.is_dir() else 'empty'}; expected an image of memory")
        return _elf_parts(path, size) if is_elf(path) else _flat(path, size)
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read ({error.strerror})") from None


def _flat(path: Path, size: int) -> list[Part]:
    if size % PAGE_BYTES:
        raise CaptureError(f"{path}: {size} bytes are no whole number of pages; is it an image of memory? (others: tracekit import)")
    with open(path, "rb") as file:
        magic = file.read(8)
    for known, what in ((b"EMiL", "LiME"), (b"LMVA", "AVML"), (b"KDUMP   ", "kdump"), (b"QEVM", "QEMU savevm"), (b"PAGEDU64", "Windows")):
        if magic.startswith(known):
            raise CaptureError(f"{path}: is an image of {what}, not a flat one or ELF; bring it in with tracekit import")
    return [Part(0, 0, size, size)]


def _elf_parts(path: Path, size: int) -> list[Part]:
    """Loadable segments by physical address (ELF64, as dump-guest-memory and virsh dump --memory-only write)."""
    with open(path, "rb") as file:
        head = file.read(_HEAD)
        if len(head) < _HEAD or head[4:6] != b"\x02\x01":
            raise CaptureError(f"{path}: is ELF, but not of 64 bits and little-endian, or cut short")
        offset, sections = struct.unpack_from("<QQ", head, 32)
        step, count = struct.unpack_from("<HH", head, 54)
        if count == _MANY:  # then the first section tells
            file.seek(sections + 44)
            raw = file.read(4)
            count = struct.unpack("<I", raw)[0] if len(raw) == 4 else 0
        parts = []
        for i in range(count):
            file.seek(offset + i * step)
            raw = file.read(_SEGMENT)
            if len(raw) < _SEGMENT:
                raise CaptureError(f"{path}: ends within its list of segments; copy it again")
            kind, _, place, _, address, stored, memory, _ = struct.unpack("<IIQQQQQQ", raw)
            if kind == _LOAD and memory:
                if place + stored > size:
                    raise CaptureError(f"{path}: ends {place + stored - size} bytes before its memory does; copy it again")
                parts.append(Part(address, place, min(stored, memory), memory))
    if not parts or any(part.address % PAGE_BYTES for part in parts):
        raise CaptureError(f"{path}: is ELF without memory at whole pages; is it a dump of a VM?")
    return sorted(parts, key=lambda part: part.address)
