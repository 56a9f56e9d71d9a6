"""Kernel tracepoints as text: the beginnings of lines of ftrace (``cat trace``, ``trace-cmd report``) and of ``perf script``."""

import re
from collections.abc import Callable

from tracekit.formats.source import Source
from tracekit.formats.text import first_lines

_FTRACE = "{*}[{cpu:dec}] {flags:word} {t:seconds}: "
_TRACE_CMD = "{*}[{cpu:dec}] {t:seconds}: "
_PERF = "{*}[{cpu:dec}] {t:seconds}: {system:word}:"

#: Lines that no event is in.
COMMENTS = {"# what the tracer itself says": "#{*}"}


def event(name: str, arguments: str) -> tuple[str, ...]:
    """Patterns of an event's lines."""
    return tuple(f"{before}{name}: {arguments}" for before in (_FTRACE, _TRACE_CMD, _PERF))


def any_event(names: bytes) -> tuple[str, ...]:
    """Patterns of all lines whose event's name begins so."""
    return tuple(f"{before}{names.decode()}{{*}}" for before in (_FTRACE, _TRACE_CMD, _PERF))


def has_event(names: bytes) -> Callable[[Source], bool]:
    """Recognise a file in whose beginning an event of one of these names (a regular expression) stands."""
    line = re.compile(rb"\s*\S.*\[\d+\].* [\d.]+: (\w+:)?(" + names + rb"): ")
    return lambda source: any(line.match(text) for text in first_lines(source))
