"""What a sweep has to do: cells not kept yet, in bundles that are one task each.

A bundle is some variants of one trace, which is decoded once for all of them. It is as large as memory allows, but no
larger than ten minutes, which is what the death of a worker may cost. Large bundles decode seldom, small ones balance: begun
longest first (Graham 1969), the last one to end keeps the others waiting for no more than itself. So several cuts are
tried, and taken is the one that is expected to end first even if its longest bundle takes half as long again as expected.
"""

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tracekit.errors import TraceError, TracekitError
from tracekit.pool.task import Task, sentence
from tracekit.results import cell_done
from tracekit.run import fit, is_cold_for
from tracekit.scenario import Variant
from tracekit.sweep.cell import replay_bundle
from tracekit.sweep.cost import COMPILING, OPENING, Rates, Work, decoding_memory, memory_of, work_of
from tracekit.trace import Trace, captures_of, open_trace
from tracekit.tracefile import BATCH_ROWS

#: Parts of a worker's share of all the work that no bundle is larger than: the cuts that are tried.
_PARTS = (1, 2, 4, 8)
_LONGEST, _SHORTEST = 600.0, 1.0


@dataclass(frozen=True)
class Failure:
    """A cell that could not be made (a whole trace, where ``variant`` is empty), and why."""

    trace: str
    variant: str
    reason: str


@dataclass(frozen=True)
class Bundle(Task):
    """Some variants of one trace as a task; taken apart into one task a variant."""

    trace: str = ""
    cells: tuple[Variant, ...] = ()

    def apart(self) -> list[Task]:
        """See ``Task``."""
        *before, variants = self.arguments
        each = self.seconds / len(variants)
        return [
            replace(
                self,
                name=f"{self.trace}.{variant.id}",
                arguments=(*before, (variant,)),
                cells=(variant,),
                seconds=each,
                units=self.units // len(variants),
            )
            for variant in variants
        ]


@dataclass
class Share:
    """A trace's part of a sweep, as planned: see ``plan``."""

    name: str
    paths: tuple[str, ...]
    rows: int
    pages: int
    todo: tuple[Variant, ...]
    kept: int
    work: dict[str, Work]
    variant_memory: int
    fixed_memory: int
    bundles: list[Bundle] = field(default_factory=list)


@dataclass
class Plan:
    """What a sweep has to do; ``refused`` are sentences on what a trace cannot support, as for ``replay``."""

    shares: list[Share] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def bundles(self) -> list[Bundle]:
        return [bundle for share in self.shares for bundle in share.bundles]

    @property
    def todo(self) -> int:
        """Cells to be made."""
        return sum(len(share.todo) for share in self.shares)

    @property
    def kept(self) -> int:
        """Cells that are there."""
        return sum(share.kept for share in self.shares)


def plan(paths: Iterable[Any], choices: Sequence[Variant], out: Path | str, keep_going: bool = False) -> Plan:
    """Which cells of these traces × variants are missing in a results folder; ``bundle`` makes tasks of them.

    A trace that cannot be opened, or supports no variant, is a failure of its own if one is to keep going. Raises TracekitError.
    """
    made = Plan()
    cold: dict[tuple[object, ...], bool] = {}
    for name, files in captures_of(paths).items():
        try:
            trace = open_trace(*files)
            fitting, refused = fit(trace, choices)
            made.refused += refused
            if not fitting:
                raise TraceError(refused[0])
        except TracekitError as error:
            if not keep_going:
                raise
            made.failures.append(Failure(name, "", sentence(error)))
            continue
        todo = tuple(variant for variant in fitting if not cell_done(out, trace, variant))
        made.shares.append(_share(trace, tuple(map(str, files)), todo, len(fitting) - len(todo), cold))
    return made


def _share(trace: Trace, paths: tuple[str, ...], todo: tuple[Variant, ...], kept: int, cold: dict[tuple[object, ...], bool]) -> Share:
    """``cold`` remembers by modules and kinds of rows whether their driver has to be compiled."""
    rows, work = sum(trace.rows.values()), {variant.id: work_of(trace, variant) for variant in todo}
    for variant in todo:
        if (key := (work[variant.id].modules, trace.kinds)) not in cold:
            cold[key] = is_cold_for(trace, variant)
    compiling = COMPILING if any(cold[work[variant.id].modules, trace.kinds] for variant in todo) else 0
    fixed = decoding_memory(trace, BATCH_ROWS) + compiling
    return Share(trace.name, paths, rows, trace.pages, todo, kept, work, memory_of(trace), fixed)


def bundle(made: Plan, out: Path | str, mark: str, rates: Rates, workers: int, largest: int, how: Mapping[str, Any]) -> None:
    """Cut what each trace has to do into bundles for so many workers, of at most ``largest`` bytes.

    ``out``, ``mark`` and ``how`` are handed on to ``replay_bundle``.
    """
    own = [[rates.seconds(share.work[variant.id]) for variant in share.todo] for share in made.shares]
    shared = [rates.decoding(share.work[share.todo[0].id]) if share.todo else 0.0 for share in made.shares]
    total, cuts = sum(map(sum, own)) + sum(shared), []
    for parts in _PARTS:
        most = min(max(total / (parts * workers), _SHORTEST), _LONGEST)
        cuts.append([_cut(*given, most, largest) for given in zip(made.shares, shared, own, strict=True)])

    def ending(cut: list[list[_Piece]]) -> float:
        seconds = [seconds for pieces in cut for seconds, _ in pieces]
        return wall_seconds(seconds, workers) + max(seconds, default=0.0) / 2

    for share, pieces in zip(made.shares, min(cuts, key=ending), strict=True):
        for number, (seconds, chosen) in enumerate(pieces, 1):
            cells = tuple(share.todo[i] for i in chosen)
            share.bundles.append(
                Bundle(
                    name=f"{share.name} {number}/{len(pieces)}",
                    work=replay_bundle,
                    arguments=(share.paths, str(Path(out).absolute()), mark, how, cells),
                    seconds=seconds,
                    memory=share.fixed_memory + share.variant_memory * len(cells),
                    units=int(sum(share.work[cell.id].rows for cell in cells)),
                    trace=share.name,
                    cells=cells,
                )
            )


#: Expected seconds of a bundle, and the numbers of its variants.
_Piece = tuple[float, list[int]]


def _cut(share: Share, shared: float, own: Sequence[float], most: float, largest: int) -> list[_Piece]:
    """The fewest bundles of about ``most`` seconds and at most ``largest`` bytes: ``shared`` seconds each, and each variant's own."""
    count = len(own)
    if not count:
        return []
    fitting = max(1, (largest - share.fixed_memory) // max(share.variant_memory, 1))
    parts = min(count, max(math.ceil(count / fitting), math.ceil(sum(own) / max(most - shared, most / 2))))
    # The longest variants go round the bundles, so that these take about as long as one another.
    order = sorted(range(count), key=lambda i: -own[i])
    pieces = [sorted(order[part::parts]) for part in range(parts)]
    return [(OPENING + shared + sum(own[i] for i in piece), piece) for piece in pieces]


def wall_seconds(tasks: Iterable[float], workers: int) -> float:
    """Expected seconds until the last worker is done with tasks of so many seconds, given out longest first."""
    ends = [0.0] * workers
    for seconds in sorted(tasks, reverse=True):
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)
