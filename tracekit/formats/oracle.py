"""libCacheSim's oracleGeneral (24 bytes a request) and oracleGeneralOpNS (27): time in seconds, object, size, next access."""

from collections.abc import Iterator

import numpy as np

from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.records import records
from tracekit.formats.source import Source

GENERAL = np.dtype([("t", "<u4"), ("object", "<u8"), ("size", "<u4"), ("next", "<i8")])
OPNS = np.dtype([("t", "<u4"), ("object", "<u8"), ("size", "<u4"), ("op", "u1"), ("namespace", "<u2"), ("next", "<i8")])
#: Operations of libCacheSim that write: set, add, cas, replace, append, prepend, delete, incr, decr, write, update.
WRITES = (3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14)
BLIND = ("pages are objects, whatever their sizes; times are whole seconds",)


def _is_general(source: Source) -> bool:
    return "oraclegeneral" in source.name.lower() and not _is_opns(source)


def _is_opns(source: Source) -> bool:
    return "oraclegeneralopns" in source.name.lower()


def read_general(source: Source, tally: Tally) -> Iterator[Columns]:
    for found in records(source, GENERAL, tally):
        yield {"t": found["t"], "page": found["object"]}


def read_opns(source: Source, tally: Tally) -> Iterator[Columns]:
    for found in records(source, OPNS, tally):
        spaces, code = np.unique(found["namespace"], return_inverse=True)
        names = code.astype(np.int32), [f"namespace-{int(space)}" for space in spaces]
        yield {"t": found["t"], "page": found["object"], "write": np.isin(found["op"], WRITES), "vm": names}


FORMAT = Format(
    "oracleGeneral",
    ("access",),
    "requests for objects, in order, with the second",
    _is_general,
    read_general,
    tick_ns=10**9,
    virtual=True,
    blind=BLIND,
)
OPNS_FORMAT = Format(
    "oracleGeneralOpNS",
    ("access",),
    "requests for objects, in order, with the second and whether they write; a VM a namespace",
    _is_opns,
    read_opns,
    tick_ns=10**9,
    virtual=True,
    blind=BLIND,
)
