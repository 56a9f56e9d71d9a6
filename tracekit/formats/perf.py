"""``perf script``: page faults with the addresses at which they were taken, and memory samples with physical addresses.

``perf record -e page-faults -d`` and ``perf script -F comm,pid,time,event,addr,ip,sym`` print faults; ``perf mem record
--phys-data`` and ``perf script -F comm,pid,tid,cpu,time,event,addr,ip,data_src,phys_addr`` print samples.
"""

from collections.abc import Iterator

import numpy as np

from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.lines import Patterns
from tracekit.formats.source import Source
from tracekit.formats.text import any_line

#: Who and when, in the order in which they are tried: that of the commands above first.
_WHO = ("{*} {pid:dec} {t:seconds}: ", "{*} {pid:dec}/{tid:dec} [{cpu:dec}] {t:seconds}: ", "{*} {pid:dec} [{cpu:dec}] {t:seconds}: ",
        "{*} {pid:dec}/{tid:dec} {t:seconds}: ")  # fmt: skip
_FAULTS = Patterns(
    {"fault": [f"{{head}}{before}{name}: {{address:hex}} {{*}}" for before in ("", "{period:dec} ") for name in
               ("page-faults", "faults", "major-faults", "minor-faults", "page-faults:u", "exceptions:page_fault_user:")]},
    {"# comments": "#{*}"},
    _WHO,
)  # fmt: skip
_SAMPLES = Patterns(
    {
        "sample": [
            f"{{head}}{before}{{event:word}} {{address:hex}} {{*}}|OP {{op:word}}{{*}} {{physical:hex}}" for before in ("", "{period:dec} ")
        ]
    },
    {"# comments": "#{*}"},
    _WHO[1:] + _WHO[:1],
)
_FAULT_LINE = rb"\s*\S.*\s\d+(/\d+)?\s+(\[\d+\]\s+)?\d+\.\d+:\s+(\d+\s+)?(page-faults|faults|major-faults|minor-faults)(:u)?:\s+[0-9a-f]+ "
_SAMPLE_LINE = rb"\s*\S.*\s\d+(/\d+)?\s+(\[\d+\]\s+)?\d+\.\d+:\s+(\d+\s+)?\S+\s+[0-9a-f]+ .*\|OP "


def read_faults(source: Source, tally: Tally) -> Iterator[Columns]:
    with source.open() as stream:
        for parsed in _FAULTS.read(stream, tally):
            pids, code = np.unique(parsed["pid"], return_inverse=True)
            names = code.astype(np.int32), [f"process-{int(pid)}" for pid in pids]
            yield {"t": parsed["t"], "page": parsed["address"] >> np.uint64(12), "vm": names}


def read_samples(source: Source, tally: Tally) -> Iterator[Columns]:
    with source.open() as stream:
        for parsed in _SAMPLES.read(stream, tally):
            physical = parsed["physical"]
            tally.drop("sample without a physical address", np.count_nonzero(physical == 0))
            rows = parsed.where(physical != 0)
            op, names = rows.texts("op")
            is_store = np.array([*("STORE" in name for name in names), False])[op]
            yield {"t": rows["t"], "page": rows["physical"] >> np.uint64(12), "write": is_store}


FORMAT = Format(
    "perf-faults",
    ("access",),
    "addresses at which page faults were taken, with time; a VM a process",
    any_line(_FAULT_LINE),
    read_faults,
    virtual=True,
    lacks=frozenset({"exact"}),
    blind=("a page faults at its first touch, and again only if the kernel took it away; loads and stores are not told apart",),
)
SAMPLES_FORMAT = Format(
    "perf-mem",
    ("access",),
    "physical pages of sampled loads and stores, with time",
    any_line(_SAMPLE_LINE),
    read_samples,
    lacks=frozenset({"exact"}),
    blind=("a sample: one access in many; accesses of all processes and the kernel are of one VM",),
)
