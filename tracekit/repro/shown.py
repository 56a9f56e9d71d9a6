"""Reproductions for a person: tables at a terminal, and one page."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tracekit import __version__
from tracekit.report.page import document
from tracekit.report.page.html import Markup, figure, folded, table, tag
from tracekit.repro.figure import Outcome, Row

_HONEST = (
    "Every figure measured here comes out of a replay of this run; published ones stand beside it and go into nothing else. "
    "“Built in” means that the synthetic trace was solved for that number: it shows that the replay finds what is there, and nothing about "
    "the paper. The deviation is relative, in points where the figure is a percentage."
)


def measured(row: Row) -> str:
    """The figure and its unit."""
    return f"{_figure(row.measured)} {row.unit}"


def _figure(value: float) -> str:
    return f"{value:.{0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2}f}"


def published(row: Row) -> str:
    """The paper's figure, or its words."""
    if row.paper is None:
        return row.says or "no figure"
    return f"{row.paper:.4g} {row.unit}"


def deviation(row: Row) -> str:
    """By how much the measured figure differs."""
    if row.deviation is None:
        return "–"
    points = row.unit == "%" or not row.paper
    said = f"{row.deviation:+.1f} points" if points else f"{100 * row.deviation:+.0f} %"
    return said.replace("-", "−") if said.strip("+-0. %points") else said[1:]


def kind(row: Row) -> str:
    """Whether the trace is real, and whether the number was put into it."""
    return "real" if not row.synthetic else "synthetic, built in" if row.built_in else "synthetic"


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    """Print a table a figure, in 100 columns."""
    width = min(100, console.width)
    for outcome in outcomes:
        lines = Table(
            title=f"{outcome.name}  {outcome.title} ({outcome.source})",
            title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0),
            expand=True,
        )  # fmt: skip
        lines.add_column("quantity", ratio=3, overflow="fold")
        for name in ("measured", "paper", "deviation"):
            lines.add_column(name, justify="right", ratio=1, overflow="fold")
        lines.add_column("trace", ratio=1, overflow="fold")
        for row in outcome.rows:
            lines.add_row(row.quantity, measured(row), published(row), deviation(row), kind(row))
        console.print(lines, width=width)
        console.print(Text(f"→ {outcome.finding}\n", style="yellow"), width=width)


def page(outcomes: Sequence[Outcome], seed: int, elapsed: float) -> str:
    """One HTML page of all figures."""
    created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    title = "The paper's figures, reproduced"
    paper = "Waldspurger, Memory Resource Management in VMware ESX Server (OSDI 2002)"
    lead = f"{len(outcomes)} figures of {paper}, measured beside published."
    head = tag(
        "header", tag("h1", title), tag("p", lead, class_="lead"),
        tag("p", f"{created} · tracekit {__version__} · seed {seed} · {elapsed:.0f} s", class_="date"), id="top",
    )  # fmt: skip
    links = [tag("a", outcome.name, href=f"#{outcome.name}") for outcome in outcomes]
    contents = tag("nav", tag("span", "tracekit", class_="brand"), *links)
    honest = tag("section", tag("p", _HONEST, class_="limits"))
    return document(title, [head, honest, *map(_section, outcomes)], contents)


def _section(outcome: Outcome) -> Markup:
    kinds = {"real" if not row.synthetic else "synthetic" for row in outcome.rows}
    badges = [tag("span", name, class_="badge real" if name == "real" else "badge") for name in sorted(kinds)]
    rows = [(row.quantity, measured(row), published(row), deviation(row), kind(row), row.source) for row in outcome.rows]
    columns = ("quantity", "measured", "paper", "deviation", "trace", "published where")
    how = folded("How", tag("ul", *(tag("li", tag("code", line)) for line in outcome.how)))
    return tag(
        "section", tag("h2", f"{outcome.name}: {outcome.title}", *badges), tag("p", outcome.source, class_="facts"),
        figure(outcome.finding, "measured here, and the paper's figures where it has some", outcome.chart, wide=True),
        table(columns, rows, (1, 2, 3)), how, id=outcome.name,
    )  # fmt: skip
