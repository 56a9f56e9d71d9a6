"""Flat memory images (``.raw``, ``.mem``, a VM's memory backend, Firecracker's ``mem``): page i at offset 4096 · i."""

from collections.abc import Iterator
from typing import SupportsInt

from tracekit.formats import images
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.source import Source

FOUR_GIB = 1 << 32
_ENDINGS = (".raw", ".mem", ".ram", ".dd", ".img", ".vmem")


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    if tally.below_4g is None:
        tally.note("page numbers are offsets in the file: wrong from the PCI hole on, unless --below-4g says where it begins")
    below = tally.below_4g if tally.below_4g is not None else 1 << 62
    with source.open() as stream:
        yield from images.pages(stream, 0, below if source.packing else min(below, source.bytes), _tolerant(source, tally))
        if tally.below_4g is not None and stream.at == below:
            size = 1 << 62 if source.packing else source.bytes - below
            yield from images.pages(stream, FOUR_GIB, size, _tolerant(source, tally))


def _tolerant(source: Source, tally: Tally) -> Tally:
    """A compressed image does not say how long it is, so that its end is no loss."""
    if not source.packing:
        return tally
    return _Endless(tally.kind, key=tally.key, dropped=tally.dropped)


class _Endless(Tally):
    def drop(self, reason: str, count: SupportsInt = 1) -> None:
        if reason != images.CUT:
            super().drop(reason, 1)


FORMAT = Format(
    "raw",
    ("content",),
    "every page's digest; several images are snapshots, --interval apart, of which the later add changed pages",
    lambda source: source.name.lower().endswith(_ENDINGS) and any(source.head),
    read,
    series=True,
    blind=("page numbers are offsets in the file", "a page that changed and changed back between two snapshots goes unseen"),
)
