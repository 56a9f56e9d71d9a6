"""What a capture has brought, as a table."""

import polars as pl
from rich.console import Console

from tracekit.capture.content import Done
from tracekit.report import output
from tracekit.units import PAGE_BYTES


def show_content(done: Done, format: str, console: Console) -> None:
    """A line a guest: what was seen, what changed, for how long it stood still."""
    rows = []
    for name, told in done.guests.items():
        pauses = [ns for _, ns in told.pauses]
        gib = told.pages * PAGE_BYTES / (1 << 30)
        mean = sum(pauses) / len(pauses) / 1e6 if pauses else 0.0
        rows.append({
            "guest": name, "snapshots": told.snapshots, "pages": told.pages, "changed": told.changed, "pause_ms": round(mean, 2),
            "longest_ms": round(max(pauses, default=0) / 1e6, 2), "ms_per_gib": round(mean / gib, 1) if gib else None,
        })  # fmt: skip
    output.write_frame(pl.DataFrame(rows), format, console, title=str(done.path))
    if done.missed and format == "table":
        console.print(f"→ no time for {done.missed} rounds of snapshots: --every is too short for these guests")
