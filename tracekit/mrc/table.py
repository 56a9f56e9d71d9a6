"""Miss-ratio curves as a table, and the memory sizes that they are given at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tracekit.schema import Column, Table

MRC = Table(
    "mrc",
    "what share of the accesses misses in a memory of so many pages under LRU; one row a size",
    (
        Column("trace", "string", "", "name of the capture, or of the captures joined by + under --together"),
        Column("vm", "string", "", "virtual machine; * is all of them in one memory"),
        Column("method", "string", "", "exact, shards or aet"),
        Column("frames", "int64", "page", "size of the memory"),
        Column("miss_ratio", "float64", "", "misses (first uses among them) ÷ accesses; null where no page was sampled", nullable=True),
        Column("low", "float64", "", "lower end of the 95 % interval; null where the method states none (exact, aet)", nullable=True),
        Column("high", "float64", "", "upper end of the 95 % interval; null where the method states none (exact, aet)", nullable=True),
        Column("accesses", "int64", "", "accesses of the VM, or of all"),
        Column("sampled", "int64", "", "accesses that the method looked at"),
    ),
)
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


def to_frame(trace: str, method: str, curves: Sequence[Curve], sizes: Sequence[int] | None) -> pl.DataFrame:
    """The rows of curves at ``sizes``, or at sizes of their own."""
    frames = [pl.DataFrame(schema={column.name: _POLARS[column.type] for column in MRC.columns})]
    for curve in curves:
        at = np.array(sizes, np.int64) if sizes else default_sizes(curve.footprint)
        ratio, low, high = curve.at(at)
        columns = {
            "trace": [trace] * len(at), "vm": [curve.vm] * len(at), "method": [method] * len(at), "frames": at, "miss_ratio": ratio,
            "low": [None] * len(at) if low is None else low, "high": [None] * len(at) if high is None else high,
            "accesses": [curve.accesses] * len(at), "sampled": [curve.sampled] * len(at),
        }  # fmt: skip
        frames.append(pl.DataFrame(columns, schema=frames[0].schema).fill_nan(None))
    return pl.concat(frames)


def default_sizes(footprint: int) -> np.ndarray:
    """About SIZES sizes from one page to the footprint, evenly spaced on a logarithmic scale."""
    return np.unique(np.rint(np.geomspace(1, max(footprint, 1), SIZES)).astype(np.int64))
