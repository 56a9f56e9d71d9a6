"""What a worker does for a sweep: some variants of one trace, whose results it keeps, or hands back where it cannot reach them."""

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from tracekit.engine import advance as replay_rows
from tracekit.kernel import cache_folder
from tracekit.pool.mark import mark_of
from tracekit.pool.task import Advance
from tracekit.results import cell_done, read_cell, write_cell
from tracekit.run import Run
from tracekit.scenario import Variant
from tracekit.trace import open_trace

#: The files of cells by variant.
Cells = dict[str, dict[str, bytes]]


def replay_bundle(report: Advance, paths: Sequence[str], out: str, mark: str, how: Mapping[str, Any], variants: Sequence[Variant]) -> Cells:
    """Replay variants of one trace, decoding it once, and keep their cells in ``out``; those that are there are left alone.

    Where ``out`` does not bear ``mark``, as on a machine that does not reach that folder, the cells are returned instead.
    """
    trace, here = open_trace(*paths), mark_of(out) == mark
    runs = [Run(trace, variant, how["auditing"], len(variants)) for variant in variants if not (here and cell_done(out, trace, variant))]
    for run in runs:
        if run.is_cold:
            _compile(run)
    replay_rows(trace, runs, how["chunk"], 1, lambda what, done, total: report(done * len(runs)))
    with TemporaryDirectory() as elsewhere:
        folder = out if here else elsewhere
        for run in runs:
            write_cell(folder, trace.name, run.variant.id, run.tables())
        return {} if here else {run.variant.id: read_cell(elsewhere, trace.name, run.variant.id) for run in runs}


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
