"""Flat memory images (``.raw``, ``.mem``, a VM's memory backend, Firecracker's ``mem``): page i at offset 4096 · i."""

from collections.abc import Iterator

from tracekit.formats import images
from tracekit.formats.format import Columns, Format, Tally
from tracekit.formats.source import Source

FOUR_GIB = 1 << 32
_ENDINGS = (".raw", ".mem", ".ram", ".dd", ".img", ".vmem")


def read(source: Source, tally: Tally) -> Iterator[Columns]:
    if tally.below_4g is None:
        tally.note("page numbers are offsets in the file: wrong from the PCI hole on, unless --below-4g says where it begins")
    with source.open() as stream:
        if tally.below_4g is not None and (source.packing or tally.below_4g < source.bytes):
            yield from images.pages(stream, 0, tally.below_4g, tally)
            yield from images.rest(stream, FOUR_GIB, tally)
        else:
            yield from images.rest(stream, 0, tally)


FORMAT = Format(
    "raw",
    ("content",),
    "every page's digest; several images are snapshots, --interval apart, of which the later add changed pages",
    lambda source: source.name.lower().endswith(_ENDINGS) and any(source.head),
    read,
    series=True,
    blind=("page numbers are offsets in the file", "a page that changed and changed back between two snapshots goes unseen"),
)
