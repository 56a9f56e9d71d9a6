"""Several captures, or several files of one kind, as one capture: on one clock, VMs whose names clash renamed."""

from pathlib import Path

from tracekit.tools.rewrite import rewrite, target_of
from tracekit.trace import Trace


def merge(trace: Trace, folder: Path, name: str) -> list[Path]:
    """Write captures that were opened together as one. Returns the files.

    Optional columns that not all files of a kind have are left out, and capabilities that not all have.
    """
    captures = sorted({file.capture for file, _ in trace.files})
    return rewrite(trace, target_of(trace, folder, name, "merge", captures=captures), lambda kind, rows: rows)
