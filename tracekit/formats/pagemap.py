"""Dumps of ``/proc/PID/pagemap``, a file a moment: 64 bits a virtual page, of which bits 0–54 are the PFN, 55 soft-dirty, 63 present."""

from collections.abc import Iterator

import numpy as np

from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.records import records
from tracekit.formats.source import Source

_WORD = np.dtype("<u8")
_PFN = np.uint64((1 << 55) - 1)
_SOFT_DIRTY, _SWAPPED, _PRESENT = (np.uint64(1 << bit) for bit in (55, 62, 63))


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    for words in records(source, _WORD, tally):
        present, dirty = (words & _PRESENT) != 0, (words & _SOFT_DIRTY) != 0
        tally.drop("page that is swapped out", np.count_nonzero(~present & ((words & _SWAPPED) != 0)))
        tally.drop("page that is not there", np.count_nonzero(~present & ((words & _SWAPPED) == 0)))
        tally.drop("page that was not written to (soft-dirty is 0)", np.count_nonzero(present & ~dirty))
        found = words[present & dirty] & _PFN
        tally.drop("page whose PFN is hidden (read without CAP_SYS_ADMIN)", np.count_nonzero(found == 0))
        found = found[found != 0]
        if len(found):
            yield {"page": found, "write": True}


FORMAT = Format(
    "pagemap",
    ("access",),
    "physical pages of a process that were written to since soft-dirty bits were cleared, a dump a moment (--interval apart)",
    lambda source: "pagemap" in source.name.lower(),
    read,
    series=True,
    lacks=frozenset({"exact"}),
    blind=("writes only; where the kernel has no soft-dirty bits, every page is dirty or none; the physical page may have changed",),
)
