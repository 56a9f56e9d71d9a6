"""A foreign file as a stream of bytes: read through gzip, xz, zstd and zlib, a bounded piece at a time, no length trusted."""

import gzip
import lzma
import mmap
import os
import stat
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import xxhash

from tracekit.errors import TraceError

#: What is looked at to recognise a format.
HEAD_BYTES = 1 << 16
#: What is read at a time.
BLOCK_BYTES = 1 << 22
#: What of a plain file is mapped at a time.
WINDOW_BYTES = 1 << 26

_GZIP, _XZ, _ZSTD, _ZLIB = b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", (b"x\x01", b"x\x9c", b"x\xda")
_BROKEN = (EOFError, OSError, lzma.LZMAError, zlib.error, pa.ArrowException)


class Source:
    """One file to import. ``head`` is its beginning, decompressed. Raises TraceError if it cannot be read."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        try:
            mode = self.path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise TraceError(f"{self.path}: is a directory; name the files in it")
            if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):  # parts are read several times, which a pipe does not stand
                raise TraceError(f"{self.path}: is no file; write what comes out of it to one first")
            with open(self.path, "rb") as file:
                magic = file.read(6)
                self.bytes = file.seek(0, os.SEEK_END)
        except OSError as error:
            raise TraceError(f"{self.path}: cannot be read ({error.strerror})") from None
        self.packing = "gzip" if magic[:2] == _GZIP else "xz" if magic == _XZ else "zstd" if magic[:4] == _ZSTD else ""
        self.packing = "zlib" if magic[:2] in _ZLIB else self.packing
        if not magic:
            raise TraceError(f"{self.path}: is empty; expected a trace or an image")

    @property
    def name(self) -> str:
        """The file's name without the ending that tells how it is compressed."""
        name = text_of(self.path.name)
        stem, _, ending = name.rpartition(".")
        return stem if self.packing and ending in ("gz", "xz", "zst") else name

    @cached_property
    def head(self) -> bytes:
        with self.open() as stream:
            return stream.read(HEAD_BYTES)

    def open(self) -> "Stream":
        return Stream(self)

    def digest(self) -> str:
        """XXH3-64 of the file as it lies there."""
        digest = xxhash.xxh3_64()
        with open(self.path, "rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()


def text_of(name: str) -> str:
    """A file's name as text that can be stored: what is no UTF-8 is replaced."""
    return os.fsencode(name).decode(errors="replace")


class Stream:
    """A file being read, decompressed. Reads are short at its end only; ``cut`` says so if that came too early."""

    def __init__(self, source: Source):
        self.path = source.path
        self.at = 0
        self.cut = ""
        self._size = None if source.packing else source.bytes
        self._raw: BinaryIO = open(source.path, "rb")  # noqa: SIM115
        self._file: Any = self._raw
        if source.packing == "gzip":
            self._file = gzip.GzipFile(fileobj=self._raw)
        elif source.packing == "xz":
            self._file = lzma.LZMAFile(self._raw)  # noqa: SIM115
        elif source.packing == "zstd":
            self._file = pa.CompressedInputStream(pa.PythonFile(self._raw, "r"), "zstd")
        elif source.packing == "zlib":
            self._file = _Zlib(self._raw)

    def read(self, count: int) -> bytes:
        """The next ``count`` bytes, fewer at the end. ``count`` may be nonsense: no more is held than there is."""
        pieces, left = [], max(count, 0)
        while left and not self.cut:
            try:
                piece = self._file.read(min(left, BLOCK_BYTES))
            except _BROKEN as error:
                self.cut = f"compressed data end early or are damaged ({type(error).__name__})"
                break
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece)
            self.at += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def view(self, count: int) -> memoryview:
        """The next ``count`` bytes like ``read``, at most ``WINDOW_BYTES``; of a plain file they are mapped, not copied."""
        count = min(count, WINDOW_BYTES)
        if self._size is None:
            return memoryview(self.read(count))
        count = max(min(count, self._size - self.at), 0)
        if not count:
            return memoryview(b"")
        begin = self.at - self.at % mmap.ALLOCATIONGRANULARITY
        try:
            window = mmap.mmap(
                self._raw.fileno(),
                self.at + count - begin,
                mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0),
                mmap.PROT_READ,
                offset=begin,
            )
        except (OSError, ValueError):  # a file that cannot be mapped, or has shrunk
            self._raw.seek(self.at)
            return memoryview(self.read(count))
        view = memoryview(window)[self.at - begin :]
        self.at += count
        self._raw.seek(self.at)
        return view

    def seek(self, place: int) -> None:
        """Go to an offset: anywhere in a plain file, forward only in a compressed one. Beyond the end nothing is read."""
        if self._size is not None:
            self.at = min(max(place, 0), self._size)
            self._raw.seek(self.at)
        elif place < self.at:
            raise TraceError(f"{self.path}: parts of it lie in an order that cannot be read while decompressing; decompress it first")
        else:
            while self.at < place and self.read(min(place - self.at, BLOCK_BYTES)):
                pass

    def blocks(self, item_bytes: int = 1) -> Iterator[bytes]:
        """The rest, in blocks of whole items; what remains of an item at the end comes last, by itself."""
        rest = b""
        while block := self.read(BLOCK_BYTES // item_bytes * item_bytes - len(rest) if rest else BLOCK_BYTES // item_bytes * item_bytes):
            block = rest + block
            whole = len(block) // item_bytes * item_bytes
            rest = block[whole:]
            if whole:
                yield block[:whole] if rest else block
        if rest:
            yield rest

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()


class _Zlib:
    """A zlib stream to read from, as ``damo record`` writes it."""

    def __init__(self, raw: BinaryIO):
        self._raw, self._engine, self._input = raw, zlib.decompressobj(), b""

    def read(self, count: int) -> bytes:
        while not self._engine.eof:
            self._input = self._input or self._raw.read(1 << 16)
            if not self._input:
                raise EOFError
            piece = self._engine.decompress(self._input, count)
            self._input = self._engine.unconsumed_tail
            if piece:
                return piece
        return b""
