"""DynamoRIO's drmemtrace as the view tool prints it (``drrun -t drmemtrace -tool view``)."""

import re
from collections.abc import Iterator

import numpy as np

from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.lines import Patterns
from tracekit.formats.source import Source
from tracekit.formats.text import any_line

_BEFORE = ("{*}: W{workload:dec}.T{thread:dec} ", "{*}: T{thread:dec} ")
_PATTERNS = Patterns(
    {
        "access": "{head}{op:word} {size:dec} byte(s) @ 0x{address:hex}{*}",
        "timestamp": "{head}<marker: timestamp {ticks:dec}>",
    },
    {
        "marker of another sort": "{head}<marker: {*}",
        "end of a thread": "{head}<thread {*}",
        "# what the tool itself says": (
            "Output format:{*}",
            "<--record#->{*}",
            "-----{*}",
            "View tool{*}",
            "{instructions:dec} : total instructions",
            "Trace invariant{*}",
        ),
    },
    _BEFORE,
)
_FIRST = re.compile(rb"<marker: timestamp (\d{1,18})>")


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    found = _FIRST.search(source.head)
    now = int(found[1]) if found else None
    with source.open() as stream:
        for parsed in _PATTERNS.read(stream, tally):
            names, workloads = np.unique(parsed["workload"], return_inverse=True)
            is_access = parsed.which == 0
            columns: Columns = {}
            if now is not None:
                ticks = np.where(is_access, np.uint64(0), parsed["ticks"])
                last = np.maximum.accumulate(np.where(is_access, -1, np.arange(len(parsed))))
                columns["t"] = np.where(last >= 0, ticks[last], np.uint64(now))[is_access] if len(parsed) else ticks
                if len(last) and last[-1] >= 0:
                    now = int(ticks[last[-1]])
            rows = parsed.where(is_access)
            op, sorts = rows.texts("op")
            known = np.isin(np.array([*sorts, ""]), ("ifetch", "read", "write"))[op]
            tally.drop("access of another sort (prefetch, flush, …)", np.count_nonzero(~known))
            columns |= {"address": rows["address"], "size": rows["size"]}
            columns |= {"write": np.array([*(s == "write" for s in sorts), False])[op]}
            columns |= {"fetch": np.array([*(s == "ifetch" for s in sorts), False])[op]}
            columns = {name: value[known] for name, value in columns.items()}
            columns["vm"] = workloads[is_access][known].astype(np.int32), [f"W{int(name)}" for name in names]
            yield columns


FORMAT = Format(
    "drmemtrace",
    ("access",),
    "loads, stores and fetches of programs, in order, with the time of the last timestamp before; a VM a workload",
    any_line(rb" *\d+ +\d+: (W\d+\.)?T\d+ "),
    read,
    tick_ns=1000,
    virtual=True,
    most_bytes=1 << 20,
    blind=("user space of the traced programs only; accesses between two timestamps have the time of the first",),
)
