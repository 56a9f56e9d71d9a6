"""Partition advice: a memory divided between VMs by several rules, and what each VM would miss under LRU.

*utility* makes the misses of all VMs together the fewest: dynamic programming over their curves in 1000 parts of the memory,
so that cliffs of a curve count as they are (a greedy choice needs convex curves, such as Talus makes them: Beckmann & Sanchez,
HPCA 2015). Memory that no VM would miss less by is left over. *shares* divides in proportion to shares, *equal* evenly,
*footprint* in proportion to the pages in use; no VM gets more than its size, and what it cannot use the others get.
*undivided* is one LRU over all VMs.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np
import polars as pl

from tracekit.errors import TracekitError
from tracekit.mrc import find
from tracekit.mrc.table import Curve
from tracekit.schema import PARTITION
from tracekit.trace import Trace
from tracekit.tracefile import BATCH_ROWS

METHODS = ("exact", "shards", "aet")
RULES = ("utility", "shares", "equal", "footprint")
#: Parts of the memory that utility deals in.
PARTS = 1000


def partition(
    trace: Trace,
    memory: int,
    method: str = "exact",
    *,
    shares: Mapping[str, int] | None = None,
    rate: float | None = None,
    size: int | None = None,
    seed: int = 0,
    chunk: int = BATCH_ROWS,
) -> pl.DataFrame:
    """Table ``PARTITION`` for ``memory`` pages, by every rule.

    ``shares`` are by VM name or pattern, the last that matches counts (default: a VM's size); the other arguments are as of
    ``curves``. Raises TracekitError.
    """
    if method not in METHODS:
        raise TracekitError(f"method {method} tells single sizes, but to divide memory takes whole curves: {', '.join(METHODS)}")
    each, whole = (
        find(trace, method, policy="lru", per_vm=apart, rate=rate, size=size, seed=seed, chunk=chunk, progress=lambda *_: None)
        for apart in (True, False)
    )
    if memory < len(each):
        raise TracekitError(f"{memory} pages of memory cannot be divided between {len(each)} VMs; give at least a page each")
    size_of = {vm.name: vm.pages for vm in trace.vms}
    most = np.array([size_of[curve.vm] for curve in each], np.int64)
    weights = {
        "shares": _shares([curve.vm for curve in each], most, shares or {}),
        "equal": np.ones(len(each)),
        "footprint": np.array([max(curve.footprint, 1) for curve in each]),
    }
    divided = {"utility": by_utility(each, memory)} | {rule: in_proportion(memory, weights[rule], most) for rule in weights}
    rows = []
    for rule in RULES:
        mine = [(curve, int(frames), _misses(curve, int(frames))) for curve, frames in zip(each, divided[rule])]
        rows += [(rule, curve.vm, frames, missed, curve.accesses) for curve, frames, missed in mine]
        rows.append((rule, "*", sum(frames for _, frames, _ in mine), sum(missed for _, _, missed in mine), whole[0].accesses))
    rows.append(("undivided", "*", memory, _misses(whole[0], memory), whole[0].accesses))
    frame = pl.DataFrame(rows, schema=["rule", "vm", "frames", "misses", "accesses"], orient="row")
    ratio = (pl.col("misses") / pl.col("accesses")).alias("miss_ratio")
    return frame.with_columns(ratio, trace=pl.lit(trace.name), method=pl.lit(method)).select(PARTITION.names)


def by_utility(curves: Sequence[Curve], memory: int) -> np.ndarray:
    """Pages (int64 by curve, at most ``memory`` in all) with the fewest misses, to within a thousandth of the memory each."""
    unit = -(-memory // PARTS)
    sizes = np.arange(memory // unit + 1) * unit
    misses = [_ratios(curve, sizes) * curve.accesses for curve in curves]
    fewest, chosen = np.zeros(len(sizes)), []
    for mine in misses:  # fewest[u]: misses of the VMs so far in u parts; chosen: the parts of the last of them
        total, parts = fewest + mine[0], np.zeros(len(sizes), np.int64)
        for k in range(1, len(sizes)):
            with_k = fewest[: len(sizes) - k] + mine[k]
            better = with_k < total[k:]
            total[k:][better], parts[k:][better] = with_k[better], k
        fewest = total
        chosen.append(parts)
    left, frames = len(sizes) - 1, np.zeros(len(curves), np.int64)
    for i in reversed(range(len(curves))):
        frames[i] = sizes[chosen[i][left]]
        left -= chosen[i][left]
    rest = memory - int(frames.sum())
    gain = [(_ratios(c, np.array([n]))[0] - _ratios(c, np.array([n + rest]))[0]) * c.accesses for c, n in zip(curves, frames)]
    if max(gain) > 0:
        frames[int(np.argmax(gain))] += rest
    return frames


def in_proportion(memory: int, weights: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Pages (int64) in proportion to positive weights, none above its ``most``; together ``memory``, if they can take it."""
    frames = np.zeros(len(weights), np.int64)
    open_ = np.ones(len(weights), np.bool_)
    while open_.any():
        left = memory - int(frames[~open_].sum())
        parts = np.where(open_, left * weights / weights[open_].sum(), frames)
        full = open_ & (parts >= most)
        if not full.any():
            frames[open_] = parts[open_].astype(np.int64)
            short = left - int(frames[open_].sum())  # fewer than there are VMs: the largest remainders get one each
            order = np.argsort(-np.where(open_, parts - frames, -1.0), kind="stable")
            frames[order[:short]] += 1
            break
        frames[full] = most[full]
        open_ &= ~full
    return frames


def _shares(names: Sequence[str], sizes: np.ndarray, given: Mapping[str, int]) -> np.ndarray:
    shares = sizes.astype(np.float64)
    if given:
        shares = np.full(len(names), np.nan)
    for pattern, count in given.items():
        matching = [fnmatchcase(name, pattern) for name in names]
        if not any(matching):
            raise TracekitError(f"shares of {pattern!r} match no VM with accesses; there are {', '.join(names)}")
        shares[matching] = count
    if np.isnan(shares).any():
        missing = [name for name, count in zip(names, shares) if np.isnan(count)]
        raise TracekitError(f"{', '.join(missing)}: no shares given; give all VMs some, such as '*=1000,{missing[0]}=2000'")
    if shares.min() <= 0:
        raise TracekitError("shares must be positive")
    return shares


def _ratios(curve: Curve, sizes: np.ndarray) -> np.ndarray:
    """Miss ratios; without memory everything misses. Where nothing was sampled, everything is taken to."""
    return np.where(sizes > 0, np.nan_to_num(curve.at(np.maximum(sizes, 1))[0], nan=1.0), 1.0)


def _misses(curve: Curve, frames: int) -> int:
    return round(float(_ratios(curve, np.array([frames]))[0]) * curve.accesses)
