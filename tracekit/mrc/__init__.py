"""Miss-ratio curves under LRU: exact, by SHARDS, by AET; of each VM or of all in one memory."""

from collections.abc import Sequence

import polars as pl

from tracekit.errors import TracekitError
from tracekit.mrc.aet import aet
from tracekit.mrc.exact import exact
from tracekit.mrc.pools import pools_of
from tracekit.mrc.shards import shards
from tracekit.mrc.table import MRC, to_frame
from tracekit.trace import Trace
from tracekit.tracefile import BATCH_ROWS

__all__ = ["METHODS", "MRC", "curves"]

METHODS = ("exact", "shards", "aet")
#: SHARDS' rate where neither a rate nor a size is given.
RATE = 0.1


def curves(
    trace: Trace,
    method: str = "exact",
    *,
    per_vm: bool = False,
    sizes: Sequence[int] | None = None,
    rate: float | None = None,
    size: int | None = None,
    seed: int = 0,
    chunk: int = BATCH_ROWS,
) -> pl.DataFrame:
    """Miss-ratio curves of a trace as table ``MRC``, at ``sizes`` in pages (default: some 50 up to the footprint).

    SHARDS alone takes ``rate`` (0.1), or ``size``, the most pages that it samples (then ``rate`` is where it starts, 1),
    and ``seed``. Raises TracekitError where an argument is wrong or the trace has no access rows.
    """
    if method not in METHODS:
        raise TracekitError(f"there is no method {method!r} for miss-ratio curves; there are {', '.join(METHODS)}")
    if method != "shards" and (rate is not None or size is not None):
        raise TracekitError(f"method {method} looks at all accesses: rate and size are for shards")
    if rate is not None and not 0 < rate <= 1:
        raise TracekitError(f"rate is {rate:g}, but must lie above 0 and at most at 1")
    if size is not None and size < 1:
        raise TracekitError(f"size is {size}, but at least one page must be sampled")
    if sizes is not None and (not sizes or min(sizes) < 1 or max(sizes) >= 1 << 32):
        raise TracekitError("sizes must be whole numbers of pages, from 1 to 2^32 − 1")
    pools = pools_of(trace, per_vm, chunk)
    if method == "exact":
        found = exact(pools)
    elif method == "aet":
        found = aet(pools)
    else:
        found = shards(pools, rate if rate is not None else 1.0 if size else RATE, size or 0, seed)
    return to_frame(trace.name, method, found, sizes)
