"""The column map of an import: ``t=time_us*1000, ppn=address/4096, vm='guest'``.

``COLUMN=SOURCE`` names the source column of a trace column; ``SOURCE*N`` and ``SOURCE/N`` (whole N) change its unit, a
quoted SOURCE is a constant.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tracekit.errors import TraceError
from tracekit.schema import KINDS

_ITEM = re.compile(r"""\s*(\w+)\s*=\s*('[^']*'|"[^"]*"|[^,]*?)\s*(?:,|$)""")
_SCALED = re.compile(r"(.+?)\s*([*/])\s*([0-9]+)")


@dataclass(frozen=True)
class Source:
    """Where a trace column comes from: a column times ``times`` over ``over``, or a constant."""

    column: str = ""
    times: int = 1
    over: int = 1
    constant: str | None = None


def parse_mapping(text: str) -> dict[str, str]:
    """``"t=time,ppn=addr/4096"`` as trace column → source text. Raises TraceError."""
    mapping: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _ITEM.match(text, at)
        if not match or not match[2]:
            raise TraceError(f"column map: cannot read {text[at:]!r}; expected COLUMN=SOURCE, such as t=time_us*1000 or ppn=address/4096")
        if match[1] in mapping:
            raise TraceError(f"column map: {match[1]!r} is mapped twice; map it once")
        mapping[match[1]] = match[2]
        at = match.end()
    return mapping


def resolve(mapping: Mapping[str, str], present: Iterable[str], kind: str | None, path: object) -> tuple[str, dict[str, Source]]:
    """The kind of the trace and the source of each of its columns; columns of the schema's own name need no mapping.

    Raises TraceError for columns that neither the schema nor the source has, and for required ones left unmapped.
    """
    present = list(present)
    kind = kind or _kind_of(mapping.keys() | set(present), path)
    if kind not in KINDS:
        raise TraceError(f"unknown kind {kind!r}; expected one of {', '.join(KINDS)}")
    table = KINDS[kind]
    strange = [name for name in mapping if name not in table.names]
    if strange:
        raise TraceError(f"column map: a {kind} trace has no column {strange[0]!r}; its columns are {', '.join(table.names)}")
    sources = {}
    for column in table.columns:
        if column.name in mapping:
            sources[column.name] = _source(mapping[column.name], present, path)
        elif column.name in present:
            sources[column.name] = Source(column.name)
        elif not column.optional:
            raise TraceError(
                f"{path}: a {kind} trace needs {column.name!r} ({column.prose}) and nothing is mapped to it; "
                f"map one of {', '.join(present[:12])}, such as --map {column.name}={present[0] if present else 'COLUMN'}"
            )
    return kind, sources


def _kind_of(names: Iterable[str], path: object) -> str:
    names = set(names)
    for kind, mark in (("content", "digest"), ("io", "device"), ("event", "what"), ("access", "ppn")):
        if mark in names:
            return kind
    raise TraceError(f"{path}: no column is digest, device, what or ppn, so its kind is not known; map one, such as --map ppn=COLUMN")


def _source(text: str, present: list[str], path: object) -> Source:
    if text in present:
        return Source(text)
    if text.startswith(("'", '"')):
        return Source(constant=text[1:-1])
    match = _SCALED.fullmatch(text)
    name = match[1] if match else text
    if name not in present:
        raise TraceError(f"{path}: has no column {name!r}; its columns are {', '.join(present[:12])}")
    if not match:
        return Source(name)
    factor = int(match[3])
    if not 0 < factor < 1 << 62:
        raise TraceError(f"column map: cannot scale {name!r} by {match[3]}; expected a whole number from 1 up")
    return Source(name, times=factor) if match[2] == "*" else Source(name, over=factor)
