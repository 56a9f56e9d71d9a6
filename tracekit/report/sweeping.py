"""What a sweep is going to take, and how it went, for people."""

import polars as pl
from rich.console import Console

from tracekit.report import output
from tracekit.sweep import Prepared
from tracekit.sweep.cost import STARTING
from tracekit.sweep.plan import Failure, wall_seconds
from tracekit.units import format_bytes, format_duration


def frame(prepared: Prepared) -> pl.DataFrame:
    """One row a trace: trace, cells (to be made), kept (there already), bundles (tasks), rows, pages, seconds (expected, of one
    core), memory (bytes, of its largest task, beside an idle worker's)."""
    columns = {
        "trace": pl.String, "cells": pl.Int64, "kept": pl.Int64, "bundles": pl.Int64, "rows": pl.Int64, "pages": pl.Int64,
        "seconds": pl.Float64, "memory": pl.Int64,
    }  # fmt: skip
    rows = [
        {"trace": share.name, "cells": len(share.todo), "kept": share.kept, "bundles": len(share.bundles), "rows": share.rows,
         "pages": share.pages, "seconds": sum(bundle.seconds for bundle in share.bundles),
         "memory": max((bundle.memory for bundle in share.bundles), default=0)}
        for share in prepared.plan.shares
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=columns)


def estimate(prepared: Prepared, workers: int, idle: int) -> str:
    """What the sweep is expected to take, with the error of that, in one sentence."""
    bundles, rates = prepared.plan.bundles, prepared.rates
    seconds = wall_seconds((bundle.seconds for bundle in bundles), workers) + (STARTING if bundles else 0.0)
    memory = sum(sorted((bundle.memory for bundle in bundles), reverse=True)[:workers]) + idle * min(workers, len(bundles))
    known = f"from {rates.cells} finished cells" if rates.cells else "by constants: cells finished in this folder will tell better"
    return (
        f"about {format_duration(seconds * 1e9)} by {workers} worker(s), within a factor of {rates.error:.2g} ({known}); "
        f"at most about {format_bytes(memory)} of memory"
    )


def show_failures(failures: list[Failure], console: Console) -> None:
    """A table of what failed: trace, variant, reason."""
    rows = [{"trace": failure.trace, "variant": failure.variant, "reason": failure.reason} for failure in failures]
    output.write_frame(pl.DataFrame(rows), "table", console, title="failed")
