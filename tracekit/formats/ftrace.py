"""Kernel tracepoints as text: the beginnings of lines of ftrace (``cat trace``, ``trace-cmd report``) and of ``perf script``."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from tracekit.formats.format import Columns, Tally
from tracekit.formats.lines import Patterns
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


def events(told: Mapping[str, str | Sequence[str]], skipped: Mapping[str, str | Sequence[str]]) -> Patterns:
    """Patterns of events by name, whose arguments become ``a`` and ``b``, and of such as make no rows, whose names begin so."""

    def listed(texts: str | Sequence[str]) -> Sequence[str]:
        return (texts,) if isinstance(texts, str) else texts

    kept = {name: [event(name, text) for text in listed(texts)] for name, texts in told.items()}
    return Patterns(kept, {reason: [any_event(name) for name in listed(names)] for reason, names in skipped.items()} | COMMENTS, HEADS)


def as_events(source: Source, patterns: Patterns, tally: Tally) -> Iterator[Columns]:
    """Rows of the kind event, by patterns of ``events``; what an event does not tell of a and b is 0."""
    with source.open() as stream:
        for parsed in patterns.read(stream, tally):
            used, codes = np.unique(parsed.which, return_inverse=True)
            what = codes.astype(np.int32), [patterns.names[i] for i in used]
            yield {"t": parsed["t"], "what": what, "a": parsed.signed("a"), "b": parsed.signed("b")}


def has_event(names: bytes) -> Callable[[Source], bool]:
    """Recognise a file in whose beginning an event of one of these names (a regular expression) stands."""
    line = re.compile(rb"\s*\S.*\[\d+\].* [\d.]+: (\w+:)?(" + names + rb"): ")
    return lambda source: any(line.match(text) for text in first_lines(source))
