"""One row a trace and variant: the figures that variants are compared by."""

import re

import polars as pl

from tracekit.errors import ScenarioError
from tracekit.results import Results

#: Figures of ``summary``: what each says, and whether less is better.
METRICS: dict[str, tuple[str, bool]] = {
    "reclaimed": ("pages saved by sharing at the end", False),
    "found": ("part of what sharing everything would save", False),
    "breaks": ("copy-on-write breaks", True),
    "covered": ("part of the sampling periods whose 95 % interval covers the truth", False),
    "misses": ("cold and major faults", True),
    "miss_ratio": ("misses an access", True),
    "mean_resident": ("pages resident, on average over the accesses", True),
    "major": ("page-ins by the host", True),
    "page_outs": ("pages paged out by the host", True),
    "double_paged": ("pages read in only to be paged out by the guest", True),
    "guest_major": ("page-ins by the guests", True),
    "disk_ins": ("page-ins by the host from disk", True),
    "access_ns": ("mean time of an access with what it waits for, by the swap stage's stated costs", True),
    "copied_bytes": ("bytes copied through bounce buffers", True),
    "saved_bytes": ("bytes that remapping saved from being copied", False),
    "io_cost": ("time of bouncing, copying and remapping, or of an IOMMU's mappings, ns", True),
    "far": ("part of the accesses served by far memory", True),
    "amat": ("average latency of an access to tiered memory, ns", True),
    "amat_moved": ("the same with moves and hint faults charged, ns", True),
}


def last(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of the latest time for each variant, trace and VM, in order."""
    if frame.is_empty():
        return frame
    return frame.group_by("variant", "trace", "vm", maintain_order=True).last().select(frame.columns)


def vm_sizes(vms: str) -> dict[str, int]:
    """Sizes in pages by VM, from the column ``vms`` of the table ``runs``."""
    return {name: int(pages) for name, pages in re.findall(r"(.+?)=(\d+)(?: |$)", vms, re.DOTALL)}


def swept(results: Results) -> pl.DataFrame:
    """One row a variant: the parameters in which the variants differ, as columns ``stage.param``."""
    wide = (
        results.table("variants")
        .with_columns(key=pl.col("stage") + "." + pl.col("param"))
        .collect()
        .pivot("key", index="variant", values="value")
    )
    wide = wide.with_columns(pl.col("^.*\\.module$").fill_null("none"))
    return wide.select("variant", *(name for name in wide.columns[1:] if _differs(wide, name)))


def _differs(wide: pl.DataFrame, name: str) -> bool:
    """Whether a parameter tells variants apart that their module does not: modules have parameters and defaults of their own."""
    module = name.partition(".")[0] + ".module"
    if name == module or module not in wide.columns:
        return wide[name].drop_nulls().n_unique() > 1
    return wide.group_by(module).agg(pl.col(name).drop_nulls().n_unique()).select(pl.col(name).max()).item() > 1


def swept_labels(results: Results) -> dict[str, str]:
    """What to call each variant: the values in which it differs from the others."""
    frame = swept(results)
    labels = {}
    for row in frame.iter_rows(named=True):
        parts = [f"{name.removesuffix('.module')}={value}" for name, value in row.items() if name != "variant" and value is not None]
        labels[row["variant"]] = " ".join(parts) or row["variant"]
    return labels


def summary(results: Results) -> pl.DataFrame:
    """One row a trace and variant with those ``METRICS`` that the results have, and the swept parameters."""
    frame = results.table("runs").select("trace", "variant").collect()
    for part in (_savings(results), _sampling(results), _faults(results), _swap(results), _copies(results), _tiers(results)):
        if part is not None:
            frame = frame.join(part, on=["trace", "variant"], how="left")
    frame = frame.join(swept(results), on="variant", how="left")
    known = [name for name in METRICS if name in frame.columns and frame[name].null_count() < frame.height]
    parameters = [name for name in frame.columns if "." in name]
    return frame.select("trace", "variant", *parameters, *known).sort("trace", *parameters)


def compare(results: Results, by: str | None, metric: str | None) -> pl.DataFrame:
    """``summary`` with one metric only, and averaged over all but one parameter, where asked for."""
    frame = summary(results)
    parameters = [name for name in frame.columns if "." in name]
    metrics = [name for name in frame.columns if name in METRICS]
    if metric is not None:
        if metric not in metrics:
            raise ScenarioError(f"no metric {metric!r} in these results; there are {', '.join(metrics)}")
        metrics = [metric]
    if by is not None:
        if by not in parameters:
            known = ", ".join(parameters) or "none: the results hold one variant"
            raise ScenarioError(f"the variants do not differ in {by!r}; they do in {known}")
        return frame.group_by("trace", by, maintain_order=True).agg(pl.len().alias("variants"), *(pl.col(name).mean() for name in metrics))
    return frame.select("trace", "variant", *parameters, *metrics)


def _table(results: Results, name: str) -> pl.DataFrame | None:
    if name not in results.names:
        return None
    frame = results.table(name).collect()
    return None if frame.is_empty() else last(frame)


_KEY = ["trace", "variant"]


def _savings(results: Results) -> pl.DataFrame | None:
    frame = _table(results, "savings")
    if frame is None:
        return None
    found = pl.col("reclaimed") / pl.col("possible_reclaimed")
    return frame.filter(pl.col("vm") == "*").select(*_KEY, "reclaimed", found.alias("found"), "breaks")


def _sampling(results: Results) -> pl.DataFrame | None:
    if "sampling" not in results.names:
        return None
    covers = (pl.col("low") <= pl.col("active")) & (pl.col("active") <= pl.col("high"))
    return (
        results.table("sampling").filter(pl.col("stage") == "tax").group_by(_KEY, maintain_order=True).agg(covered=covers.mean()).collect()
    )


def _faults(results: Results) -> pl.DataFrame | None:
    frame = _table(results, "faults")
    if frame is None:
        return None
    totals = frame.group_by(_KEY, maintain_order=True).agg(
        pl.col("accesses", "mean_resident", "major", "page_outs", "double_paged", "guest_major").sum(),
        misses=(pl.col("cold") + pl.col("major")).sum(),
    )
    return totals.with_columns(miss_ratio=pl.col("misses") / pl.col("accesses")).drop("accesses")


def _swap(results: Results) -> pl.DataFrame | None:
    frame = _table(results, "swap")
    if frame is None:
        return None
    return frame.filter(pl.col("vm") == "*").select(*_KEY, "access_ns", disk_ins="from_disk")


def _copies(results: Results) -> pl.DataFrame | None:
    if "copies" not in results.names:
        return None
    frame = results.table("copies").collect()
    if frame.is_empty():
        return None
    saved = (pl.col("baseline_bytes") - pl.col("copied_bytes")).sum()
    return frame.group_by(_KEY, maintain_order=True).agg(pl.col("copied_bytes").sum(), saved_bytes=saved, io_cost=pl.col("cost").sum())


def _tiers(results: Results) -> pl.DataFrame | None:
    frame = _table(results, "tiers")
    if frame is None:
        return None
    accesses = pl.col("near") + pl.col("far")
    mean = [((pl.col(name) * accesses).sum() / accesses.sum()).alias(name) for name in ("amat", "amat_moved")]
    return frame.group_by(_KEY, maintain_order=True).agg((pl.col("far").sum() / accesses.sum()).alias("far"), *mean)
