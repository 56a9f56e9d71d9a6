"""An initial file system for a kernel, of a few files: the "newc" form of cpio (Linux documentation, "initramfs buffer format")."""

import gzip
from pathlib import Path


def write_initramfs(path: Path, files: dict[str, tuple[bytes, int]]) -> Path:
    """Write ``files`` (content and mode by name) and the folders they lie in."""
    folders = sorted({str(parent) for name in files for parent in Path(name).parents if str(parent) != "."})
    entries = [(name, b"", 0o40755) for name in ("dev", "proc", "sys", "tmp", *folders)]
    entries += [(name, content, 0o100000 | mode) for name, (content, mode) in files.items()]
    unique = {entry[0]: entry for entry in [*entries, ("TRAILER!!!", b"", 0)]}
    raw = b"".join(_entry(i, *entry) for i, entry in enumerate(unique.values(), 1))
    path.write_bytes(gzip.compress(raw, 6))
    return path


def _entry(number: int, name: str, content: bytes, mode: int) -> bytes:
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(content)


def _padded(raw: bytes) -> bytes:
    return raw + bytes(-len(raw) % 4)
