"""Bar charts as SVG: lying bars made of parts, each with a mark and a note at its end."""

from collections.abc import Sequence
from dataclasses import dataclass

from tracekit.report.page.axis import Axis
from tracekit.report.page.html import Markup, join, tag

_CHAR = 6.1
_HEIGHT = 24


@dataclass(frozen=True)
class Bar:
    """A bar of parts (css, value, what it is); ``mark`` is a value that a line is drawn at, ``note`` stands at the end."""

    label: str
    parts: Sequence[tuple[str, float, str]]
    note: str = ""
    mark: float | None = None


def chart(bars: Sequence[Bar], axis: Axis, *, width: int = 560, thin: bool = False) -> Markup:
    """Draw bars one below the other."""
    height = 17 if thin else _HEIGHT
    left = min(max((len(bar.label) for bar in bars), default=0) * _CHAR + 12, 170)
    right = width - min(max((len(bar.note) for bar in bars), default=0) * _CHAR + 12, 190)
    parts: list[Markup] = []
    bottom = 8 + len(bars) * height
    for value in axis.ticks(max(2, int((right - left) / 80))):
        at = f"{axis.at(value, left, right):.1f}"
        parts.append(tag("line", x1=at, x2=at, y1=4, y2=bottom, class_="grid" if value else "axis"))
        parts.append(tag("text", axis.show(value), x=at, y=bottom + 10, class_="tick m"))
    parts.append(tag("text", axis.title, x=f"{(left + right) / 2:.0f}", y=bottom + 26, class_="unit m"))
    parts += [_bar(bar, axis, left, right, 8 + i * height, height) for i, bar in enumerate(bars)]
    described = f"{axis.title}: {', '.join(bar.label for bar in bars)}"
    return tag("svg", *parts, viewBox=f"0 0 {width} {bottom + 30}", role="img", aria_label=described)


def _bar(bar: Bar, axis: Axis, left: float, right: float, top: float, height: float) -> Markup:
    middle, thick = top + height / 2 - 2, height - 8
    parts = [tag("text", tag("title", bar.label), _short(bar.label, 26), x=f"{left - 8:.1f}", y=f"{middle:.1f}", class_="label e")]
    so_far, end = 0.0, left
    for css, value, about in bar.parts:
        begin, end = axis.at(so_far, left, right), axis.at(so_far + value, left, right)
        so_far += value
        if end > begin:
            title = tag("title", f"{bar.label}: {about} {axis.show(value)} {axis.title}")
            box = {"x": f"{begin:.1f}", "y": f"{middle - thick / 2:.1f}", "width": f"{end - begin:.1f}", "height": f"{thick:.1f}"}
            parts.append(tag("rect", title, **box, class_=f"bar {css}"))
    if bar.mark is not None:
        at = axis.at(bar.mark, left, right)
        box = {"x": f"{at - 1.2:.1f}", "y": f"{middle - thick / 2 - 3:.1f}", "width": 2.4, "height": f"{thick + 6:.1f}"}
        parts.append(tag("rect", tag("title", f"{bar.label}: {axis.show(bar.mark)} {axis.title}"), **box, class_="mark"))
        end = max(end, at)
    parts.append(tag("text", bar.note, x=f"{end + 7:.1f}", y=f"{middle:.1f}", class_="note"))
    return join(parts)


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
