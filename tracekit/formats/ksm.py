"""KSM, the kernel's own sharing: its tracepoints ``ksm_*``, and its counters, ``grep . /sys/kernel/mm/ksm/*``, a file a moment.

Both become events, for whoever compares a model with the kernel; of the counters of ``/proc/vmstat`` likewise.
"""

from collections.abc import Iterator

import numpy as np

from tracekit.formats import ftrace
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.lines import Patterns
from tracekit.formats.source import Source
from tracekit.formats.text import any_line

#: What is told of each event: a, b.
_EVENTS = {
    "ksm_merge_with_ksm_page": ("ksm pfn {a:dec} rmap_item {*} error {b:int}", "pfn {a:dec} rmap_item {*} error {b:int}"),
    "ksm_merge_one_page": "ksm pfn {a:dec} rmap_item {*} error {b:int}",
    "ksm_remove_rmap_item": "pfn {a:dec} rmap_item {*}",
    "ksm_remove_ksm_page": "pfn {a:dec}",
    "ksm_start_scan": "seq {a:int} rmap size {b:int}",
    "ksm_stop_scan": "seq {a:int} rmap size {b:int}",
    "ksm_advisor": "ksm scan time {a:int} pages_to_scan {b:dec} {*}",
}
_TRACE = ftrace.events(_EVENTS, {"process that comes or goes (ksm_enter, ksm_exit)": ("ksm_enter", "ksm_exit")})
_COUNTERS = Patterns(
    {"counter": ("{*}/ksm/{name:word}:{value:int}", "{name:word} {value:int}", "{name:word}:{value:int}")},
    {"setting that is no number": "{*}/ksm/{*}"},
)
_COUNTER_LINE = rb"(\S*/ksm/\w+:|pages_sharing[: ]|ksm_\w+ )"


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    yield from ftrace.as_events(source, _TRACE, tally)


def read_counters(source: Source, tally: Tally) -> Iterator[Columns]:
    seen = set[str]()
    with source.open() as stream:
        for parsed in _COUNTERS.read(stream, tally):
            names, called = parsed.texts("name")
            first = np.zeros(len(parsed), np.bool_)
            first[np.unique(names, return_index=True)[1]] = True
            first &= np.array([*(name not in seen for name in called), False])[names]
            tally.drop("counter that was told before: a file is one moment", np.count_nonzero(~first))
            seen.update(called)
            value = parsed.signed("value")[first]
            yield {"what": (names[first], called), "a": value, "b": np.zeros(len(value), np.int64)}


FORMAT = Format(
    "ksm",
    ("event",),
    "KSM's merges and their undoing (a is the page frame, b an error), its scans (a number, b items), advice",
    ftrace.has_event(rb"ksm_\w+"),
    read,
    lacks=frozenset({"execution_clock"}),
    blind=("which process or guest a page frame is of is not told",),
)
COUNTERS_FORMAT = Format(
    "ksm-counters",
    ("event",),
    "KSM's counters, an event each, a is the value; several files are moments, --interval apart",
    any_line(_COUNTER_LINE),
    read_counters,
    series=True,
    lacks=frozenset({"execution_clock"}),
    blind=("counters of the whole machine, read while ksmd may be running",),
)
