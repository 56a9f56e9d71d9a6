"""KVM's tracepoint ``kvm_page_fault``: the guest-physical addresses at which a guest's memory was not there yet."""

from collections.abc import Iterator

import numpy as np

from tracekit.formats import ftrace
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.lines import Patterns
from tracekit.formats.source import Source

_PATTERNS = Patterns(
    {
        "fault": [
            ftrace.event("kvm_page_fault", "{*}address 0x{address:hex} error_code 0x{error:hex}"),
            ftrace.event("kvm_page_fault", "{*}address {address:hex} error_code {error:hex}"),
        ]
    },
    {"another event of KVM": ftrace.any_event("kvm_"), **ftrace.COMMENTS},
    ftrace.HEADS,
)
_WRITE, _FETCH = np.uint64(1 << 1), np.uint64(1 << 4)


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    with source.open() as stream:
        for parsed in _PATTERNS.read(stream, tally):
            error = parsed["error"]
            columns = {"t": parsed["t"], "page": parsed["address"] >> np.uint64(12)}
            yield columns | {"write": (error & _WRITE) != 0, "fetch": (error & _FETCH) != 0}


FORMAT = Format(
    "kvm-faults",
    ("access",),
    "guest pages at which KVM took a page fault, with time, store and fetch (error code bits 1 and 4)",
    ftrace.has_event(rb"kvm_page_fault"),
    read,
    lacks=frozenset({"exact"}),
    blind=("only first touches and touches after the host took a page away fault; faults at device addresses are among them; "
           "vCPUs of several VMs are not told apart",),
)  # fmt: skip
