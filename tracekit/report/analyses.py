"""Analyses: one question a file, found by name in the folder ``analyses`` or by path.

Its docstring begins with the question, followed by paragraphs Method, Wants (which results) and Source. ``table(results)``, or
``table(trace)`` where a trace alone decides, answers as a LazyFrame; ``chart(frame)`` draws the collected answer with Altair.
"""

import ast
import importlib.util
import inspect
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

import tracekit
from tracekit.errors import TracekitError, nearest
from tracekit.results import Results, open_results
from tracekit.trace import Trace, open_traces


@dataclass(frozen=True)
class Analysis:
    """An analysis that has been loaded: its name, what its docstring says, its two functions."""

    name: str
    question: str
    about: dict[str, str]  # Method, Wants, Source, and other paragraphs that begin with a title
    module: ModuleType

    @property
    def takes_traces(self) -> bool:
        """Whether it is asked of traces rather than of results."""
        return next(iter(inspect.signature(self.module.table).parameters)) == "trace"

    def ask(self, of: Results | Trace) -> pl.DataFrame:
        """Its answer from results, or from a trace where it wants one. Raises TracekitError if they lack what it wants."""
        try:
            frame = self.module.table(of).collect()
        except TracekitError as error:
            raise TracekitError(f"{self.name}: {error}; it wants {self.about.get('Wants', 'other results')}") from None
        if frame.is_empty():
            raise TracekitError(f"{self.name}: there is no answer in these; it wants {self.about.get('Wants', 'other results')}")
        return frame

    def table(self, paths: Sequence[Path]) -> pl.DataFrame:
        """Its answer from directories of results as one, or from the captures in trace files."""
        if self.takes_traces:
            return pl.concat([self.ask(trace) for trace in open_traces(paths)])
        return self.ask(open_results(*paths))

    def origin(self, paths: Sequence[Path]) -> str:
        """Where its numbers come from: names of the traces, and which of them are synthetic."""
        if self.takes_traces:
            traces = {trace.name: trace.synthetic for trace in open_traces(paths)}
        else:
            traces = dict(open_results(*paths).runs.select("trace", "synthetic").collect().iter_rows())
        return ", ".join(f"{name} ({'SYNTHETIC' if made else 'captured'})" for name, made in traces.items())

    def chart(self, frame: pl.DataFrame) -> Any:
        """Its answer drawn: a chart of Altair."""
        return self.module.chart(frame)


def folder() -> Path:
    """Where the analyses are: beside the package in a checkout, inside it where it is installed."""
    inside = Path(tracekit.__file__).parent / "_analyses"
    return inside if inside.is_dir() else Path(tracekit.__file__).parent.parent / "analyses"


def questions() -> dict[str, str]:
    """All analyses by name, each with its question; files are read, not run."""
    found = {}
    for path in sorted(folder().glob("*.py")):
        tree = ast.parse(path.read_text())
        if any(isinstance(node, ast.FunctionDef) and node.name == "chart" for node in tree.body):
            found[path.stem] = _sections(ast.get_docstring(tree) or "")[0]
    return found


def load(name: str) -> Analysis:
    """An analysis by its name, or by the path of a file. Raises TracekitError if there is none, or it is none."""
    path = Path(name) if name.endswith(".py") else folder() / f"{name}.py"
    known = questions()
    if not path.is_file() or (not name.endswith(".py") and name not in known):
        raise TracekitError(f"no analysis {name!r}{nearest(name, known)}; there are {', '.join(known)}, or give the path of a .py file")
    module = _run(path)
    for function in ("table", "chart"):
        if not callable(getattr(module, function, None)):
            raise TracekitError(f"{path}: an analysis has a function {function}; see docs/analyses.md")
    question, about = _sections(module.__doc__ or "")
    return Analysis(path.stem, question or path.stem, about, module)


def _run(path: Path) -> ModuleType:
    """The file as a module; it imports what it shares with others from its own folder."""
    spec = importlib.util.spec_from_file_location(f"tracekit_analysis_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def _sections(docstring: str) -> tuple[str, dict[str, str]]:
    """The question, and the paragraphs after it by their titles."""
    question, _, rest = inspect.cleandoc(docstring).partition("\n\n")
    titled = re.split(r"^([A-Z][\w ]{2,20})(?::|, )", rest, flags=re.MULTILINE)
    about = {title: " ".join(text.split()) for title, text in zip(titled[1::2], titled[2::2])}
    return " ".join(question.split()), about
