"""What do the scan orders find for the CPU time they take, at which rate?

Method: the host's last rows of the tables savings and discovery, of a sweep over sharing.module and sharing.rate: pages
reclaimed of what is possible, equal pages missed, scans wasted, and CPU seconds per GiB saved at the stated cost of a scan.
Wants: ``--preset sharing`` with several schemes in sharing.module, at several sharing.rate.
Source: what reviewers asked of Waldspurger 2002: when, how much and where to scan; XLH (2013) and UKSM (2018) for orders.
"""

import altair as alt
import polars as pl

import tracekit as tk


def table(results: tk.Results) -> pl.LazyFrame:
    """One row a variant and trace: module, rate (page/s), found (of possible), missed, wasted (of scans), mean (s), cpu_per_gib."""
    key = ["variant", "trace"]
    host = results.savings.filter(pl.col("vm") == "*").group_by(key, maintain_order=True).last()
    found = host.select(*key, found=pl.col("reclaimed") / pl.col("possible_reclaimed"))
    params = results.params("sharing.module", "sharing.rate")
    missed = pl.col("missed") / (pl.col("found_pages") + pl.col("missed"))
    return (
        results.discovery.filter(pl.col("vm") == "*")
        .rename({"found": "found_pages"})
        .join(found, on=key)
        .join(params, on="variant")
        .select(
            *key, module="sharing.module", rate=pl.col("sharing.rate").cast(pl.Float64, strict=False), found="found", missed=missed,
            wasted=pl.col("wasted") / pl.col("scanned"), mean="mean", cpu="cpu", cpu_per_gib="cpu_per_gib",
        )
        .sort("trace", "module", "rate")
    )  # fmt: skip


def chart(frame: pl.DataFrame) -> alt.FacetChart:
    """What is found over the CPU time spent at each rate, a line a module, a panel a trace."""
    return (
        alt.Chart(alt.Data(values=frame.to_dicts()))
        .mark_line(point=True)
        .encode(
            alt.X("cpu:Q", title="CPU time of scanning (s)", scale=alt.Scale(type="log")),
            alt.Y("found:Q", title="reclaimed, of what is possible", axis=alt.Axis(format="%")),
            alt.Color("module:N", title=None),
        )
        .facet("trace:N")
    )
