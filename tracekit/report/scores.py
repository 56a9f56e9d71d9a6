"""How well an allocation policy does: faults caused, slowdown, fairness, and whether VMs got what they are entitled to.

A VM's *entitlement* is what its shares alone give it, between min and max, of the memory that guest pages can have (column
``entitled`` of the table ``allocation``). It is violated where the VM holds less than that, uses more than it holds, and has
pages that the balloon or the host has taken: what it never asked for is no violation. The idle tax breaks the entitlement of
idle VMs by design, but they do not use what they lose, which is why use counts.
"""

import polars as pl

from tracekit.report.cost import Costs, slowdowns
from tracekit.results import Results

KEY = ("variant", "trace")
#: A VM may lack this part of its entitlement before it counts as a violation: estimates and balloons move in steps.
SLACK = 0.05


def jain(values: pl.Expr) -> pl.Expr:
    """Jain's index of fairness (Jain, Chiu & Hawe 1984): (Σx)² / (n Σx²), from 1/n (one has all) to 1 (all have the same)."""
    return values.sum().pow(2) / (values.len() * values.pow(2).sum())


def lacking(results: Results) -> pl.LazyFrame:
    """The rows of the table ``allocation`` with ``lacks``: pages that the VM is entitled to, uses, and does not have."""
    taken = pl.col("ballooned") + pl.col("swapped")
    owed = pl.min_horizontal("entitled", "active") - pl.col("resident")
    return results.table("allocation").with_columns(lacks=pl.min_horizontal(owed, taken).clip(lower_bound=0))


def scores(results: Results, costs: Costs | None = None) -> pl.LazyFrame:
    """One row a variant and trace:

    ``page_ins`` (the host's) and ``guest_page_ins``; ``slowdown`` (mean over the VMs) and ``worst`` (of the slowest);
    ``fairness``, Jain's index of the VMs' speeds (1 / slowdown); ``even``, that of their memory by entitlement, on average
    over time; ``violated``, the part of VM-time in which an entitlement was, and ``lacks``, pages lacking on average;
    ``blocked``, seconds that VMs would have been stopped, which are in no slowdown.
    """
    by_vm = slowdowns(results, costs)
    speeds = by_vm.group_by(KEY).agg(
        slowdown=pl.col("slowdown").mean(), worst=pl.col("slowdown").max(), fairness=jain(1 / pl.col("slowdown"))
    )
    faults = results.table("faults").group_by(KEY).agg(page_ins=pl.col("major").sum(), guest_page_ins=pl.col("guest_major").sum())
    rows = lacking(results)
    held = rows.filter(pl.col("entitled") > 0).with_columns(part=pl.col("resident") / pl.col("entitled"))
    even = held.group_by(*KEY, "t").agg(even=jain(pl.col("part"))).group_by(KEY).agg(pl.col("even").drop_nans().mean())
    broken = rows.group_by(KEY).agg(violated=(pl.col("lacks") > SLACK * pl.col("entitled")).mean(), lacks=pl.col("lacks").mean())
    blocked = rows.group_by(*KEY, "vm").agg(pl.col("blocked").max()).group_by(KEY).agg(blocked=pl.col("blocked").sum() / 1e9)
    frame = faults
    for more in (speeds, even, broken, blocked):
        frame = frame.join(more, on=KEY)
    return frame.sort(KEY)
