"""libCacheSim's LCS traces: a header between two magic numbers, then records whose layout the header tells.

Older files describe their records by a string like that of Python's ``struct`` and say which field is which; newer ones have
a version, which stands for a layout, in a header of 1024 or 8192 bytes.
"""

import struct
from collections.abc import Iterator

import numpy as np

from tracekit.errors import TraceError
from tracekit.formats import oracle
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.records import records
from tracekit.formats.source import Source
from tracekit.formats.struct import TYPES

_MAGIC = (0x123456789ABCDEF0).to_bytes(8, "little")
_LETTERS = {"c": "<i1"} | {letter: f"<{kind}" for letter, kind in TYPES.items()}
#: The bytes from 248 on that say which field (counted from 1; 0: none) is what.
_ROLES = ("object", "size", "t", "last", "next", "op", "ttl", "tenant", "content")
_FEATURES = {3: 0, 4: 1, 5: 2, 6: 4, 7: 8, 8: 16}


def _layout(source: Source) -> tuple[np.dtype, int]:
    """The layout of a record, and where records begin."""
    head = source.head
    ends = [size for size in (1024, 8192) if head[size - 8 : size] == _MAGIC]
    if not ends:
        raise TraceError(f"{source.path}: its LCS header has no end; is the file cut off?")
    text = head[8:248].split(b"\0")[0].decode(errors="replace")
    if text[:1] == "<":
        return _described(source, text[1:]), ends[0]
    (version,) = struct.unpack_from("<Q", head, 8)
    wide: list[tuple[str, str]] = [("t", "<u4"), ("object", "<u8"), ("size", "<u4" if version < 3 else "<i8")]
    if version == 2 or version in _FEATURES:
        wide += [("op_tenant", "<u4")] + ([("ttl", "<u4")] if version > 2 else [])
    elif version != 1:
        raise TraceError(f"{source.path}: LCS version {version} is not known; expected 1 to 8")
    features = [(f"feature{i}", "<u4") for i in range(_FEATURES.get(version, 0))]
    return np.dtype([*wide, ("next", "<i8"), *features]), ends[0]


def _described(source: Source, text: str) -> np.dtype:
    head = source.head
    roles = {number: role for role, number in zip(_ROLES, head[248:257]) if number}
    if not text or any(letter not in _LETTERS for letter in text):
        raise TraceError(f"{source.path}: its LCS header describes records as {text!r}; expected letters of {''.join(_LETTERS)}")
    made = np.dtype([(roles.get(i, f"field{i}"), _LETTERS[letter]) for i, letter in enumerate(text, 1)])
    if "object" not in (made.names or ()) or made["object"].kind == "f":
        raise TraceError(f"{source.path}: its LCS header names no field of objects; write the file again")
    return made


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    layout, skip = _layout(source)
    names = layout.names or ()
    for found in records(source, layout, tally, skip):
        columns: Columns = {"page": found["object"].astype(np.int64).view(np.uint64) if layout["object"].kind == "i" else found["object"]}
        if "t" in names:
            t = found["t"]
            columns["t"] = np.nan_to_num(t).astype(np.int64) if t.dtype.kind == "f" else t
        op = found["op_tenant"] & 0xFF if "op_tenant" in names else found["op"] if "op" in names else None
        tenant = found["op_tenant"] >> 8 if "op_tenant" in names else found["tenant"] if "tenant" in names else None
        if op is not None:
            columns["write"] = np.isin(op, oracle.WRITES)
        if tenant is not None:
            values, code = np.unique(tenant, return_inverse=True)
            columns["vm"] = code.astype(np.int32), [f"tenant-{int(value)}" for value in values]
        yield columns


FORMAT = Format(
    "lcs",
    ("access",),
    "requests for objects, in order, with the second and, if the file has them, whether they write; a VM a tenant",
    lambda source: source.head[:8] == _MAGIC,
    read,
    tick_ns=10**9,
    virtual=True,
    blind=oracle.BLIND,
)
