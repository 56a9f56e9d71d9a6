"""What traces themselves tell, besides the results of a replay: use of memory over time, heat, miss-ratio curves."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from tracekit import engine, mrc
from tracekit.errors import TraceError
from tracekit.results import Results
from tracekit.trace import Trace, open_traces

#: Rows from which on miss-ratio curves are estimated from a tenth of the pages.
MANY = 10_000_000


@dataclass(frozen=True)
class Seen:
    """``watched`` are results of the preset working-set, ``curves`` a table ``mrc``, ``names`` the captures in both."""

    watched: Results | None = None
    curves: pl.DataFrame = field(default_factory=pl.DataFrame)
    names: frozenset[str] = frozenset()


def look(paths: Sequence[Path], results: Results, progress: engine.Progress = lambda *_: None) -> Seen:
    """Look at those of the traces that were replayed and tell every touch. Raises TraceError for one that was not replayed."""
    sources = dict(results.table("runs").select("trace", "source").collect().iter_rows())
    traces = open_traces(paths)
    for trace in traces:
        if sources.get(trace.name) != trace.digest:
            known = ", ".join(sorted(sources))
            raise TraceError(f"{trace.name}: these results are not of this trace, or of other files of it; they are of {known}")
    told = [trace for trace in traces if {"access", "exact"} <= trace.capabilities]
    if not told:
        return Seen()
    watched = engine.replay(told, preset="working-set", progress=progress)
    return Seen(watched, pl.concat([_curves(trace) for trace in told]), frozenset(trace.name for trace in told))


def _curves(trace: Trace) -> pl.DataFrame:
    method = "exact" if trace.rows["access"] < MANY else "shards"
    joint = mrc.curves(trace, method)
    return pl.concat([joint, mrc.curves(trace, method, per_vm=True)]) if len(trace.vms) > 1 else joint
