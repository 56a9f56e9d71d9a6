"""Variants side by side on the same trace: differences from a baseline with all else equal, and how sure they are.

What is compared are the values of one parameter (``by``), such as ``paging.module``. A variant's mates are the variants that have
the baseline's value of it and are alike in all other parameters, of the same seed; a difference is a variant's less its mates'.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from tracekit import display
from tracekit.compare import metrics as figures
from tracekit.compare import reasons, shown
from tracekit.compare.metrics import METRICS, OBJECTIVES
from tracekit.compare.pareto import front
from tracekit.compare.statistics import Interval, over_seeds, over_time
from tracekit.errors import ScenarioError, nearest
from tracekit.units import parse_duration, parse_size

if TYPE_CHECKING:
    from tracekit.results import Results

SEED = "replay.seed"
#: What the paper chose: the baseline where modules are compared and these are among them.
PAPER = ("esx", "random", "hot")


class Group(NamedTuple):
    """What one line of a comparison stands for: its parameters, and its variants with their mates, all rows of ``summary``."""

    trace: str
    choice: dict[str, Any]
    pairs: list[tuple[dict[str, Any], list[dict[str, Any]]]]


class Comparison:
    """A comparison of the variants of results: ``summary``, ``differences``, ``front``, ``reasons``, ``pivot``."""

    def __init__(self, results: "Results", by: str | None = None, metric: str | None = None, baseline: Any = None):
        _check_traces(results)
        self._results = results
        self._variants = figures.summary(results)
        self.parameters = [name for name in self._variants.columns if "." in name and name != SEED]
        known = [name for name in self._variants.columns if name in METRICS]
        if metric is not None and metric not in known:
            raise ScenarioError(f"no metric {metric!r} in these results{nearest(metric, known)}; there are {', '.join(known)}")
        self.metrics = known if metric is None else [metric]
        #: The parameter that is compared, and whether lines are averages over all others.
        self.by, self.averaged = self._choose_by(by, baseline), by is not None
        self.baseline = self._choose_baseline(baseline)
        self._groups = self._pair()

    # ------------------------------------------------------------------------------------------------ what is compared

    def _choose_by(self, by: str | None, baseline: Any) -> str | None:
        if by is None and isinstance(baseline, str) and "=" in baseline:
            by = baseline.partition("=")[0]
        if by is None:
            modules = [name for name in self.parameters if name.endswith(".module")]
            return next(iter([*modules, *self.parameters]), None)
        if by not in self.parameters:
            varies = ", ".join(self.parameters) or "none: the results hold one variant"
            raise ScenarioError(f"the variants do not differ in {by!r}{nearest(by, self.parameters)}; they do in {varies}")
        return by

    def _choose_baseline(self, baseline: Any) -> Any:
        if self.by is None:
            return None
        values = self._variants[self.by].drop_nulls().unique().sort().to_list()
        if baseline is None:
            return next((name for name in PAPER if name in values), values[0])
        wanted = str(baseline).rpartition("=")[2] if isinstance(baseline, str) else str(baseline)
        for value in values:
            if str(value) == wanted or _quantity(wanted, value) == value:
                return value
        raise ScenarioError(f"no variant has {self.by} = {wanted}; there are {', '.join(map(str, values))}")

    def _pair(self) -> list[Group]:
        kept = [self.by] if self.averaged and self.by else self.parameters
        others = [name for name in self.parameters if name != self.by]
        groups: dict[tuple[Any, ...], Group] = {}
        rows = self._variants.to_dicts()
        bases: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for row in rows:
            if self.by is not None and row[self.by] == self.baseline:
                bases.setdefault((row["trace"], row.get(SEED)), []).append(row)
        for row in rows:
            key = (row["trace"], *(row[name] for name in kept))
            group = groups.setdefault(key, Group(row["trace"], {name: row[name] for name in kept}, []))
            group.pairs.append((row, [base for base in bases.get((row["trace"], row.get(SEED)), []) if _alike(row, base, others)]))
        if (
            self.by is not None
            and rows
            and not any(mates and row not in mates for row, mates in (p for g in groups.values() for p in g.pairs))
        ):
            self._refuse(rows, [row for found in bases.values() for row in found])
        return list(groups.values())

    def _refuse(self, rows: Sequence[Mapping[str, Any]], bases: Sequence[Mapping[str, Any]]) -> None:
        """Say why nothing has a mate."""
        ours = ", ".join(sorted({row["trace"] for row in bases}))
        theirs = ", ".join(sorted({row["trace"] for row in rows} - {row["trace"] for row in bases}))
        if theirs:
            raise ScenarioError(
                f"nothing to compare: {self.by} = {self.baseline} was replayed on {ours}, the other variants on {theirs}; a comparison is "
                "of variants on the same trace, so replay all of them on one"
            )
        raise ScenarioError(
            f"nothing to compare: no variant differs from {self.by} = {self.baseline} in {self.by} alone; choose another --by or --baseline"
        )

    # ------------------------------------------------------------------------------------------------ tables

    @cached_property
    def summary(self) -> pl.DataFrame:
        """One row a trace and choice of parameters, means over seeds (and over other parameters where ``by`` was given): ``variants``
        (how many), the metrics, and ``front``: whether no other choice is better in all that ``OBJECTIVES`` weigh."""
        rows = []
        for group in self._groups:
            means = {name: _mean([row[name] for row, _ in group.pairs]) for name in self.metrics}
            weighed = {f"of {name}": _mean([row[name] for row, _ in group.pairs]) for name in self.objectives}
            rows.append({"trace": group.trace} | group.choice | {"variants": len(group.pairs)} | means | weighed)
        frame = pl.DataFrame(rows, infer_schema_length=None)
        weighed = [name for name in frame.columns if name.startswith("of ")]
        if len(weighed) < 2:
            return frame.drop(weighed)
        signs = [1 if METRICS[name.removeprefix("of ")].less else -1 for name in weighed]
        parts = []
        for part in frame.partition_by("trace", maintain_order=True):
            points = part.select(weighed).cast(pl.Float64).fill_null(np.nan).to_numpy() * signs
            parts.append(part.drop(weighed).with_columns(front=pl.Series(front(points))))
        return pl.concat(parts)

    @cached_property
    def objectives(self) -> list[str]:
        """Objectives in which variants differ on a trace."""
        known = [name for name in OBJECTIVES if name in self._variants.columns]
        counts = self._variants.group_by("trace").agg(pl.col(name).n_unique() for name in known)
        return [name for name in known if counts[name].max() > 1]  # pyright: ignore[reportOperatorIssue, reportOptionalOperand]

    @property
    def front(self) -> pl.DataFrame:
        """The rows of ``summary`` on the Pareto front of memory given, memory saved, page-ins and CPU time of scanning."""
        if "front" not in self.summary.columns:
            held = ", ".join(self.objectives) or "none of them"
            raise ScenarioError(f"a front weighs at least two of {', '.join(OBJECTIVES)} against each other; the variants differ in {held}")
        return self.summary.filter("front").drop("front")

    @cached_property
    def differences(self) -> pl.DataFrame:
        """One row a trace, choice of parameters and metric: ``value``, ``baseline`` (its mates'), ``difference`` with its 95 % interval
        ``low`` … ``high``, ``relative`` (to the baseline), ``basis`` of the interval (seeds, time, or none), ``seeds``, ``periods``
        and ``block`` (periods a block), ``verdict``: better, worse, same, or unclear if the interval has 0 in it."""
        rows = [row for name in self.metrics for group in self._groups if (row := self._difference(group, name))]
        types = {"seeds": pl.Int64, "periods": pl.Int64, "block": pl.Int64}
        floats = ("value", "baseline", "difference", "low", "high", "relative")
        schema = {"trace": pl.String} | {name: self._variants.schema[name] for name in self._groups[0].choice} | {"metric": pl.String}
        schema |= dict.fromkeys(floats, pl.Float64) | {"basis": pl.String} | types | {"verdict": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _difference(self, group: Group, metric: str) -> dict[str, Any] | None:
        known = [(row, [m for m in mates if m[metric] is not None]) for row, mates in group.pairs if row[metric] is not None]
        known = [(row, mates) for row, mates in known if mates]
        if self.by is None or not known:
            return None
        value, base = (
            float(np.mean(column)) for column in zip(*((row[metric], _mean([m[metric] for m in mates])) for row, mates in known))
        )
        by_seed: dict[Any, list[float]] = {}
        for row, mates in known:
            by_seed.setdefault(row.get(SEED), []).append(row[metric] - _mean([mate[metric] for mate in mates]))
        interval, basis, periods, block = self._interval(np.array([np.mean(each) for each in by_seed.values()]), known, metric)
        return {"trace": group.trace} | group.choice | {
            "metric": metric, "value": value, "baseline": base, "difference": value - base,
            "low": interval and interval.low, "high": interval and interval.high,
            "relative": (value - base) / abs(base) if base else None,
            "basis": basis, "seeds": len(by_seed), "periods": periods, "block": block,
            "verdict": _verdict(value - base, interval, METRICS[metric].less),
        }  # fmt: skip

    def _interval(self, by_seed: np.ndarray, known: Any, metric: str) -> tuple[Interval | None, str, int | None, int | None]:
        interval = over_seeds(by_seed)
        if interval is not None:
            return interval, "seeds", None, None
        if all(mates == [row] for row, mates in known) or (pairs := self._in_time(known, metric)) is None:
            return None, "none", None, None
        found = over_time(pairs)
        return (None, "none", len(pairs), None) if found is None else (found[0], "time", len(pairs), found[1])

    def _in_time(self, known: Any, metric: str) -> np.ndarray | None:
        """Rows (x, w, y, v) as ``over_time`` takes them, means over the pairs; None unless all have rows at the same times and, of a
        ratio, the same divisor."""
        series = self._series(metric)
        if series is None:
            return None
        sides: list[np.ndarray] = []
        for of_side in ([[row] for row, _ in known], [mates for _, mates in known]):
            members = [[series.get((row["trace"], row["variant"]), pl.DataFrame()) for row in rows] for rows in of_side]
            first = members[0][0]
            if first.is_empty() or not all(member.drop("x").equals(first.drop("x")) for rows in members for member in rows):
                return None
            x = np.mean([np.mean([member["x"].to_numpy() for member in rows], axis=0) for rows in members], axis=0)
            sides += [x, np.full(len(x), 1 / len(x)) if first["w"].null_count() else first["w"].to_numpy()]
        return np.column_stack(sides) if len(sides[0]) == len(sides[2]) else None

    def _series(self, metric: str) -> dict[Any, pl.DataFrame] | None:
        cache = self.__dict__.setdefault("_series_of", {})
        if metric not in cache:
            frame = figures.series(self._results, metric)
            cache[metric] = None if frame is None else frame.partition_by("trace", "variant", as_dict=True, include_key=False)
        return cache[metric]

    @cached_property
    def reasons(self) -> pl.DataFrame:
        """The best and the worst choice by each metric, and what makes the difference: on which trace, of which VM, which part.
        Without a metric given, by what variants differ in of ``OBJECTIVES``. The last column, ``says``, is a sentence."""
        chosen = self.metrics if len(self.metrics) == 1 else self.objectives or self.metrics[:1]
        return reasons.explain(self._results, self._groups, chosen, self.by, self.baseline)

    def pivot(self, across: str, metric: str | None = None) -> pl.DataFrame:
        """A matrix of a metric, means: a row a trace and value of ``by``, a column a value of the parameter ``across``."""
        metric = metric or (self.metrics[0] if len(self.metrics) == 1 else None)
        if metric is None:
            raise ScenarioError(f"a matrix shows one figure; name it with --metric: {', '.join(self.metrics)}")
        if across not in (*self.parameters, SEED) or across not in self._variants.columns or across == self.by:
            others = [name for name in self.parameters if name != self.by]
            raise ScenarioError(f"cannot spread over {across!r}; the variants also differ in {', '.join(others) or 'nothing else'}")
        index = ["trace", self.by] if self.by else ["trace"]
        means = self._variants.group_by(*index, across, maintain_order=True).agg(pl.col(metric).mean()).sort(*index, across)
        return means.with_columns(pl.format(f"{across}={{}}", across).alias(across)).pivot(across, index=index, values=metric)

    def __repr__(self) -> str:
        lines = (f"· {line}" for line in shown.sentences(self))
        return display.text(display.table(shown.readable(shown.table(self)), shown.heading(self)), *lines)

    def _repr_html_(self) -> str:
        lines = (f"<p>{escape(line)}</p>" for line in shown.sentences(self))
        return display.html(shown.heading(self), [display.html_table(shown.readable(shown.table(self))), *lines])


def _quantity(wanted: str, value: Any) -> Any:
    """A size or duration as people write it, as ``value`` is written: bytes, or a text in ns."""
    try:
        return parse_size(wanted) if isinstance(value, int) else f"{parse_duration(wanted)}ns"
    except ValueError:
        return None


def _check_traces(results: "Results") -> None:
    """Refuse results of different trace files that go by one name."""
    runs = results.table("runs").group_by("trace", maintain_order=True).agg(pl.col("source").unique()).collect()
    for trace, sources in runs.iter_rows():
        if len(sources) > 1:
            raise ScenarioError(
                f"{trace}: these results are of {len(sources)} different sets of trace files under one name; a comparison is of variants "
                "on the same trace, so replay all of them on one"
            )


def _alike(row: Mapping[str, Any], base: Mapping[str, Any], others: Sequence[str]) -> bool:
    """Whether two variants agree in all parameters that both have: modules have parameters of their own."""
    return all(row[name] == base[name] for name in others if row[name] is not None and base[name] is not None)


def _mean(values: Sequence[float | None]) -> Any:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return known[0] if len(known) == 1 else float(np.mean(known))


def _verdict(difference: float, interval: Interval | None, less: bool) -> str:
    if difference == 0 and (interval is None or interval.low == interval.high):
        return "same"
    if interval is not None and interval.low <= 0 <= interval.high:
        return "unclear"
    return "better" if (difference < 0) == less else "worse"
