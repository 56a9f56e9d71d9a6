"""A line of a table as a small plot: eight heights of a block, one character a moment."""

from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
#: Characters that a plot in a table takes.
WIDTH = 12


def spark(values: Sequence[float | None], most: float | None = None, width: int = WIDTH) -> str:
    """Values from 0 to ``most`` (default: the largest), evenly taken where there are more than ``width``; a gap where None.

    Nothing for fewer than two values: a plot of one says nothing.
    """
    if len(values) < 2:
        return ""
    if len(values) > width:
        values = [values[round(i * (len(values) - 1) / (width - 1))] for i in range(width)]
    top = most or max((value or 0.0 for value in values), default=0.0)
    return "".join(" " if value is None else _BLOCKS[_height(value, top)] for value in values)


def _height(value: float, top: float) -> int:
    return min(max(round(value / top * 8 + 0.499) - 1, 0), 7) if top > 0 else 0
