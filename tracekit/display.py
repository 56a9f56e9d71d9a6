"""Frames for people: as text of some width, and as HTML that looks right in Jupyter and marimo, light and dark."""

import io
from collections.abc import Sequence
from html import escape

import polars as pl
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table

WIDTH = 100
#: Texts up to this long are names, and stay on one line.
_SHORT = 32
_STYLE = (
    "<style>.tracekit{font:13px/1.4 system-ui,sans-serif;overflow-x:auto}.tracekit table{border-collapse:collapse;margin:.4em 0 .8em}"
    ".tracekit th,.tracekit td{padding:.15em .7em;text-align:left;vertical-align:top;border:0;background:none}"
    ".tracekit thead th{border-bottom:1px solid currentColor;font-weight:600;white-space:nowrap}"
    ".tracekit .n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
    ".tracekit .s{white-space:nowrap}.tracekit p{margin:.3em 0}.tracekit .dim{opacity:.65}</style>"
)


def cell(value: object) -> str:
    """A value as people read it: six figures of a float, nothing for null, thin groups of three in a count."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ") if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:,.0f}".replace(",", " ") if 10_000 <= abs(value) < 1e15 else f"{value:.4g}"
    return str(value)


def table(frame: pl.DataFrame, title: str | None = None) -> Table:
    """A frame as a table of rich, numbers to the right."""
    drawn = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name, kind in frame.schema.items():
        drawn.add_column(name, justify="right" if kind.is_numeric() else "left", overflow="fold")
    for row in frame.iter_rows():
        drawn.add_row(*(cell(value) for value in row))
    return drawn


def text(*parts: RenderableType, width: int = WIDTH) -> str:
    """Renderables as plain text."""
    written = io.StringIO()
    Console(file=written, width=width, highlight=False, markup=False, emoji=False, no_color=True).print(*parts, sep="\n")
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def html_table(frame: pl.DataFrame) -> str:
    """A frame as an HTML table; put several into ``html``."""
    right = ["n" if kind.is_numeric() else "" for kind in frame.schema.values()]
    head = "".join(f'<th class="{side}">{escape(name)}</th>' for name, side in zip(frame.columns, right))
    rows = "".join("<tr>" + "".join(map(_html_cell, row, right)) + "</tr>" for row in frame.iter_rows())
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _html_cell(value: object, side: str) -> str:
    text = cell(value)
    return f'<td class="{side or ("s" if len(text) <= _SHORT else "")}">{escape(text)}</td>'


def html(title: str, parts: Sequence[str], about: str = "") -> str:
    """A titled block of HTML with the style that its tables need; ``about`` stands beside the title."""
    beside = f' <span class="dim">{escape(about)}</span>' if about else ""
    head = f"<p><b>{escape(title)}</b>{beside}</p>" if title else ""
    return f'{_STYLE}<div class="tracekit">{head}{"".join(parts)}</div>'


class Description:
    """What a table's columns say, or which tables there are: ``frame`` for programs, readable where it is shown."""

    def __init__(self, title: str, frame: pl.DataFrame):
        self.title, self.frame = title, frame

    def __repr__(self) -> str:
        return text(table(self.frame, self.title))

    def _repr_html_(self) -> str:
        return html(self.title, [html_table(self.frame)])
