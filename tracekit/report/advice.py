"""What to do where a default makes a poor showing: one sentence each, with the arithmetic of the case at hand."""

from collections.abc import Iterator

import polars as pl

from tracekit.results import Results
from tracekit.units import format_duration


def _param(results: Results, variant: str, stage: str, param: str) -> str | None:
    wanted = (pl.col("variant") == variant) & (pl.col("stage") == stage) & (pl.col("param") == param)
    found = results.table("variants").filter(wanted).select("value").collect().to_series()
    return found[0] if len(found) else None


def _run(results: Results, trace: str) -> dict:
    return results.table("runs").filter(pl.col("trace") == trace).collect().row(0, named=True)


def savings(results: Results, trace: str, final: pl.DataFrame) -> Iterator[str]:
    """A scan that found less than half of what is possible: how long it needs, and how fast it would have to be."""
    host = final.filter(pl.col("vm") == "*").row(0, named=True)
    rate, total = (_param(results, host["variant"], "sharing", name) for name in ("rate", "total"))
    possible, found = host["possible_reclaimed"], host["reclaimed"]
    if not possible or found > possible / 2 or not host["scanned"] or rate is None or total is None:
        return
    vms = final.filter((pl.col("vm") != "*") & (pl.col("variant") == host["variant"]))
    pace = min(float(rate), float(total) / vms.height)
    largest = int(vms["pages"].max())  # pyright: ignore[reportArgumentType]
    # Three times P/r covers 95 % of the pages by a random scan: 1 − e⁻³.
    needed = 3 * largest / pace
    span = max(host["t"] / 1e9, 1)
    faster = 3 * largest / span
    yield (
        f"found {100 * found / possible:.0f} % of what is possible: {pace:.0f} pages/s a VM need about {format_duration(needed * 1e9)} to "
        f"scan 95 %: --until {max(1, round(needed / 3600 + 0.5))}h, or --set sharing.rate={faster:.0f} --set "
        f"sharing.total={faster * vms.height:.0f}"
    )


def sampling(results: Results, trace: str) -> Iterator[str]:
    """No sampling period has ended."""
    run = _run(results, trace)
    period = int((_param(results, run["variant"], "tax", "period") or "0ns").removesuffix("ns"))
    yield (
        f"no sampling period of {format_duration(period)} ended within {format_duration(run['span'])}: "
        f"--set tax.period={max(1, run['span'] // 10**10)}s"
    )


def faults(results: Results, trace: str, final: pl.DataFrame) -> Iterator[str]:
    """Memory was never short: nothing to reclaim."""
    reclaimed = final.select(pl.sum_horizontal("page_outs", "guest_page_outs", "shared_out").sum()).item()
    if reclaimed == 0 and _param(results, final["variant"][0], "paging", "module") not in (None, "unbounded"):
        half = _run(results, trace)["memory"] // 2 >> 20
        yield f"memory was never short: --memory {max(half, 1)}MiB makes it so"


def copies(final: pl.DataFrame) -> Iterator[str]:
    """Everything was forced, or nothing had to bounce."""
    if final["baseline_bytes"].sum() == 0:
        yield "nothing bounces: every page is within its device's reach"
    elif final["forced_bytes"].sum() == final["baseline_bytes"].sum():
        yield "every copy is forced (a confidential VM, or swiotlb=force): remapping can save nothing here"
