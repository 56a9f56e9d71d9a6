"""Miss-ratio curves as a table, and the memory sizes that they are given at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tracekit.schema import MRC

_POLARS: dict[str, Any] = {"string": pl.String, "int64": pl.Int64, "float64": pl.Float64}
SIZES = 50


@dataclass(frozen=True)
class Curve:
    """A curve of one pool. ``at`` gives miss ratios, and low and high or None, of an array of sizes."""

    vm: str
    footprint: int  # distinct pages, or the estimate of them
    accesses: int
    sampled: int
    at: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None, np.ndarray | None]]
    least: int = 1  # smallest size that ``at`` can tell


def to_frame(trace: str, method: str, policy: str, curves: Sequence[Curve], sizes: Sequence[int] | None) -> pl.DataFrame:
    """The rows of curves at ``sizes``, or at sizes of their own."""
    frames = [pl.DataFrame(schema={column.name: _POLARS[column.type] for column in MRC.columns})]
    for curve in curves:
        at = np.array(sizes, np.int64) if sizes else default_sizes(curve)
        ratio, low, high = curve.at(at)
        nothing = [None] * len(at)
        named = {"trace": trace, "vm": curve.vm, "method": method, "policy": policy}
        numbers = {"frames": at, "miss_ratio": ratio, "low": nothing if low is None else low, "high": nothing if high is None else high}
        counts = {"accesses": curve.accesses, "sampled": curve.sampled}
        columns = {name: [value] * len(at) for name, value in (named | counts).items()} | numbers
        frames.append(pl.DataFrame({name: columns[name] for name in MRC.names}, schema=frames[0].schema).fill_nan(None))
    return pl.concat(frames)


def default_sizes(curve: Curve) -> np.ndarray:
    """About SIZES sizes from the least to the footprint, evenly spaced on a logarithmic scale."""
    return np.unique(np.rint(np.geomspace(curve.least, max(curve.footprint, curve.least), SIZES)).astype(np.int64))
