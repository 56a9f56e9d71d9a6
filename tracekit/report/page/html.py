"""HTML and SVG as text in which nothing but what this package writes itself is markup: names in a trace may be anything."""

import html
import re
from collections.abc import Iterable, Sequence

#: What browsers drop or read in ways of their own.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]")


class Markup(str):
    """Text that is markup already. Whatever is no Markup is escaped where it is put in."""


def escape(value: object) -> Markup:
    """Text as it has to stand between tags and in quoted attributes."""
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(_CONTROL.sub("\ufffd", str(value)), quote=True))


def join(parts: Iterable[object], between: str = "") -> Markup:
    """Parts one after the other, each escaped unless it is markup."""
    return Markup(escape(between).join(escape(part) for part in parts if part is not None))


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element; ``class_`` and the like lose their underscore, others become hyphens."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items() if value is not None)
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def figure(title: str, about: str, *drawn: object, wide: bool = False) -> Markup:
    """A chart under what it shows, in words, and what its axes mean."""
    caption = tag("figcaption", tag("b", title), tag("span", about))
    return tag("figure", caption, *drawn, class_="wide" if wide else None)


def legend(entries: Iterable[tuple[str, str]]) -> Markup:
    """(class, what it stands for)."""
    return tag("ul", *(tag("li", tag("i", class_=css), name) for css, name in entries), class_="legend")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], numbers: int | Sequence[int] = 1) -> Markup:
    """A table; columns from the one numbered ``numbers`` on, or those listed, hold figures and stand to the right."""
    right = range(numbers, len(columns)) if isinstance(numbers, int) else numbers
    css = ["n" if i in right else None for i in range(len(columns))]
    head = tag("tr", *(tag("th", name, class_=css[i]) for i, name in enumerate(columns)))
    body = [tag("tr", *(tag("td", cell, class_=css[i]) for i, cell in enumerate(row))) for row in rows]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), class_="scroll")


def notes(lines: Iterable[str]) -> Markup:
    """Advice: one paragraph each."""
    return join(tag("p", "→ ", line, class_="advice") for line in lines)


def folded(title: str, *inside: object) -> Markup:
    """What is there for whoever asks."""
    return tag("details", tag("summary", title), *inside)
