"""ChampSim's instruction traces: 64 bytes an instruction, the addresses it is at, loads from and stores to."""

from collections.abc import Iterator

import numpy as np

from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.records import records
from tracekit.formats.source import Source

_RECORD = np.dtype(
    [("pc", "<u8"), ("branch", "u1", 2), ("to_registers", "u1", 2), ("from_registers", "u1", 4), ("stores", "<u8", 2), ("loads", "<u8", 4)]
)


def recognise(source: Source) -> bool:
    return "champsim" in source.name and len(source.head) >= _RECORD.itemsize


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    sorts = np.array([2, 0, 0, 0, 0, 1, 1], np.uint8)
    for found in records(source, _RECORD, tally):
        address = np.concatenate([found["pc"][:, None], found["loads"], found["stores"]], axis=1)
        present = address != 0
        sort = np.broadcast_to(sorts, address.shape)[present]
        yield {"page": address[present] >> np.uint64(12), "write": sort == 1, "fetch": sort == 2}


FORMAT = Format(
    "champsim",
    ("access",),
    "fetches, loads and stores of one program, in order of its instructions: of one instruction the fetch, the loads, the stores",
    recognise,
    read,
    virtual=True,
    blind=("one process, its own addresses; no time, no sizes: an access across two pages is one of the first",),
)
