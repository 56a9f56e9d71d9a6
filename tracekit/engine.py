"""The engine: decode a trace once and feed every variant.

Where chunks are cut and how many threads work has no influence on any result.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from tracekit.errors import ScenarioError, TraceError
from tracekit.location import Url
from tracekit.module import Module
from tracekit.part import Part
from tracekit.results import Results, cell_done, check_folder, write_cell
from tracekit.run import Run, fit
from tracekit.scenario import apply_keywords, apply_settings, load_preset, load_scenario, variants
from tracekit.trace import Trace, open_traces
from tracekit.tracefile import BATCH_ROWS

Progress = Callable[[str, int, int], None]
#: A stage as a keyword of ``replay``: its table, its module or modules by name or class, or None.
Stage = Mapping[str, Any] | str | type[Module] | Sequence[str | type[Module] | Mapping[str, Any]] | None


def replay(
    traces: str | os.PathLike[str] | Url | Trace | Iterable[str | os.PathLike[str] | Url | Trace],
    scenario: Path | str | Mapping[str, Any] | None = None,
    *,
    preset: str | None = None,
    settings: Iterable[str] = (),
    memory: str | int | Sequence[str | int] | None = None,
    until: str | int | None = None,
    seed: int | Iterable[int] | None = None,
    together: bool = False,
    chunk: int = BATCH_ROWS,
    jobs: int | None = None,
    out: Path | str | None = None,
    auditing: bool = False,
    progress: Progress | None = None,
    **stages: Stage,
) -> Results:
    """Replay traces through every variant of a scenario, and return the result tables.

    ``traces`` are files, URLs, patterns such as ``"traces/*.parquet"``, or opened traces; ``scenario`` a TOML file or its tables, else
    ``preset``. Further keywords are stages, put in or changed: ``paging={"module": ["lru", "arc"], "frames": [1000, 2000]}``, or
    short ``paging="lru"``; None leaves a stage out. Several values are a sweep, also of ``memory`` and ``seed``. With stages and
    neither scenario nor preset, these stages are all there is; with nothing, the preset is ``esx``. ``settings`` are
    ``stage.parameter=value[,value…]`` as on the command line. ``out`` is a directory that finished replays are kept in; those
    already there are not run again. ``progress`` is called with (what, rows done, rows in all). Raises TracekitError.
    """
    if chunk < 1:
        raise ScenarioError(f"chunks of {chunk} rows cannot be; give at least 1")
    choices = variants(scenario_tables(scenario, preset, settings, memory, until, seed, stages))
    results = Results()
    if out:
        check_folder(out)
    plans = [(trace, *fit(trace, choices)) for trace in _open(traces, together)]
    results.refused = [reason for _, _, reasons in plans for reason in reasons]
    if not any(fitting for _, fitting, _ in plans):
        raise TraceError(results.refused[0])
    for trace, fitting, _ in plans:
        kept = [variant for variant in fitting if out and cell_done(out, trace, variant)]
        todo = [variant for variant in fitting if variant not in kept]
        runs = [Run(trace, variant, auditing, len(todo)) for variant in todo]
        advance(trace, runs, chunk, jobs, progress or (lambda *_: None))
        for run in runs:
            tables = run.tables()
            results.add(tables)
            if out:
                write_cell(out, trace.name, run.variant.id, tables)
        for variant in kept:
            results.add_cell(str(out), trace.name, variant.id)
    return results


def scenario_tables(
    scenario: Path | str | Mapping[str, Any] | None,
    preset: str | None,
    settings: Iterable[str],
    memory: Any = None,
    until: Any = None,
    seed: Any = None,
    stages: Mapping[str, Stage] | None = None,
) -> dict[str, Any]:
    """The tables of a scenario (a file's, those given, or a preset's) with all that overrides them put in."""
    stages = stages or {}
    if scenario is not None:
        tables = dict(scenario) if isinstance(scenario, Mapping) else load_scenario(scenario)
    elif preset is None and stages.keys() - {"host", "replay", "vm"}:
        tables = {}
    else:
        tables = load_preset(preset or "esx")
    tables = apply_settings(apply_keywords(tables, stages), settings)
    for section, name, value in (("host", "memory", memory), ("replay", "until", until), ("replay", "seed", seed)):
        if value is not None:
            tables = apply_keywords(tables, {section: {name: value}})
    return tables


def _open(traces: Any, together: bool) -> list[Trace]:
    given = [traces] if isinstance(traces, (str, os.PathLike, Url, Trace)) else list(traces)
    paths = [item for item in given if not isinstance(item, Trace)]
    opened = [item for item in given if isinstance(item, Trace)]
    return opened + (open_traces(paths, together) if paths or not opened else [])


def advance(trace: Trace, runs: Sequence[Run], chunk: int, jobs: int | None, progress: Progress) -> None:
    """Decode the trace once and take runs on it, or on parts of it, from start to finish, chunk by chunk."""
    if not runs:
        return
    cold = sum(run.is_cold for run in runs)
    if cold:
        progress("compiling kernels (first run only)", 0, 0)
    for run in runs:
        run.start()
    columns: dict[str, set[str]] = {}
    for run in runs:
        for kind, name in run.columns:
            columns.setdefault(kind, set()).add(name)
    parts = {run.trace for run in runs if isinstance(run.trace, Part) and run.trace is not trace}
    if parts:
        for kind in columns.keys() - {"event"}:
            columns[kind].add("page")
    total, done = sum(trace.rows[kind] for kind in columns), 0
    last = max(run.end for run in runs)
    began = time.perf_counter()
    with ExitStack() as stack:
        workers = min(jobs or os.cpu_count() or 1, len(runs))
        spread = stack.enter_context(ThreadPoolExecutor(workers)).map if workers > 1 else map
        stack.enter_context(np.errstate(over="ignore"))  # uint64 wraps around in the generators when not compiled
        chunks = trace.chunks(columns, chunk)
        stack.callback(chunks.close)  # pyright: ignore[reportAttributeAccessIssue]
        for piece in chunks:
            pieces = {trace: piece} | {part: part.of(piece) for part in parts}
            list(spread(lambda run, pieces=pieces: run.feed(pieces[run.trace]), runs))
            done += piece.rows
            progress(trace.name, done, total)
            if piece.last_t > last:
                break
        list(spread(lambda run: run.finish(), runs))
    elapsed = time.perf_counter() - began
    for run in runs:
        run.elapsed = elapsed / len(runs)
