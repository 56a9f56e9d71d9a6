"""DAMON's tracepoints ``damon_aggregated`` as ftrace or perf script print them: regions, and in how many samples each was accessed."""

from collections.abc import Iterator

import numpy as np

from tracekit.formats import ftrace
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.lines import Patterns
from tracekit.formats.source import Source

#: Regions that end beyond this are of virtual addresses.
PHYSICAL = np.uint64(1 << 43)
BLIND = ("a region's pages are taken to be used alike; at most count samples of each found it accessed",)
_REGION = "target_id={target:dec} nr_regions={regions:dec} {start:dec}-{end:dec}: {count:dec}"
_PATTERNS = Patterns(
    {"region": [ftrace.event("damon_aggregated", _REGION + " {age:dec}"), ftrace.event("damon_aggregated", _REGION)]},
    {"scheme applied (damos_before_apply)": ftrace.any_event("damos_"), "change of intervals": ftrace.any_event("damon_monitor"),
     **ftrace.COMMENTS},
    ftrace.HEADS,
)  # fmt: skip


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    with source.open() as stream:
        for parsed in _PATTERNS.read(stream, tally):
            yield regions(parsed["t"], parsed["target"], parsed["start"], parsed["end"], parsed["count"], tally)


def regions(t: np.ndarray, target: np.ndarray, start: np.ndarray, end: np.ndarray, count: np.ndarray, tally: Tally) -> Columns:
    """Records of the regions that were accessed, a VM a target."""
    wrong = end <= start
    tally.drop("region of no bytes", np.count_nonzero(wrong))
    tally.drop("region in which no sample found an access", np.count_nonzero(~wrong & (count == 0)))
    used = ~wrong & (count > 0)
    if (end[used] > PHYSICAL).any():
        tally.virtual = True
    targets, code = np.unique(target[used], return_inverse=True)
    columns: Columns = {"t": t[used], "address": start[used], "size": (end - start)[used]}
    columns["count"] = np.minimum(count[used], 0xFFFFFFFF).astype(np.uint32)
    if len(targets) > 1 or (targets != 0).any():
        columns["vm"] = code.astype(np.int32), [f"target-{int(name)}" for name in targets]
    return columns


FORMAT = Format(
    "damon",
    ("access",),
    "pages of accessed regions by aggregation interval, at its end; count is DAMON's nr_accesses; a VM a target that is not 0",
    ftrace.has_event(rb"damon_aggregated"),
    read,
    most_bytes=1 << 36,
    lacks=frozenset({"exact"}),
    blind=BLIND,
)
