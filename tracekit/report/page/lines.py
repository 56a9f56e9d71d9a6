"""Line charts as SVG: lines, steps, stacked areas and bands over a common axis, labelled at their ends; without a script."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tracekit.report.page.axis import Axis
from tracekit.report.page.html import Markup, join, tag

#: Places on the x axis that tell their values when pointed at.
_TIPS = 40
#: Stretches that a long line is drawn by.
_STRETCHES = 250
#: Width of a letter of tooltips, and of the bold names at lines' ends.
_CHAR, _BOLD = 6.1, 7.0


@dataclass(frozen=True)
class Series:
    """One line (None: unknown), or the area between ``base`` and it. ``css`` names its colour."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    css: str
    base: Sequence[float | None] | None = None
    step: bool = False
    dashed: bool = False
    dots: bool = False
    #: What the tooltip says instead of y, such as the height of a stacked area.
    told: Sequence[float | None] | None = None


@dataclass(frozen=True)
class Box:
    """The plotting area."""

    left: float
    top: float
    right: float
    bottom: float


def chart(
    series: Sequence[Series],
    x: Axis,
    y: Axis,
    *,
    width: int = 560,
    height: int = 250,
    labels: bool = True,
    strip: Sequence[tuple[float, float, str, str]] = (),
) -> Markup:
    """Draw series. ``strip`` is a band below the axis: (from, to, css, name), such as the host's states."""
    series = [_thinned(drawn) for drawn in series]
    names = [s.name for s in series if s.name and labels]
    right = min(max((len(name) for name in names), default=0) * _BOLD + 12, 160) if names else 14
    box = Box(46, 24, width - right, height - 36 - (16 if strip else 0))
    parts = [_frame(x, y, box, width, height, bool(strip))]
    for drawn in sorted(series, key=lambda s: s.base is None):
        parts.append(_area(drawn, x, y, box) if drawn.base is not None else _line(drawn, x, y, box))
    if strip:
        parts.append(_strip(strip, x, box))
    if labels:
        parts.append(_labels(series, y, box))
    parts.append(_tips(series, x, y, box))
    described = f"{y.title} over {x.title}: {', '.join(s.name for s in series if s.name)}"
    return tag("svg", *parts, viewBox=f"0 0 {width} {height}", role="img", aria_label=described)


def _thinned(drawn: Series) -> Series:
    """A long line by the least and the largest value of each of ``_STRETCHES`` stretches, so that no peak is lost."""
    many = len(drawn.x)
    if many <= 2 * _STRETCHES:
        return drawn
    kept = {0, many - 1} | {i for i in range(1, many) if (drawn.y[i] is None) != (drawn.y[i - 1] is None)}
    for n in range(_STRETCHES):
        known = [i for i in range(n * many // _STRETCHES, (n + 1) * many // _STRETCHES) if drawn.y[i] is not None]
        if known:
            kept |= {min(known, key=lambda i: drawn.y[i] or 0.0), max(known, key=lambda i: drawn.y[i] or 0.0)}
    order = sorted(kept)

    def of(values: Sequence | None) -> list | None:
        return None if values is None else [values[i] for i in order]

    return replace(drawn, x=of(drawn.x), y=of(drawn.y), base=of(drawn.base), told=of(drawn.told))


def _f(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _frame(x: Axis, y: Axis, box: Box, width: int, height: int, strip: bool) -> Markup:
    parts = []
    for value in y.ticks(4 if height < 200 else 5):
        at = _f(y.at(value, box.bottom, box.top))
        parts.append(tag("line", x1=_f(box.left), x2=_f(box.right), y1=at, y2=at, class_="grid" if value != y.low else "axis"))
        parts.append(tag("text", y.show(value), x=_f(box.left - 6), y=at, class_="tick e"))
    below = box.bottom + (30 if strip else 14)
    for value in x.ticks(max(4, int((box.right - box.left) / 70))):
        at = _f(x.at(value, box.left, box.right))
        parts.append(tag("line", x1=at, x2=at, y1=_f(box.bottom), y2=_f(box.bottom + 4), class_="axis"))
        parts.append(tag("text", x.show(value), x=at, y=_f(below + 2), class_="tick m"))
    parts.append(tag("text", y.title, x=4, y=11, class_="unit"))
    parts.append(tag("text", x.title, x=_f((box.left + box.right) / 2), y=height - 4, class_="unit m"))
    return join(parts)


def _runs(drawn: Series) -> list[list[int]]:
    """Stretches of known values."""
    runs: list[list[int]] = [[]]
    for i, value in enumerate(drawn.y):
        if value is None:
            runs.append([])
        else:
            runs[-1].append(i)
    return [run for run in runs if run]


def _path(places: Sequence[tuple[float, float]], step: bool) -> str:
    text = f"M{_f(places[0][0])},{_f(places[0][1])}"
    for left, right in places[1:]:
        text += f"H{_f(left)}V{_f(right)}" if step else f"L{_f(left)},{_f(right)}"
    return text


def _places(drawn: Series, values: Sequence[float | None], run: list[int], x: Axis, y: Axis, box: Box) -> list[tuple[float, float]]:
    return [(x.at(drawn.x[i], box.left, box.right), y.at(values[i] or 0.0, box.bottom, box.top)) for i in run]


def _line(drawn: Series, x: Axis, y: Axis, box: Box) -> Markup:
    parts = []
    for run in _runs(drawn):
        places = _places(drawn, drawn.y, run, x, y, box)
        if len(places) > 1:
            parts.append(tag("path", d=_path(places, drawn.step), class_=f"line {drawn.css}{' dashed' if drawn.dashed else ''}"))
        if drawn.dots or len(places) == 1:
            parts += [tag("circle", cx=_f(px), cy=_f(py), r="2.6", class_=f"dot {drawn.css}") for px, py in places]
    return join(parts)


def _area(drawn: Series, x: Axis, y: Axis, box: Box) -> Markup:
    parts = []
    for run in _runs(drawn):
        above = _places(drawn, drawn.y, run, x, y, box)
        below = _places(drawn, drawn.base or (), run, x, y, box)
        if drawn.step:  # a step down on the way back: the corners lie on the other side
            back = "".join(f"V{_f(py)}H{_f(px)}" for px, py in reversed(below[:-1]))
            path = _path(above, True) + back
        else:
            path = _path(above, False) + "".join(f"L{_f(px)},{_f(py)}" for px, py in reversed(below))
        parts.append(tag("path", d=path + "Z", class_=f"area {drawn.css}"))
    return join(parts)


def _strip(strip: Sequence[tuple[float, float, str, str]], x: Axis, box: Box) -> Markup:
    parts = []
    for begin, end, css, name in strip:
        left, right = x.at(begin, box.left, box.right), x.at(end, box.left, box.right)
        about = tag("title", f"{name}, {x.show(begin)} to {x.show(end)}")
        parts.append(
            tag("rect", about, x=_f(left), y=_f(box.bottom + 6), width=_f(max(right - left, 0.8)), height=12, class_=f"state {css}")
        )
        if right - left > len(name) * _CHAR + 4:
            parts.append(tag("text", name, x=_f((left + right) / 2), y=_f(box.bottom + 12.5), class_="tick m in"))
    return join(parts)


def _labels(series: Sequence[Series], y: Axis, box: Box) -> Markup:
    """Names at the lines' ends, moved apart where they would overlap."""
    wanted = []
    for drawn in series:
        known = [i for i, value in enumerate(drawn.y) if value is not None]
        if drawn.name and known:
            value, base = drawn.y[known[-1]] or 0.0, (drawn.base[known[-1]] or 0.0) if drawn.base is not None else None
            place = y.at(value if base is None else (value + base) / 2, box.bottom, box.top)
            wanted.append([place, drawn])
    wanted.sort(key=lambda item: item[0])
    for i in range(1, len(wanted)):
        wanted[i][0] = max(wanted[i][0], wanted[i - 1][0] + 14)
    for i in range(len(wanted) - 1, -1, -1):
        limit = box.bottom + 2 if i == len(wanted) - 1 else wanted[i + 1][0] - 14
        wanted[i][0] = min(wanted[i][0], limit)
    return join(tag("text", _short(s.name, 22), x=_f(box.right + 7), y=_f(at), class_=f"name {s.css}") for at, s in wanted)


def _tips(series: Sequence[Series], x: Axis, y: Axis, box: Box) -> Markup:
    """At every so many places: what all series say there, shown when pointed at."""
    named = [drawn for drawn in series if drawn.name]
    places = sorted({value for drawn in named for value in drawn.x})
    if len(places) > _TIPS:
        places = [places[round(i * (len(places) - 1) / (_TIPS - 1))] for i in range(_TIPS)]
    spots = [x.at(value, box.left, box.right) for value in places]
    parts = []
    for i, (value, spot) in enumerate(zip(places, spots)):
        left = box.left if i == 0 else (spots[i - 1] + spot) / 2
        right = box.right if i == len(spots) - 1 else (spot + spots[i + 1]) / 2
        lines = [f"{x.show(value)} {x.title.rpartition(', ')[2]}"] + [
            f"{_short(drawn.name, 26)}  {y.show(told)}" for drawn in reversed(named) if (told := _told(drawn, value)) is not None
        ]
        parts.append(_tip(spot, left, right, lines, box))
    return tag("g", *parts, class_="tips")


def _tip(spot: float, left: float, right: float, lines: Sequence[str], box: Box) -> Markup:
    wide = max(len(line) for line in lines) * _CHAR + 14
    at = spot + 8 if spot + 8 + wide < box.right + 60 else max(spot - 8 - wide, 0)
    words = [tag("text", line, x=_f(at + 7), y=_f(box.top + 12 + 14 * i), class_="h" if i == 0 else None) for i, line in enumerate(lines)]
    shown = tag(
        "g",
        tag("line", x1=_f(spot), x2=_f(spot), y1=_f(box.top), y2=_f(box.bottom)),
        tag("rect", x=_f(at), y=_f(box.top), width=_f(wide), height=14 * len(lines) + 8, rx=4),
        *words,
    )
    column = tag("rect", x=_f(left), y=_f(box.top), width=_f(max(right - left, 0.5)), height=_f(box.bottom - box.top), class_="hit")
    return tag("g", column, shown)


def _told(drawn: Series, at: float) -> float | None:
    i = bisect_right(drawn.x, at) - 1
    if i < 0:
        return None
    return (drawn.told if drawn.told is not None else drawn.y)[i]


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
