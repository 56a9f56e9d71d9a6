"""What the sections of a page share: the rows of one capture, the variants that it was replayed by, colours."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from tracekit.compare.swept import swept_labels
from tracekit.report.page.html import Markup, table, tag
from tracekit.report.summary import vm_sizes
from tracekit.results import Results

#: Colours of a chart; more lines than that nobody can tell apart.
COLOURS = 8
#: Small charts side by side; the tables have the rest.
PANELS = 12


@dataclass(frozen=True)
class Section:
    """A part of a capture's page; ``says`` is its finding in a few words: for the overview, as a figure and what it means."""

    name: str
    title: str
    says: tuple[str, str] | None
    parts: Sequence[Markup]


def _natural(label: str) -> list[tuple[float, str]]:
    """An order in which numbers count as numbers."""
    return [(float(part), "") if part.replace(".", "", 1).isdigit() else (math.inf, part) for part in re.split(r"(\d+(?:\.\d+)?)", label)]


class Capture:
    """One capture of the results."""

    def __init__(self, results: Results, name: str):
        self.results = results
        self.name = name
        self.runs = self.rows("runs")
        self.run = self.runs.row(0, named=True)
        self.vms = vm_sizes(self.run["vms"])
        self.pages = sum(self.vms.values())

    @cached_property
    def labels(self) -> dict[str, str]:
        """What to call each variant that this capture was replayed by."""
        every = swept_labels(self.results)
        return dict(sorted(((variant, every[variant]) for variant in self.runs["variant"]), key=lambda item: _natural(item[1])))

    def colour(self, vm: str) -> str:
        """The class of a VM's colour, the same in all charts; of all VMs together that of the text."""
        return colour(list(self.vms).index(vm)) if vm in self.vms else "truth"

    def rows(self, table: str) -> pl.DataFrame:
        """The rows of a table; a frame without columns where there is no such table."""
        if table not in self.results.names:
            return pl.DataFrame()
        return self.results.table(table).filter(pl.col("trace") == self.name).collect()

    def variants(self, frame: pl.DataFrame) -> dict[str, str]:
        """Those variants that have rows in a frame, and their labels."""
        there = set(frame["variant"])
        return {variant: label for variant, label in self.labels.items() if variant in there}

    def panels(self, frame: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
        """The rows of each VM (of each variant, where there are several), under their name; ``PANELS`` at most."""
        variants = self.variants(frame)
        found = 0
        for variant, label in variants.items():
            for vm in self.vms:
                rows = frame.filter((pl.col("variant") == variant) & (pl.col("vm") == vm))
                if rows.is_empty():
                    continue
                if found == PANELS:
                    return
                found += 1
                yield (vm if len(variants) == 1 else f"{vm} · {label}"), rows


def side_by_side(charts: Sequence[tuple[str, Callable[[int], Markup]]]) -> Markup:
    """Small charts under their names; a chart draws itself in a width, and one or two have more room."""
    many = len(charts) > 2
    drawn = [tag("div", tag("h4", name), draw(372 if many else 560)) for name, draw in charts]
    return tag("div", *drawn, class_="panels" if many else "pair")


def figures(variants: Mapping[str, str], columns: Sequence[str], rows: Iterable[Sequence[object]], numbers: int) -> Markup:
    """A table whose first column is the variant, which is left out where there is one."""
    if len(variants) > 1:
        return table(columns, rows, numbers)
    return table(columns[1:], [row[1:] for row in rows], numbers - 1)


def colour(number: int) -> str:
    """The class of the colour of line ``number``."""
    return f"c{number % COLOURS}"


def clipped(shown: int, there: int, what: str) -> str:
    """Says that not all is shown; empty if it is."""
    return f" {shown} of {there} {what} are drawn; the tables have all." if shown < there else ""
