"""What a reproduction is: rows of measured beside published numbers, a chart, and how both were made."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracekit import engine
from tracekit.report.page.html import Markup
from tracekit.results import Results
from tracekit.synth import synthesize

MIB = 256  # pages

#: Where a published number comes from: the paper's text, its figure as remembered or read off, or arithmetic on what it states.
TEXT, READ_OFF, DERIVED = "the paper's text", "read off the paper's figure: about", "derived from the paper's formulas"


@dataclass(frozen=True)
class Row:
    """One quantity. ``paper`` is None where the paper says it in words only (``says``).

    ``built_in`` marks a quantity that a recipe was solved for: it tests that the replay finds what is there, and is no evidence
    for the paper.
    """

    quantity: str
    measured: float
    unit: str
    paper: float | None = None
    says: str = ""
    source: str = TEXT
    synthetic: bool = True
    built_in: bool = False

    @property
    def deviation(self) -> float | None:
        """Measured less published: relative where that can be, else absolute (percentages are compared in points)."""
        if self.paper is None:
            return None
        return self.measured - self.paper if self.unit == "%" or not self.paper else self.measured / self.paper - 1


@dataclass(frozen=True)
class Outcome:
    """What came of one figure."""

    name: str
    title: str
    source: str
    how: Sequence[str]
    rows: Sequence[Row]
    chart: Markup
    finding: str


@dataclass
class Bench:
    """Where a figure is reproduced: a folder for synthetic traces, the seed, and where the real captures are."""

    folder: Path
    seed: int = 0
    captures: Path | None = None
    settings: Sequence[str] = ()
    progress: engine.Progress = lambda *_: None
    how: list[str] = field(default_factory=list)

    def synthesize(self, recipe: str, **params: Any) -> list[Path]:
        """The files of a recipe's capture, the truth left out."""
        given = "".join(f" -p {name}={value}" for name, value in params.items())
        self.how.append(f"tracekit synth {recipe} --seed {self.seed}{given} -o DIR")
        self.progress(f"synthesizing {recipe}", 0, 0)
        return synthesize(recipe, self.folder / recipe, self.seed, **params)[:-1]

    def capture(self, name: str) -> list[Path]:
        """The files of a committed real capture; none where there is no checkout."""
        return sorted(self.captures.glob(f"{name}.*.parquet")) if self.captures else []

    def replay(self, files: Iterable[Path], scenario: Mapping[str, Any], until: str | None = None, seeds: int = 1) -> Results:
        """Replay traces by a scenario with the settings that were asked for, over one seed or several."""
        files = list(files)
        seed = self.seed if seeds == 1 else [self.seed + i for i in range(seeds)]
        tables = {**scenario, "replay": {**scenario.get("replay", {}), "seed": seed}}
        stages = ", ".join(
            f"{name}.module={tables[name]['module']}" for name in tables if isinstance(tables[name], dict) and "module" in tables[name]
        )
        self.how.append(f"replay of {files[0].name.partition('.')[0]}: {stages}" + (f", until {until}" if until else ""))
        return engine.replay(files, tables, settings=self.settings, until=until, progress=self.progress)
