"""What a worker does for a sweep: some variants of one trace, whose results it keeps, or hands back where it cannot reach them."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tracekit.engine import advance as replay_rows
from tracekit.kernel import cache_folder
from tracekit.pool.task import Advance
from tracekit.results import cell_done, write_cell
from tracekit.run import Run
from tracekit.scenario import Variant
from tracekit.trace import open_trace


def replay_bundle(report: Advance, paths: Sequence[str], out: str, how: dict[str, Any], variants: Sequence[Variant]) -> None:
    """Replay variants of one trace, decoding it once, and keep their cells in ``out``. Cells that are there are left alone."""
    trace = open_trace(*paths)
    runs = [Run(trace, variant, how["auditing"], len(variants)) for variant in variants if not cell_done(out, trace, variant)]
    for run in runs:
        if run.is_cold:
            _compile(run)
    replay_rows(trace, runs, how["chunk"], 1, lambda what, done, total: report(done * len(runs)))
    for run in runs:
        write_cell(out, trace.name, run.variant.id, run.tables())


def _compile(run: Run) -> None:
    """Compile a run's driver unless another process is at it: then wait, and find it in the cache."""
    with _locked(run.driver):
        if run.is_cold:
            Run(run.trace, run.variant).start()


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """Alone among the processes that share a cache; a process that dies gives the lock up."""
    with open(cache_folder() / f"{name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
