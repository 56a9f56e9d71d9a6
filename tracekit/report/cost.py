"""What faults cost: from counts to time, so that policies can be compared by how much they slow a VM down.

A replay keeps the trace's own timing; it counts what would have delayed the guest. Here each count is given a price, and
the sum of a VM's is its *stall*. A VM that computes for a part ``busy`` of the trace's time sleeps for the rest, and
stalls eat into its sleep first: time taken / trace time = max(1, busy + stall / trace time). Stalls are taken to be one
after the other, as for one CPU; nothing waits for a queue at the disk.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, fields

import polars as pl

from tracekit.compare.statistics import student
from tracekit.module import Duration, param
from tracekit.results import Results


@dataclass(frozen=True)
class Costs:
    """Prices in ns, round figures for a server with an NVMe flash drive: measure your own before believing a slowdown.

    The ratios matter most. A read of 4 KiB from flash takes 80 to 100 µs, a write to the drive's buffer about 20 (data
    sheets; on a disk of the paper's time either takes about 10 ms); an exit to the hypervisor and the mapping of a page
    1 to 2 µs; a copy of 4 KiB at 8 GB/s half a µs; a TLB shootdown 2 to 6 µs (N. Amit, "Optimizing the TLB shootdown
    algorithm with page access tracking", USENIX ATC 2017).
    """

    fault: Duration = param(Duration(2_000), "a fault that the host handles: exit, look-up, mapping", "ns", low=0)
    page_in: Duration = param(Duration(100_000), "the host reads a page from its swap while the VM waits", "ns", low=0)
    page_out: Duration = param(Duration(20_000), "what the VM waits for when the host writes a page to its swap", "ns", low=0)
    copy: Duration = param(Duration(500), "a page is copied", "ns", low=0)
    shootdown: Duration = param(Duration(4_000), "a mapping is taken away on all CPUs", "ns", low=0)
    guest_fault: Duration = param(Duration(1_000), "a fault that the guest handles", "ns", low=0)
    guest_page_in: Duration = param(Duration(100_000), "the guest reads a page from its own disk", "ns", low=0)
    guest_page_out: Duration = param(Duration(20_000), "what the guest waits for when it writes a page to its own swap", "ns", low=0)
    busy: float = param(
        1.0, "part of the trace's time in which a VM computes (1: it never sleeps, and any stall delays it)", low=0.0, high=1.0
    )

    def __post_init__(self) -> None:
        for field in fields(self):
            if not math.isfinite(getattr(self, field.name)) or getattr(self, field.name) < 0:
                raise ValueError(f"a cost cannot be negative or unknown: {field.name} = {getattr(self, field.name)}")


def stall(costs: Costs) -> pl.Expr:
    """Seconds that a VM waits, of the columns of the table ``faults`` and ``breaks``. A break is a minor fault with a copy."""
    of = pl.col
    host = (
        (of("cold") + of("minor") + of("major")) * costs.fault
        + (of("major") + of("double_paged")) * costs.page_in
        + of("page_outs") * (costs.page_out + costs.shootdown)
        + of("shared_out") * costs.shootdown
        + of("breaks") * (costs.copy + costs.shootdown)
    )
    guest = of("guest_major") * (costs.guest_fault + costs.guest_page_in) + of("guest_page_outs") * costs.guest_page_out
    return (host + guest) / 1e9


def slowdowns(results: Results, costs: Costs | None = None) -> pl.LazyFrame:
    """One row a variant, trace and VM: ``stall`` (s), and ``slowdown``, time taken over the trace's time."""
    costs = costs or Costs()
    key = ["variant", "trace", "vm"]
    breaks = results.table("vm").group_by(key).agg(pl.col("breaks").sort_by("t").last())
    spans = results.runs.select("variant", "trace", "span")
    frame = results.faults.join(breaks, on=key).join(spans, on=["variant", "trace"])
    slowdown = pl.max_horizontal(1.0, costs.busy + pl.col("stall") * 1e9 / pl.col("span"))
    return frame.with_columns(stall=stall(costs)).select(*key, "stall", slowdown=slowdown)


def over_seeds(frame: pl.LazyFrame, by: Collection[str], value: str) -> pl.LazyFrame:
    """Mean of ``value`` over the rows of each group, one a seed, with its 95 % interval (Student's t): columns value, low, high, seeds.

    With one seed, or where no seed makes a difference, the interval is the value itself or unknown (null).
    """
    quantiles = pl.col("seeds").map_elements(lambda n: student(n - 1) if n > 1 else None, return_dtype=pl.Float64)
    half = quantiles * pl.col("deviation") / pl.col("seeds").sqrt()
    grouped = frame.group_by(list(by), maintain_order=True).agg(
        pl.col(value).mean(), deviation=pl.col(value).std(), seeds=pl.len().cast(pl.Int64)
    )
    return grouped.with_columns(low=pl.col(value) - half, high=pl.col(value) + half).drop("deviation")
