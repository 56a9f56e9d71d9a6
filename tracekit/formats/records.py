"""Files of binary records of one size."""

from collections.abc import Iterator

import numpy as np

from tracekit.formats.format import Tally
from tracekit.formats.source import Source, Stream


def records(source: Source, record: np.dtype, tally: Tally, skip: int = 0) -> Iterator[np.ndarray]:
    """Blocks of records from offset ``skip`` on; what is left of one at the end is dropped."""
    with source.open() as stream:
        stream.seek(skip)
        yield from records_of(stream, record, tally)


def records_of(stream: Stream, record: np.dtype, tally: Tally) -> Iterator[np.ndarray]:
    """Likewise of what is left of a stream."""
    for block in stream.blocks(record.itemsize):
        if len(block) % record.itemsize:
            tally.drop("incomplete last record")
        else:
            yield np.frombuffer(block, record)
    if stream.cut:
        tally.drop(stream.cut)
