"""Kernel tracepoints as text: the beginnings of lines of ftrace (``cat trace``, ``trace-cmd report``) and of ``perf script``."""

import re
from collections.abc import Callable

from tracekit.formats.source import Source
from tracekit.formats.text import first_lines

#: What stands before an event's name, for ``Patterns``: ftrace's own way, trace-cmd's, perf's.
HEADS = ("{*}[{cpu:dec}] {flags:word} {t:seconds}: ", "{*}[{cpu:dec}] {t:seconds}: ", "{*}[{cpu:dec}] {t:seconds}: {system:word}:")
#: Lines that no event is in.
COMMENTS = {"# what the tracer itself says": "#{*}"}


def event(name: str, arguments: str) -> str:
    """The pattern of an event's lines."""
    return f"{{head}}{name}: {arguments}"


def any_event(names: str) -> str:
    """The pattern of all lines whose event's name begins so."""
    return f"{{head}}{names}{{*}}"


def has_event(names: bytes) -> Callable[[Source], bool]:
    """Recognise a file in whose beginning an event of one of these names (a regular expression) stands."""
    line = re.compile(rb"\s*\S.*\[\d+\].* [\d.]+: (\w+:)?(" + names + rb"): ")
    return lambda source: any(line.match(text) for text in first_lines(source))
