"""Times of a foreign file, as ns since its first row."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from tracekit.errors import TraceError
from tracekit.formats.mapping import Source


class Clock:
    """Turns columns of times into ns since the first; ``origin`` is the first as the file has it."""

    def __init__(self, path: Path):
        self._path = path
        self.origin: int | float | None = None

    def since_first(self, array: pa.Array, source: Source) -> np.ndarray:
        """ns since the first value: it is taken off before scaling, so that large times lose nothing. Raises TraceError."""
        if pa.types.is_timestamp(array.type):
            array = array.cast(pa.timestamp("ns", array.type.tz)).cast(pa.int64())
        elif pa.types.is_duration(array.type):
            array = array.cast(pa.duration("ns")).cast(pa.int64())
        if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
            raise TraceError(f"{self._path}: column {source.column!r} is {array.type}, expected times: timestamps, or numbers scaled to ns")
        raw = array.to_numpy(zero_copy_only=False)
        if self.origin is None:
            self.origin = raw[0].item()
        return self._of_floats(raw, source) if pa.types.is_floating(array.type) else self._of_integers(raw, source)

    def _of_floats(self, raw: np.ndarray, source: Source) -> np.ndarray:
        since = np.rint((raw - self.origin) * source.times / source.over)
        if not np.isfinite(since).all() or np.abs(since).max() >= 2.0**62:
            raise TraceError(f"{self._path}: column {source.column!r} holds times that are not finite or exceed 64 bits of ns")
        return since.astype(np.int64)

    def _of_integers(self, raw: np.ndarray, source: Source) -> np.ndarray:
        assert isinstance(self.origin, int)
        # Modulo 2⁶⁴, so that unsigned times below the first become negative.
        since = (raw.astype(np.uint64) - np.uint64(self.origin & 0xFFFFFFFFFFFFFFFF)).view(np.int64)
        limit = ((1 << 63) - 1) // source.times
        if int(since.max()) > limit or int(since.min()) < -limit:
            raise TraceError(f"{self._path}: column {source.column!r} times {source.times} exceeds 64 bits of ns; scale by less")
        return since * source.times // source.over
