"""What a foreign format is to the importer: how it is recognised, what it yields, what it cannot tell."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, SupportsInt

from tracekit.formats.source import Source

#: Columns of a batch of records by name, see ``Format.read``.
Columns = dict[str, Any]


@dataclass
class Tally:
    """What a reader is told, and what it says beside its rows. ``dropped`` counts what made no row, by reason."""

    kind: str
    below_4g: int | None = None
    memory_pages: int | None = None
    key: bytes | None = None
    virtual: bool = False  # a reader may set it before its first rows, see ``Format``
    dropped: dict[str, int] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    lacking: set[str] = field(default_factory=set)  # capabilities that this file does not support
    adding: set[str] = field(default_factory=set)  # and such as its columns do not suggest

    def drop(self, reason: str, count: SupportsInt = 1) -> None:
        """Count records (or lines, or pages, as the reason says) that make no row."""
        if int(count):
            self.dropped[reason] = self.dropped.get(reason, 0) + int(count)

    def note(self, said: str) -> None:
        """Say something of the file once."""
        self.notes[said] = None


@dataclass(frozen=True)
class Format:
    """A format. ``read`` yields batches of columns by name, arrays or one value for all records:

    - ``t`` (whole numbers, ``tick_ns`` each, of any origin; without it records count as the clock),
    - ``page`` (uint64), or ``address`` and ``size`` in bytes, which are split into pages; neither for events,
    - ``vm``: ``(codes, names)``, else all are of one VM,
    - other columns of the kind; ``device`` as ``(codes, names)``, ``to_device`` as 1, 0 or −1 for both ways.

    ``virtual`` pages (or disk blocks) are numbered by first touch in their VM. Several files of a ``series`` are snapshots,
    one after the other; else they are parts of one record. No record covers more than ``most_bytes``: what says so is
    damaged. ``lacks`` are capabilities that the columns suggest and the format does not support.
    """

    name: str
    kinds: tuple[str, ...]
    yields: str
    recognise: Callable[[Source], bool]
    read: Callable[[Source, Tally], Iterator[Columns]]
    tick_ns: int = 1
    virtual: bool = False
    series: bool = False
    most_bytes: int = 1 << 30
    lacks: frozenset[str] = frozenset()
    blind: tuple[str, ...] = ()
