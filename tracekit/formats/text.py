"""How text formats are recognised: by what their first lines look like."""

import re
from collections.abc import Callable

from tracekit.formats.source import Source

#: How many lines are looked at.
LINES = 400


def first_lines(source: Source) -> list[bytes]:
    """The first whole lines of a file; none if it is no text."""
    head = source.head.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in head[:4096]:
        return []
    return head[: head.rfind(b"\n") + 1].splitlines()[:LINES]


def any_line(pattern: bytes) -> Callable[[Source], bool]:
    """Recognise a file one of whose first lines matches ``pattern`` from its beginning."""
    compiled = re.compile(pattern)
    return lambda source: any(compiled.match(line) for line in first_lines(source))


def every_line(pattern: bytes) -> Callable[[Source], bool]:
    """Recognise a file all of whose first lines (at least one) match ``pattern`` from their beginning, blank ones aside."""
    compiled = re.compile(pattern)

    def recognise(source: Source) -> bool:
        lines = [line for line in first_lines(source) if line.strip()]
        return bool(lines) and all(compiled.match(line) for line in lines)

    return recognise
