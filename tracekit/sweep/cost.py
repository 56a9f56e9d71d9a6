"""What a cell of a sweep is expected to take: seconds by rows and trace time, memory by pages.

Seconds = stages × (rows × a row's cost + VMs × seconds of trace time × a control clock's cost), and for a bundle rows × decoding. The
constants are measured (docs/fleet.md) and right within a factor of about four, because policies differ. So they are
*calibrated*: cells that a results folder holds already tell by which factor each combination of modules, and those never
seen by the median of all, differ from them. How far finished cells lie from their calibrated estimate is the error stated.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tracekit.module import Duration
from tracekit.results import cells_of
from tracekit.run import FRAME_COST, PAGE_COST
from tracekit.scenario import Variant
from tracekit.trace import Trace
from tracekit.units import parse_duration

#: Seconds a row for decoding it, a row and stage, and a stage, VM and second of trace time.
DECODE, ROW, CLOCK = 2e-8, 3e-8, 1e-4
#: Seconds of a task before the first row: files are opened, kernels loaded; and of a cell for its set-up and for keeping its tables.
OPENING, CELL = 0.1, 0.02
#: Seconds until a worker has imported what it needs.
STARTING = 1.0
#: Bytes of a row while it is decoded, in every chunk that is held at a time.
_ROW_BYTES = 64
#: Bytes of a variant whatever its size: arrays begin on huge pages, tables and rows of results (measured with ``esx``: 30 to 60 MiB).
_VARIANT_BYTES = 32 << 20
#: Bytes that compiling a driver takes, once (measured with ``esx``: 400 MiB).
COMPILING = 448 << 20
#: What an estimate may be off by where no cell has been finished: 90 % of cells lie within this factor.
UNCALIBRATED = 4.0


@dataclass(frozen=True)
class Work:
    """A cell by what it costs: rows replayed, VMs × seconds of trace time, and the modules (``"paging.lru"``) that it runs."""

    rows: float
    vm_seconds: float
    modules: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """By the constants, decoding left out."""
        return (self.rows * ROW + self.vm_seconds * CLOCK) * len(self.modules)


def work_of(trace: Trace, variant: Variant) -> Work:
    """What a variant has to do on a trace: all its rows, unless the replay ends early."""
    span, until = trace.last_t - trace.first_t, int(variant.replay.until)
    part = min(1.0, until / span) if until and span else 1.0
    seconds = (until or span) / 1e9
    running = {stage: module for stage, module in variant.make_modules().items() if module.needs <= trace.capabilities}
    modules = tuple(sorted(f"{stage}.{module.name}" for stage, module in running.items()))
    return Work(part * sum(trace.rows.values()), len(trace.vms) * seconds, modules)


def memory_of(trace: Trace) -> int:
    """Bytes of one variant's state, at most: every page has a frame."""
    return trace.pages * (PAGE_COST + FRAME_COST) + _VARIANT_BYTES


def decoding_memory(trace: Trace, chunk: int) -> int:
    """Bytes that decoding holds, whatever the number of variants: a few batches a file."""
    return _ROW_BYTES * chunk * (2 + 3 * len(trace.files))


@dataclass(frozen=True)
class Rates:
    """Factors by which cells take longer than the constants say, by their modules; and the error of what they predict."""

    factors: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    other: float = 1.0
    error: float = UNCALIBRATED
    cells: int = 0

    def seconds(self, work: Work) -> float:
        """Expected seconds of a cell, decoding left out."""
        return work.seconds * self.factors.get(work.modules, self.other) + CELL

    def decoding(self, work: Work) -> float:
        """Expected seconds of decoding, which the cells of a bundle share."""
        return work.rows * DECODE


def calibrate(done: Iterable[tuple[Work, float]]) -> Rates:
    """Rates from finished cells and the seconds they took. A cell's share of its bundle's decoding counts as its own."""
    ratios: dict[tuple[str, ...], list[float]] = {}
    for work, seconds in done:
        if work.seconds > 0 and seconds > 0:
            ratios.setdefault(work.modules, []).append(seconds / work.seconds)
    if not ratios:
        return Rates()
    factors = {modules: float(np.median(found)) for modules, found in ratios.items()}
    off = [abs(np.log(ratio / factors[modules])) for modules, found in ratios.items() for ratio in found]
    return Rates(factors, float(np.median(list(factors.values()))), float(np.exp(np.quantile(off, 0.9))), len(off))


def finished(folder: Path | str) -> list[tuple[Work, float]]:
    """The cells of a results folder, by what they had to do and the seconds they took; damaged ones are passed over."""
    return [found for path in cells_of(folder) if (found := _finished(path / "runs.parquet")) is not None]


def _finished(runs: Path) -> tuple[Work, float] | None:
    try:
        (run,) = pl.read_parquet(runs, columns=["left_out", "vms", "rows", "span", "elapsed"]).to_dicts()
        rows = pl.read_parquet(runs.with_name("variants.parquet"), columns=["stage", "param", "value"]).to_dicts()
    except (OSError, ValueError, pl.exceptions.PolarsError):
        return None
    params: dict[str, Any] = {f"{row['stage']}.{row['param']}": row["value"] for row in rows}
    left_out = {said.partition(":")[0] for said in run["left_out"].split("; ")}
    modules = {f"{row['stage']}.{row['value']}" for row in rows if row["param"] == "module"} - left_out
    until = Duration(parse_duration(params.get("replay.until", "0ns")))
    vm_seconds = len(run["vms"].split(" ")) * (until or run["span"]) / 1e9
    return Work(run["rows"], vm_seconds, tuple(sorted(modules))), run["elapsed"]
