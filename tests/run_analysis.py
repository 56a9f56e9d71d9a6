"""Analyses as modules, and the tables that were looked at once and are kept in golden/."""

from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from tracekit.report import analyses

ROOT = Path(__file__).parent.parent


def load(name):
    """An analysis as a module."""
    return analyses.load(name).module


def check(frame, name):
    """A table is the golden one; figures to a millionth."""
    golden = pl.read_csv(ROOT / "tests" / "golden" / f"{name}.csv", schema=frame.schema)
    assert_frame_equal(frame, golden, rel_tol=1e-6)
