"""What to do where a default makes a poor showing: one sentence each, with the arithmetic of the case at hand."""

import math
from collections.abc import Iterator

import numpy as np
import polars as pl

from tracekit.modules.sharing.sharing import vm_paces
from tracekit.report.summary import last, vm_sizes
from tracekit.results import Results
from tracekit.units import PAGE_BYTES, format_duration


def _param(results: Results, variant: str, stage: str, param: str) -> str | None:
    wanted = (pl.col("variant") == variant) & (pl.col("stage") == stage) & (pl.col("param") == param)
    found = results.table("variants").filter(wanted).select("value").collect().to_series()
    return found[0] if len(found) else None


def _run(results: Results, trace: str) -> dict:
    return results.table("runs").filter(pl.col("trace") == trace).collect().row(0, named=True)


def duration_param(results: Results, variant: str, stage: str, param: str) -> int:
    """A parameter in ns; 0 if the variant has none."""
    return int((_param(results, variant, stage, param) or "0ns").removesuffix("ns"))


def pages_out(results: Results, run: dict) -> bool:
    """Whether the host's memory was a limit in this run, so that something could be paged out."""
    module = _param(results, run["variant"], "paging", "module")
    return module not in (None, "unbounded") and f"paging.{module}:" not in run["left_out"]


def savings(results: Results, trace: str, final: pl.DataFrame) -> Iterator[str]:
    """A scan that found less than half of what is possible: how long it needs, and how fast it would have to be."""
    host = final.filter(pl.col("vm") == "*").sort("reclaimed").row(-1, named=True)
    rate, total = (_param(results, host["variant"], "sharing", name) for name in ("rate", "total"))
    possible, found = host["possible_reclaimed"], host["reclaimed"]
    if not possible or found > possible / 2 or not host["scanned"] or rate is None or total is None:
        return
    own = (pl.col("variant") == host["variant"]) & (pl.col("param") == "scan_rate") & (pl.col("value") != "-1")
    if results.variants.filter(own).collect().height:
        return  # what some VMs' own rates mean for the others, whoever chose them knows better
    vms = final.filter((pl.col("vm") != "*") & (pl.col("variant") == host["variant"]))
    pace = float(vm_paces(float(rate), float(total), np.full(vms.height, -1.0))[0])
    largest = int(vms["pages"].max())  # pyright: ignore[reportArgumentType]
    # Three times P/r covers 95 % of the pages by a random scan: 1 − e⁻³.
    needed, spent = 3 * largest / pace, host["scanned"] / vms.height / pace
    said = f"found {100 * found / possible:.0f} % of what is possible"
    if spent >= needed:
        yield f"{said} though 95 % is scanned: the rest is not in machine memory (never touched, ballooned, paged out) or changes too soon"
        return
    until = f"{math.ceil(needed / 3600)}h" if needed > 1800 else f"{math.ceil(needed / 60)}min"
    faster = math.ceil(3 * largest / max(spent, 1))
    settings = f"--set sharing.rate={faster}"
    if float(total) or vms.height > 4:  # without a total, four VMs are scanned at the full rate
        settings += f" --set sharing.total={faster * vms.height}"
    yield f"{said}: {pace:.0f} pages/s a VM need about {format_duration(needed * 1e9)} to scan 95 %: --until {until}, or {settings}"


def sampling(results: Results, trace: str, variant: str) -> Iterator[str]:
    """No sampling period has ended."""
    span, period = _run(results, trace)["span"], duration_param(results, variant, "tax", "period")
    said = f"no sampling period of {format_duration(period)} ended within {format_duration(span)}"
    yield f"{said}: --set tax.period={span // 10**7}ms" if span >= 10**7 else said


def estimators(results: Results, trace: str, told: pl.DataFrame) -> Iterator[str]:
    """Estimators that have told nothing: the trace is shorter than their window, or than a period of theirs."""
    if told.is_empty():
        yield "no estimator's window has passed by the end: --set STAGE.window=… and period, such as estimate_esx.window=5s"
        return
    known = told.group_by("estimator", maintain_order=True).agg(pl.col("estimate").is_not_null().any())
    silent = known.filter(~pl.col("estimate"))["estimator"].to_list()
    if silent:
        yield f"nothing known by {', '.join(silent)}: no period of theirs has ended; --set estimate_{silent[0]}.period=…"


def faults(results: Results, trace: str, final: pl.DataFrame) -> Iterator[str]:
    """Memory was never short: nothing to reclaim."""
    run = _run(results, trace)
    reclaimed = final.select(pl.sum_horizontal("page_outs", "guest_page_outs", "shared_out").sum()).item()
    if reclaimed or not pages_out(results, run):
        return
    held = last(results.table("vm").filter((pl.col("trace") == trace) & (pl.col("variant") == run["variant"])).collect())
    needed = int(held["resident"].sum()) * PAGE_BYTES
    if _param(results, run["variant"], "paging", "frames") != "0":
        yield f"memory was never short: --set paging.frames={max(needed // 2 // PAGE_BYTES, 1)} makes it so"
        return
    taxed = "tax." not in run["left_out"] and _param(results, run["variant"], "tax", "module")
    overhead = int(_param(results, run["variant"], "tax", "overhead") or 0) * len(vm_sizes(run["vms"])) if taxed else 0
    yield f"memory was never short: --memory {max((needed // 2 + overhead) >> 20, 1)}MiB makes it so"


def copies(final: pl.DataFrame) -> Iterator[str]:
    """Everything was forced, or nothing had to bounce."""
    if final["baseline_bytes"].sum() == 0:
        yield "nothing bounces: every page is within its device's reach"
    elif final["forced_bytes"].sum() == final["baseline_bytes"].sum():
        yield "every copy is forced (a confidential VM, or swiotlb=force): remapping can save nothing here"
    if unknown := int(final["unknown"].sum()):
        yield f"{unknown} transfers do not tell their page: they are taken to bounce only where forced"
