"""The UMass Memory Buddies traces: some lines of text, then a 32-bit hash a page, then perhaps a Bloom filter; a file a moment.

Nothing says where the text ends and how many hashes there are. The text is the longest beginning of printable lines that
leaves a whole number of hashes; ``--memory`` tells how many there are.
"""

from collections.abc import Iterator

import numpy as np

from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.records import records
from tracekit.formats.source import Source

_HASH = np.dtype("<u4")
_PRINTABLE = frozenset(range(32, 127)) | {9, 10, 13}


def _text_bytes(source: Source) -> int:
    head = source.head
    end = next((i for i, byte in enumerate(head) if byte not in _PRINTABLE), len(head))
    ends = [i + 1 for i in range(end) if head[i] == 10]
    if source.packing:
        return ends[-1] if ends else 0
    return next((place for place in reversed(ends) if (source.bytes - place) % _HASH.itemsize == 0), 0)


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    first = 0
    most = tally.memory_pages if tally.memory_pages is not None else 1 << 62
    for found in records(source, _HASH, tally, _text_bytes(source)):
        kept = found[: max(most - first, 0)]
        tally.drop("hash beyond the memory: of the Bloom filter", len(found) - len(kept))
        if len(kept):
            yield {"page": np.arange(first, first + len(kept), dtype=np.uint64), "digest": kept.astype(np.uint64)}
        first += len(found)


FORMAT = Format(
    "umass",
    ("content",),
    "a 32-bit hash a page; several files are snapshots, --interval apart, of which the later add changed pages",
    lambda source: False,
    read,
    series=True,
    lacks=frozenset({"digest64"}),
    blind=("32-bit hashes collide: of n pages about n²/2³³ pairs by chance", "without --memory a Bloom filter counts as pages"),
)
