"""Section 7: hot I/O pages, remapped after a few copies.

The paper has no data of it, but claims that for some workloads copies fall "by several orders of magnitude". A real guest with
two 32-bit devices and memory above 4 GiB (``dma-high``), all of it and its phase with most to gain; and the recipe ``nic``, a
card with a ring of eight buffers, which is the workload that the claim is made for.
"""

import polars as pl

from tracekit.report.page import axis, lines
from tracekit.report.page.lines import Series
from tracekit.repro.figure import TEXT, Bench, Outcome, Row
from tracekit.results import Results

TITLE = "Bounce-buffer copies with remapping, by its threshold"
THRESHOLDS = (0, 1, 3, 8, 32, 128)
#: The threshold that rows are given at; the paper has one, and does not tell it.
AT = 8


def reproduce(bench: Bench, transfers: int = 100_000) -> Outcome:
    """How many times fewer bytes are copied, at a threshold of eight copies and over thresholds."""
    rows, drawn, said = [], [], []
    makes = "several orders of magnitude, for some workloads"
    for files, synthetic in ((bench.capture("dma-high"), False), (bench.synthesize("nic", transfers=transfers), True)):
        if not files:
            continue
        found = measure(bench.replay(files, {"remap": {"module": "hot", "threshold": list(THRESHOLDS)}}))
        kind = "synthetic" if synthetic else "real"
        whole, best = found.filter(part="all"), found.filter(pl.col("part") != "all").sort("fewer").row(-1, named=True)
        for part in ("all", best["part"]):
            mine = found.filter(part=part)
            name = "all devices and phases" if part == "all" else part
            at = mine.filter(threshold=AT)["fewer"].item()
            rows.append(Row(f"times fewer bytes copied, {name} ({kind})", at, "×", None, makes if part != "all" else "", TEXT, synthetic))
            css = ("c0" if synthetic else "c1") if part == "all" else ("c5" if synthetic else "c4")
            left = [100 / value for value in mine["fewer"]]
            drawn.append(Series(f"{name} ({kind})", [t + 1 for t in mine["threshold"]], left, css, dots=True))
        said.append(
            f"{whole.filter(threshold=AT)['fewer'].item():.1f} times fewer bytes in all and {best['fewer']:.0f} for {best['part']} ({kind})"
        )
    least = min(min(value or 100 for value in series.y) for series in drawn)
    y = axis.Axis("% of the copied bytes left", max(least * 0.8, 1e-4), 100, log=True)
    chart = lines.chart(drawn, axis.Axis("copies that move a page", 1, THRESHOLDS[-1] + 1, log=True), y, width=760)
    finding = f"Copied: {'; '.join(said)}. Orders of magnitude are there where few buffers are used over and over, and nowhere else."
    return Outcome("sec7", TITLE, "section 7", bench.how, rows, chart, finding)


def measure(results: Results) -> pl.DataFrame:
    """One row a part of the workload (a device's phase, or all) and threshold: ``fewer``, bytes copied without over bytes copied with.

    Forced copies are left out.
    """
    given = results.params("remap.threshold").select("variant", threshold=pl.col("remap.threshold").cast(pl.Int64))
    part = pl.col("device") + pl.when(pl.col("phase").max() > 0).then(pl.format(" in phase {}", "phase")).otherwise(pl.lit(""))
    copies = results.copies.join(given, on="variant").with_columns(part=part)
    by_part = pl.concat([copies, copies.with_columns(part=pl.lit("all"))]).group_by("part", "threshold").agg(
        before=(pl.col("baseline_bytes") - pl.col("forced_bytes")).sum(), after=(pl.col("copied_bytes") - pl.col("forced_bytes")).sum()
    )  # fmt: skip
    known = by_part.filter((pl.col("before") > 0) & (pl.col("after") > 0))
    return known.with_columns(fewer=pl.col("before") / pl.col("after")).sort("part", "threshold").collect()
