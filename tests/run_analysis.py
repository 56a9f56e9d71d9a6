"""Analyses as modules, and the tables that were looked at once and are kept in golden/."""

import importlib.util
import sys
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

ROOT = Path(__file__).parent.parent


def load(name):
    """An analysis as a module; analyses import what they share from their own folder."""
    sys.path.insert(0, str(ROOT / "analyses"))
    try:
        spec = importlib.util.spec_from_file_location(name, ROOT / "analyses" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.pop(0)


def check(frame, name):
    """A table is the golden one; figures to a millionth."""
    golden = pl.read_csv(ROOT / "tests" / "golden" / f"{name}.csv", schema=frame.schema)
    assert_frame_equal(frame, golden, rel_tol=1e-6)
