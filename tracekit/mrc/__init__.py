"""Miss-ratio curves: exact, by SHARDS, by AET (all LRU), by miniature simulation (any policy); of each VM or of all in one memory."""

from collections.abc import Sequence

import polars as pl

from tracekit.engine import Progress
from tracekit.errors import TracekitError
from tracekit.mrc.aet import aet
from tracekit.mrc.exact import exact
from tracekit.mrc.mini import mini
from tracekit.mrc.pools import pools_of
from tracekit.mrc.shards import shards
from tracekit.mrc.table import Curve, to_frame
from tracekit.schema import MRC
from tracekit.trace import Trace
from tracekit.tracefile import BATCH_ROWS

__all__ = ["METHODS", "MRC", "curves", "find"]

METHODS = ("exact", "shards", "aet", "mini")
#: The rate of shards and mini where neither a rate nor a size is given.
RATE = 0.1


def curves(
    trace: Trace,
    method: str = "exact",
    *,
    policy: str = "lru",
    per_vm: bool = False,
    sizes: Sequence[int] | None = None,
    rate: float | None = None,
    size: int | None = None,
    seed: int = 0,
    chunk: int = BATCH_ROWS,
    progress: Progress = lambda *_: None,
) -> pl.DataFrame:
    """Miss-ratio curves of a trace as table ``MRC``, at ``sizes`` in pages (default: some 50 up to the footprint).

    ``policy`` is a module of the stage ``paging``; all methods but mini know lru only. SHARDS and mini take ``rate`` (0.1)
    and ``seed``; SHARDS takes ``size`` too, the most pages that it samples (then ``rate`` is where it starts, 1).
    ``progress`` is called while mini replays, as by ``replay``. Raises TracekitError where an argument is wrong or the
    trace has no access rows.
    """
    if sizes is not None and (not sizes or min(sizes) < 1 or max(sizes) >= 1 << 32):
        raise TracekitError("sizes must be whole numbers of pages, from 1 to 2^32 − 1")
    found = find(trace, method, policy=policy, per_vm=per_vm, rate=rate, size=size, seed=seed, chunk=chunk, progress=progress)
    return to_frame(trace.name, method, policy, found, sizes)


def find(
    trace: Trace, method: str, *, policy: str, per_vm: bool, rate: float | None, size: int | None, seed: int, chunk: int, progress: Progress
) -> list[Curve]:
    """The curves themselves, for whoever wants them at other sizes than a table; arguments as of ``curves``."""
    if method not in METHODS:
        raise TracekitError(f"there is no method {method!r} for miss-ratio curves; there are {', '.join(METHODS)}")
    if method != "mini" and policy != "lru":
        raise TracekitError(f"method {method} knows LRU only: for {policy} take --method mini (with --rate 1, a full replay at each size)")
    if method not in ("shards", "mini") and rate is not None:
        raise TracekitError(f"method {method} looks at all accesses: a rate is for shards and mini")
    if method != "shards" and size is not None:
        raise TracekitError(f"method {method} takes no size: that is the most pages that shards samples")
    if rate is not None and not 0 < rate <= 1:
        raise TracekitError(f"rate is {rate:g}, but must lie above 0 and at most at 1")
    if size is not None and size < 1:
        raise TracekitError(f"size is {size}, but at least one page must be sampled")
    pools = pools_of(trace, per_vm, chunk)
    if method == "exact":
        return exact(pools)
    if method == "aet":
        return aet(pools)
    if method == "mini":
        return mini(pools, policy, rate if rate is not None else RATE, seed, progress)
    return shards(pools, rate if rate is not None else 1.0 if size else RATE, size or 0, seed)
