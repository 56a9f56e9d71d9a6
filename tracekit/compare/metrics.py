"""The figures that variants are compared by: what each says, how it went over time, and what it is the sum of."""

from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from tracekit.compare.swept import numbers, swept

if TYPE_CHECKING:
    from tracekit.results import Results


class Metric(NamedTuple):
    """A figure of ``summary``: what it says, and whether less of it is better."""

    prose: str
    less: bool


METRICS: dict[str, Metric] = {
    "memory": Metric("machine memory for guest pages, bytes", True),
    "reclaimed": Metric("pages saved by sharing at the end", False),
    "found": Metric("part of what sharing everything would save", False),
    "breaks": Metric("copy-on-write breaks", True),
    "scan_cpu": Metric("CPU time of scanning at the stated cost of a page, s", True),
    "covered": Metric("part of the sampling periods whose 95 % interval covers the truth", False),
    "misses": Metric("cold and major faults", True),
    "miss_ratio": Metric("misses an access", True),
    "mean_resident": Metric("pages resident, on average over the accesses", True),
    "page_ins": Metric("page-ins by the host and by the guests", True),
    "major": Metric("page-ins by the host", True),
    "page_outs": Metric("pages paged out by the host", True),
    "double_paged": Metric("pages read in only to be paged out by the guest", True),
    "guest_major": Metric("page-ins by the guests", True),
    "disk_ins": Metric("page-ins by the host from disk", True),
    "access_ns": Metric("mean time of an access with what it waits for, by the swap stage's stated costs", True),
    "copied_bytes": Metric("bytes copied through bounce buffers", True),
    "saved_bytes": Metric("bytes that remapping saved from being copied", False),
    "io_cost": Metric("time of bouncing, copying and remapping, or of an IOMMU's mappings, ns", True),
    "far": Metric("part of the accesses served by far memory", True),
    "amat": Metric("average latency of an access to tiered memory, ns", True),
    "amat_moved": Metric("the same with moves and hint faults charged, ns", True),
}
#: What the Pareto front weighs against each other: memory given, memory saved, faults, CPU time.
OBJECTIVES = ("memory", "reclaimed", "page_ins", "scan_cpu")
_KEY = ["trace", "variant"]
_MISSES = pl.col("cold") + pl.col("major")
_PAGE_INS = pl.col("major") + pl.col("guest_major")
_COVERS = (pl.col("low") <= pl.col("active")) & (pl.col("active") <= pl.col("high"))
_SAVED = pl.col("baseline_bytes") - pl.col("copied_bytes")


def last(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of the latest time for each variant, trace and VM, in order."""
    if frame.is_empty():
        return frame
    return frame.group_by("variant", "trace", "vm", maintain_order=True).last().select(frame.columns)


def summary(results: "Results") -> pl.DataFrame:
    """One row a trace and variant with those ``METRICS`` that the results have, and the swept parameters (numbers where they are)."""
    frame = results.table("runs").select(*_KEY, "memory").collect()
    if frame["memory"].n_unique() == 1:
        frame = frame.drop("memory")
    for part in (_savings, _scanning, _sampling, _faults, _swap, _copies, _tiers):
        found = part(results)
        if found is not None:
            frame = frame.join(found, on=_KEY, how="left")
    choices = swept(results)
    parameters = choices.columns[1:]
    frame = frame.join(choices.with_columns(numbers(choices[name]) for name in parameters), on="variant", how="left")
    known = [name for name in METRICS if name in frame.columns and frame[name].null_count() < frame.height]
    return frame.select(*_KEY, *parameters, *known).sort("trace", *parameters, "variant")


# ---------------------------------------------------------------------------------------------------- values


def _table(results: "Results", name: str) -> pl.DataFrame | None:
    if name not in results.names:
        return None
    frame = results.table(name).collect()
    return None if frame.is_empty() else frame


def _last(results: "Results", name: str) -> pl.DataFrame | None:
    frame = _table(results, name)
    return None if frame is None else last(frame)


def _savings(results: "Results") -> pl.DataFrame | None:
    frame = _last(results, "savings")
    if frame is None:
        return None
    found = pl.col("reclaimed") / pl.col("possible_reclaimed")
    return frame.filter(pl.col("vm") == "*").select(*_KEY, "reclaimed", found.alias("found"), "breaks")


def _scanning(results: "Results") -> pl.DataFrame | None:
    frame = _last(results, "discovery")
    return None if frame is None else frame.filter(pl.col("vm") == "*").select(*_KEY, scan_cpu="cpu")


def _sampling(results: "Results") -> pl.DataFrame | None:
    frame = _table(results, "sampling")
    if frame is None:
        return None
    return frame.filter(pl.col("stage") == "tax").group_by(_KEY, maintain_order=True).agg(covered=_COVERS.mean())


def _faults(results: "Results") -> pl.DataFrame | None:
    frame = _last(results, "faults")
    if frame is None:
        return None
    totals = frame.group_by(_KEY, maintain_order=True).agg(
        pl.col("accesses", "mean_resident", "major", "page_outs", "double_paged", "guest_major").sum(),
        misses=_MISSES.sum(),
        page_ins=_PAGE_INS.sum(),
    )
    return totals.with_columns(miss_ratio=pl.col("misses") / pl.col("accesses")).drop("accesses")


def _swap(results: "Results") -> pl.DataFrame | None:
    frame = _last(results, "swap")
    return None if frame is None else frame.filter(pl.col("vm") == "*").select(*_KEY, "access_ns", disk_ins="from_disk")


def _copies(results: "Results") -> pl.DataFrame | None:
    frame = _table(results, "copies")
    if frame is None:
        return None
    sums = {"saved_bytes": _SAVED.sum(), "io_cost": pl.col("cost").sum()}
    return frame.group_by(_KEY, maintain_order=True).agg(pl.col("copied_bytes").sum(), **sums)


def _tiers(results: "Results") -> pl.DataFrame | None:
    frame = _last(results, "tiers")
    if frame is None:
        return None
    accesses = pl.col("near") + pl.col("far")
    mean = [((pl.col(name) * accesses).sum() / accesses.sum()).alias(name) for name in ("amat", "amat_moved")]
    return frame.group_by(_KEY, maintain_order=True).agg((pl.col("far").sum() / accesses.sum()).alias("far"), *mean)


# ---------------------------------------------------------------------------------------------------- over time

#: Metrics that are sums, or ratios of sums, of counters that a table has over time: (table, counter, counter that it is divided by).
_COUNTERS: dict[str, tuple[str, pl.Expr, pl.Expr | None]] = {
    "misses": ("vm", _MISSES, None),
    "miss_ratio": ("vm", _MISSES, pl.col("accesses")),
    "page_ins": ("vm", _PAGE_INS, None),
    **{name: ("vm", pl.col(name), None) for name in ("major", "page_outs", "double_paged", "guest_major", "breaks")},
    "copied_bytes": ("remaps", pl.col("copied_bytes"), None),
    "saved_bytes": ("remaps", pl.col("saved_bytes"), None),
    "far": ("tiers", pl.col("far"), pl.col("near") + pl.col("far")),
}


def series(results: "Results", metric: str) -> pl.DataFrame | None:
    """How a metric came about: one row a trace, variant and period of time, ``x`` and ``w`` (null: none) of which it is Σx, or Σx / Σw.

    None for a metric that is no sum over time, or whose table the results lack.
    """
    if metric == "covered":
        frame = _table(results, "sampling")
        if frame is None:
            return None
        periods = frame.filter(pl.col("stage") == "tax").sort(*_KEY, "t").group_by(*_KEY, "t", maintain_order=True)
        return periods.agg(x=_COVERS.sum().cast(pl.Float64), w=pl.len().cast(pl.Float64))
    if metric not in _COUNTERS:
        return None
    name, counter, divisor = _COUNTERS[metric]
    frame = _table(results, name)
    if frame is None:
        return None
    sums = {"x": counter.sum(), "w": pl.lit(None) if divisor is None else divisor.sum()}
    so_far = frame.filter(pl.col("vm") != "*").group_by(*_KEY, "t", maintain_order=True).agg(**sums)
    steps = [pl.col(column) - pl.col(column).shift(fill_value=0).over(_KEY) for column in ("x", "w")]
    return so_far.sort(*_KEY, "t").cast({"x": pl.Float64, "w": pl.Float64}).with_columns(steps)


# ---------------------------------------------------------------------------------------------------- parts

#: Metrics as sums over VMs (and devices) of the last rows of a table: (table, component → column).
_PARTS: dict[str, tuple[str, dict[str, pl.Expr]]] = {
    "reclaimed": (
        "savings",
        {"zero pages": pl.col("reclaimed_zero"), "pages of one VM": pl.col("reclaimed_within"),
         "pages of different VMs": pl.col("reclaimed_between")},
    ),
    "breaks": ("vm", {"copy-on-write breaks": pl.col("breaks")}),
    "scan_cpu": ("discovery", {"scans": pl.col("cpu")}),
    "misses": ("faults", {"first touches": pl.col("cold"), "major faults": pl.col("major")}),
    "page_ins": ("faults", {"the host's page-ins": pl.col("major"), "the guest's page-ins": pl.col("guest_major")}),
    "major": ("faults", {"the host's page-ins": pl.col("major")}),
    "page_outs": ("faults", {"the host's page-outs": pl.col("page_outs")}),
    "double_paged": ("faults", {"double paging": pl.col("double_paged")}),
    "guest_major": ("faults", {"the guest's page-ins": pl.col("guest_major")}),
    "mean_resident": ("faults", {"resident pages": pl.col("mean_resident")}),
    "disk_ins": ("swap", {"page-ins from disk": pl.col("from_disk")}),
    "far": ("tiers", {"accesses to far memory": pl.col("far")}),
}  # fmt: skip
#: Metrics that go with the parts of another, being that divided by what all variants have in common.
_ALIKE = {"miss_ratio": "misses", "found": "reclaimed"}


def parts(results: "Results", metric: str) -> pl.DataFrame | None:
    """What a metric is the sum of: one row a trace, variant, ``vm`` and ``component``, its ``value``; None where that is not known."""
    metric = _ALIKE.get(metric, metric)
    if metric in ("copied_bytes", "saved_bytes", "io_cost"):
        frame = _table(results, "copies")
        value = {"copied_bytes": pl.col("copied_bytes"), "saved_bytes": _SAVED, "io_cost": pl.col("cost")}[metric]
        return None if frame is None else frame.group_by(*_KEY, "vm", component="device").agg(value=value.sum().cast(pl.Float64))
    if metric not in _PARTS or (frame := _last(results, _PARTS[metric][0])) is None:
        return None
    columns = [column.cast(pl.Float64).alias(name) for name, column in _PARTS[metric][1].items()]
    wide = frame.filter(pl.col("vm") != "*").select(*_KEY, "vm", *columns)
    return wide.unpivot(index=[*_KEY, "vm"], variable_name="component")
