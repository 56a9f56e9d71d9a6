"""A comparison as people read it: a heading, a table that fits a page, and sentences."""

from typing import TYPE_CHECKING

import polars as pl

from tracekit.compare.metrics import METRICS
from tracekit.compare.statistics import LEAST_PERIODS
from tracekit.units import format_bytes

if TYPE_CHECKING:
    from tracekit.compare.comparison import Comparison

#: Figures that a table has room for beside the parameters.
_MOST = 5


def heading(comparison: "Comparison") -> str:
    """What is compared, in a line."""
    traces = comparison.summary["trace"].unique(maintain_order=True).to_list()
    one = len(comparison.metrics) == 1
    parts = [f"{comparison.metrics[0]}: {METRICS[comparison.metrics[0]].prose}" if one else "variants side by side"]
    if comparison.by:
        parts.append(f"by {comparison.by}" + (f", baseline {comparison.baseline}" if one else ""))
    return "; ".join([*parts, *([f"on {traces[0]}"] if len(traces) == 1 else [])])


def table(comparison: "Comparison") -> pl.DataFrame:
    """``differences`` of one metric, else ``summary`` without figures that say nothing here; the trace only where there are several."""
    if len(comparison.metrics) == 1 and comparison.by:
        frame = comparison.differences.drop("metric", "basis", "seeds", "periods", "block")
        frame = frame.with_columns(relative=pl.format("{} %", (pl.col("relative") * 100).round(1)))
    else:
        frame = comparison.summary
        frame = frame.drop(_silent(frame, comparison.metrics))
    return frame.drop("trace") if frame["trace"].n_unique() == 1 else frame


def _silent(frame: pl.DataFrame, metrics: list[str]) -> list[str]:
    """Metrics that are the same for all, or the same as another one; and those beyond what a table has room for."""
    kept: list[str] = []
    for name in metrics:
        alike = any(frame[name].equals(frame[other], null_equal=True) for other in kept)
        if (frame[name].n_unique() > 1 or frame.height == 1) and not alike and len(kept) < _MOST:
            kept.append(name)
    return [name for name in metrics if name not in kept] + (["variants"] if frame["variants"].max() == 1 else [])


def readable(frame: pl.DataFrame) -> pl.DataFrame:
    """The column ``memory`` in units."""
    if "memory" not in frame.columns:
        return frame
    return frame.with_columns(pl.col("memory").map_elements(format_bytes, return_dtype=pl.String))


def sentences(comparison: "Comparison") -> list[str]:
    """Best and worst, what the others were averaged over, how intervals were made or what it takes to have some."""
    said = list(comparison.reasons["says"])
    others = [name for name in comparison.parameters if name != comparison.by]
    if comparison.averaged and others:
        said.append(f"averages over {', '.join(others)}")
    if "front" in comparison.summary.columns and len(comparison.metrics) > 1:
        said.append(f"front: no other variant is better in one of {', '.join(comparison.objectives)} and no worse in the others")
    return said + (_intervals(comparison.differences) if len(comparison.metrics) == 1 else [])


def _intervals(differences: pl.DataFrame) -> list[str]:
    compared = differences.filter(pl.col("difference") != 0)
    notes = []
    seeds = compared.filter(basis="seeds")["seeds"]
    if len(seeds):
        notes.append(f"95 % intervals of paired differences: Student's t over {_span(seeds)} seeds")
    timed = compared.filter(basis="time")
    if timed.height:
        notes.append(
            f"95 % intervals over time, as if the workload went on like this: circular block bootstrap over {_span(timed['periods'])} "
            f"periods between reports, {_span(timed['block'])} a block (Politis & White 2004)"
        )
    without = compared.filter(basis="none")
    short = without.filter(pl.col("periods") < LEAST_PERIODS)["periods"]
    if len(short):
        said = f"{_span(short)} periods between reports, fewer than {LEAST_PERIODS}"
        notes.append(f"no interval over time: {said}; replay with a shorter --set replay.report=…, or with several seeds")
    elif without.height:
        notes.append("no interval: this figure is no sum over time that could be resampled; replay with several seeds")
    return notes


def _span(values: pl.Series) -> str:
    low, high = values.min(), values.max()
    return str(low) if low == high else f"{low} to {high}"
