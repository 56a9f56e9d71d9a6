"""The clock of a capture set forward or back, and made to run faster or slower."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from tracekit.errors import TraceError
from tracekit.tools.rewrite import Rows, rewrite, target_of
from tracekit.trace import MAX_T, Trace


def shift(trace: Trace, by: int, folder: Path, name: str | None = None) -> list[Path]:
    """Add ``by`` ns to all times. Returns the files. Raises TraceError if a row would lie before the beginning."""
    if trace.first_t + by < 0 or trace.last_t + by >= MAX_T:
        raise TraceError(f"{trace.name}: rows from {trace.first_t} to {trace.last_t} ns cannot be moved by {by} ns; times go from 0 up")

    def change(kind: str, rows: Rows) -> Rows:
        return {**rows, "t": rows["t"] + by}

    return rewrite(trace, target_of(trace, folder, name, "shift", by_ns=by), change)


def scale(trace: Trace, by: Fraction, folder: Path, name: str | None = None) -> list[Path]:
    """Multiply all times by a fraction, rounding down: 2 makes everything half as fast. Returns the files.

    Instructions and other counts stay as they are: of more time in all, not of more work.
    """
    if not by > 0 or max(by.numerator, by.denominator) >= 1 << 31 or trace.last_t * by >= MAX_T:
        raise TraceError(f"{trace.name}: times cannot be multiplied by {by}; give a fraction above 0 that keeps them below 146 years")

    def change(kind: str, rows: Rows) -> Rows:
        whole, rest = np.divmod(rows["t"], by.denominator)  # so that no product exceeds 64 bits
        return {**rows, "t": whole * by.numerator + rest * by.numerator // by.denominator}

    target = target_of(trace, folder, name, "scale", by=str(by))
    return rewrite(trace, replace(target, bucket=lambda ns: int(ns * by)), change)
