"""Images of memory as guests: dumps and snapshots of any format that is known, each one snapshot at a time that the user tells."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tracekit.capture.guest import Stop
from tracekit.errors import CaptureError
from tracekit.formats import known
from tracekit.formats.format import Format, Tally
from tracekit.formats.importer import recognise
from tracekit.formats.source import Source


class ImageGuest:
    """Images of one VM, in order of time (ns each): every ``stopped`` moves on to the next."""

    def __init__(self, images: list[tuple[Path, int]], name: str):
        self.name, self.images, self.pages = name, images, 0
        self._formats = [_format_of(path) for path, _ in images]
        self.method = ", ".join(dict.fromkeys(f"images ({format.name})" for format in self._formats))
        self.blind: tuple[str, ...] = tuple(dict.fromkeys(spot for format in self._formats for spot in format.blind))
        self.dropped = dict[str, int]()
        self._next = -1

    @contextmanager
    def stopped(self) -> Iterator[Stop]:
        """The next image; nothing has to stand still."""
        self._next += 1
        yield Stop(self.images[self._next][1])

    def digested(self, key: bytes | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(page numbers, digests) of all pages that the image has. Raises TraceError if it is damaged."""
        path, tally = self.images[self._next][0], Tally("content", key=key)
        for batch in self._formats[self._next].read(Source(path), tally):
            if len(batch["page"]):
                self.pages = max(self.pages, int(batch["page"].max()) + 1)
                yield batch["page"], batch["digest"]
        for reason, count in tally.dropped.items():
            self.dropped[f"{path.name}: {reason}"] = count

    def close(self) -> None:
        """Nothing is held open."""


def _format_of(path: Path) -> Format:
    found = recognise(Source(path))
    if isinstance(found, str) or found.name not in known.IMAGES:
        said = found if isinstance(found, str) else found.name
        raise CaptureError(f"{path}: is {said}, no image of memory; bring it in with tracekit import")
    return found
