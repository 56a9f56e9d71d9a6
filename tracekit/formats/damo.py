"""What ``damo record`` stores: JSON, or JSON compressed by zlib, a list of records with snapshots of regions each.

It is read as a stream: its members are found by name in the order in which damo writes them.
"""

import re
from collections.abc import Iterator

import numpy as np

from tracekit.formats import damon
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.source import Source

_NUMBER = rb'\s*:\s*"?([\d,]{1,27})"?'
_MEMBER = re.compile(
    rb'"target_id"' + _NUMBER + rb'|"start_time"' + _NUMBER
    + rb'|\{\s*"start"' + _NUMBER + rb'\s*,\s*"end"' + _NUMBER + rb'\s*,\s*"nr_accesses"\s*:\s*\{\s*"samples"\s*:\s*"?(-?\d{1,18})"?'
)  # fmt: skip
#: No member is longer than this.
_LONGEST = 4096
_LARGEST = (1 << 64) - 1


def recognise(source: Source) -> bool:
    return source.head[:1] == b"[" and b'"kdamond_idx"' in source.head[:_LONGEST]


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    target = now = 0
    held, ends_well = b"", False
    with source.open() as stream:
        while block := stream.read(1 << 20):
            ends_well = block.rstrip()[-1:] == b"]"
            text, done, rows = held + block, 0, []
            for found in _MEMBER.finditer(text):
                done = found.end()
                if found[1]:
                    target = _number(found[1])
                elif found[2]:
                    now = _number(found[2])
                elif found[5].startswith(b"-"):
                    tally.drop("region made up to close a snapshot")
                else:
                    rows.append((now, target, _number(found[3]), _number(found[4]), int(found[5])))
            held = text[max(done, len(text) - _LONGEST) :]
            if rows:
                t, targets, start, end, count = (np.array(column, np.uint64) for column in zip(*rows))
                yield damon.regions(t, targets, start, end, count, tally)
        if stream.cut or not ends_well:
            tally.drop(stream.cut or "the list has no end: the file was cut off")


def _number(text: bytes) -> int:
    """A number as damo writes it: 268,238,848."""
    return min(int(text.replace(b",", b"") or 0), _LARGEST)


FORMAT = Format(
    "damo",
    ("access",),
    "pages of accessed regions by snapshot, at its beginning; count is DAMON's nr_accesses; a VM a target that is not 0",
    recognise,
    read,
    most_bytes=1 << 36,
    lacks=frozenset({"exact"}),
    blind=damon.BLIND,
)
