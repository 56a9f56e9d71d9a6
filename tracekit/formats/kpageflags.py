"""Dumps of ``/proc/kpageflags``, a file a moment: 64 flags a PFN, of which bit 10 (BUDDY) says that the kernel has it free."""

from collections.abc import Iterator

import numpy as np

from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.records import records
from tracekit.formats.source import Source

_WORD = np.dtype("<u8")
_BUDDY = np.uint64(1 << 10)


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    first = 0
    tally.adding.add("free_hints")
    for words in records(source, _WORD, tally):
        free = (words & _BUDDY) != 0
        edges = np.flatnonzero(np.diff(free, prepend=False, append=False))
        begin, end = edges[0::2], edges[1::2]
        tally.drop("page that is in use", len(free) - np.count_nonzero(free))
        if len(begin):
            codes = np.zeros(len(begin), np.int32), ["hint-free"]
            yield {"what": codes, "a": (begin + first).astype(np.int64), "b": (end - begin).astype(np.int64)}
        first += len(free)


FORMAT = Format(
    "kpageflags",
    ("event",),
    "runs of pages that the guest's kernel has free (hint-free), a dump a moment (--interval apart)",
    lambda source: "kpageflags" in source.name.lower(),
    read,
    series=True,
    lacks=frozenset({"execution_clock"}),
    blind=("old kernels flag only the first page of a free block; other flags are not kept",),
)
