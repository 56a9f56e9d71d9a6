"""Lists of hashes, one number a line, page after page (``traceReader``); a file a moment."""

from collections.abc import Iterator

import numpy as np

from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.lines import Patterns
from tracekit.formats.source import Source
from tracekit.formats.text import every_line

_PATTERNS = Patterns({"hash": ("{digest:dec}", "0x{digest:hex}")})
#: Lines of which each is a number might be anything: so many of them are hashes of pages.
_WIDE = rb"\s*(\d{7,20}|0x[0-9a-fA-F]{6,16})\s*$"


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    first, wide = 0, False
    with source.open() as stream:
        for parsed in _PATTERNS.read(stream, tally):
            digest = parsed["digest"]
            wide = wide or bool((digest >> np.uint64(32)).any())
            if not wide:
                tally.lacking.add("digest64")
            else:
                tally.lacking.discard("digest64")
            yield {"page": np.arange(first, first + len(digest), dtype=np.uint64), "digest": digest}
            first += len(digest)


FORMAT = Format(
    "hashes",
    ("content",),
    "a hash a page, page after page; several files are snapshots, --interval apart, of which the later add changed pages",
    every_line(_WIDE),
    read,
    series=True,
    blind=("a line that is no number shifts the pages after it; hashes below 2³² are taken for 32 bits, which collide",),
)
