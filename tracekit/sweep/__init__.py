"""Many traces × variants: planned, bundled, done by a pool of processes, resumed by digest."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekit.engine import scenario_tables
from tracekit.errors import TracekitError
from tracekit.pool.mark import leave_mark, mark_of
from tracekit.pool.task import Pool, perform
from tracekit.results import check_folder, copy_cell, sweep_up
from tracekit.scenario import variants
from tracekit.sweep.cost import Rates, calibrate, finished
from tracekit.sweep.plan import Bundle, Failure, Plan, bundle, plan
from tracekit.tracefile import BATCH_ROWS

#: Called with (what, rows done, rows in all).
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Prepared:
    """A sweep ready to run: what is to be done, by which rates that was estimated, and where results are kept."""

    plan: Plan
    rates: Rates
    out: Path
    mark: str


def prepare(
    traces: Iterable[str | os.PathLike[str]],
    scenario: Path | str | Mapping[str, Any] | None = None,
    *,
    out: Path | str,
    pool: Pool,
    preset: str = "esx",
    settings: Iterable[str] = (),
    memory: str | int | None = None,
    until: str | int | None = None,
    seed: int | None = None,
    auditing: bool = False,
    keep_going: bool = False,
) -> Prepared:
    """Find out what a sweep has to do, and cut it into bundles for a pool's workers. Raises TracekitError."""
    choices = variants(scenario_tables(scenario, preset, settings, memory, until, seed))
    check_folder(out)
    made, rates = plan(traces, choices, out, keep_going), calibrate(finished(out))
    mark = mark_of(out)
    bundle(made, out, mark, rates, pool.workers, pool.largest, {"chunk": BATCH_ROWS, "auditing": auditing})
    return Prepared(made, rates, Path(out), mark)


def run(prepared: Prepared, pool: Pool, keep_going: bool = False, progress: Progress = lambda *_: None) -> list[Failure]:
    """Have a pool do what a sweep has to do, and return what failed, with what the plan says could not be done.

    Finished cells are kept as they come, whatever happens next. Unless it is to keep going, the first failure ends the
    sweep: raises TracekitError.
    """
    out, todo, failures = prepared.out, prepared.plan.todo, list(prepared.plan.failures)
    if not todo:
        return failures
    out.mkdir(parents=True, exist_ok=True)
    leave_mark(out, prepared.mark)
    sweep_up(out)
    total, units, done = sum(bundle.units for bundle in prepared.plan.bundles), 0, 0

    def report(running: int) -> None:
        failed = f", {len(failures)} failed" if failures else ""
        progress(f"{done}/{todo} cells{failed}", units + running, total)

    report(0)
    for outcome in perform(pool, prepared.plan.bundles, report):
        task = outcome.task
        assert isinstance(task, Bundle)
        if outcome.failure:
            if not keep_going:
                raise TracekitError(outcome.said)
            failures += [Failure(task.trace, variant.id, outcome.failure) for variant in task.cells]
        for variant, files in (outcome.value or {}).items():
            copy_cell(out, task.trace, variant, files)
        done, units = done + len(task.cells), units + task.units
        report(0)
    return failures
