"""The paper's figures, reproduced: measured beside published numbers, each labelled real or synthetic, one file a figure.

Published numbers stand in the figures' files and go into the column ``paper`` alone; ``measured`` comes out of replays, and
changes with the seed and with every parameter. What a recipe was solved for is marked as built in.
"""

import importlib
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

import tracekit
from tracekit.engine import Progress
from tracekit.errors import ScenarioError, nearest
from tracekit.repro.figure import Bench, Outcome, Row

FIGURES = ("fig2", "fig4", "fig5", "fig6", "fig7", "fig8", "sec7")

__all__ = ["FIGURES", "Bench", "Outcome", "Row", "captures", "reproduce", "table"]


def captures(given: Path | None = None) -> Path | None:
    """Where the committed captures are: where told, in ``traces`` here, or in the checkout that tracekit runs from; else None."""
    if given is not None:
        if not list(given.glob("*.parquet")):
            raise ScenarioError(f"{given}: holds no traces; name the folder traces of a checkout")
        return given
    places = (Path("traces"), Path(tracekit.__file__).parent.parent / "traces")
    return next((place for place in places if list(place.glob("ten-clones.*.parquet"))), None)


def reproduce(
    names: Iterable[str], seed: int = 0, traces: Path | None = None, settings: Sequence[str] = (), progress: Progress = lambda *_: None
) -> list[Outcome]:
    """Reproduce figures by name, ``all`` or several. Raises TracekitError."""
    wanted = list(dict.fromkeys(figure for name in names for figure in (FIGURES if name == "all" else (name,))))
    unknown = [name for name in wanted if name not in FIGURES]
    if unknown:
        raise ScenarioError(f"there is no figure {unknown[0]!r}{nearest(unknown[0], FIGURES)}; there are {', '.join(FIGURES)} and all")
    if settings and len(wanted) > 1:
        raise ScenarioError("--set changes one figure's replay: name one figure")
    place, outcomes = captures(traces), []
    for name in wanted:
        with tempfile.TemporaryDirectory(prefix="tracekit-") as folder:
            figure = importlib.import_module(f"tracekit.repro.{name}")
            outcomes.append(figure.reproduce(Bench(Path(folder), seed, place, settings, progress)))
    return outcomes


def table(outcomes: Iterable[Outcome]) -> pl.DataFrame:
    """One row a quantity: figure, quantity, unit, measured, paper (null: in words only), deviation, says, source, synthetic, built_in."""
    rows = [
        (o.name, row.quantity, row.unit, row.measured, row.paper, row.deviation, row.says, row.source, row.synthetic, row.built_in)
        for o in outcomes
        for row in o.rows
    ]
    schema = {
        "figure": pl.String, "quantity": pl.String, "unit": pl.String, "measured": pl.Float64, "paper": pl.Float64, "deviation": pl.Float64,
        "says": pl.String, "source": pl.String, "synthetic": pl.Boolean, "built_in": pl.Boolean,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")
