"""Are the peaks of VMs uncorrelated, and how many more VMs fit for it?

Method: the working sets of all VMs over time, one window long (table ``working_set`` of watch.working-set). If n VMs are put
on a host, a host for the sum of their peaks never lacks memory; a host for the peak of their sum lacks none either, and is
smaller if peaks do not coincide. For each number n of VMs, over all ways to choose them (or DRAWS of them, drawn): the mean
correlation of pairs, and the two sizes. Shifting the VMs against one another in time (circularly, DRAWS times) gives what the
same VMs would need if their peaks had nothing to do with one another; the captured order is compared with that.
How many VMs fit: memory for the sum of the peaks of n VMs holds how many of their mean kind, if in at most ``late`` of the
moments their sum may exceed it (slowdown then is as the host's paging makes it: replay it, with report/scores.py).

A trace of a few minutes on one machine cannot tell daily peaks; VMs driven by one load are correlated by it.
Wants: ``--preset working-set``, on several VMs.
Source: Waldspurger 2002, section 1 (multiplexing is why to overcommit); reviewers asked whether peaks are uncorrelated.
"""

import itertools

import altair as alt
import numpy as np
import polars as pl

import tracekit as tk

MIB = 256  # pages
DRAWS = 200


def table(results: tk.Results, late: float = 0.01, seed: int = 0) -> pl.LazyFrame:
    """One row a trace, window and number of VMs: ``peaks`` (sum of the peaks), ``together`` (peak of the sum), ``independent``
    (that of VMs shifted in time) with ``low`` and ``high`` (95 % of the shifts), all MiB on average over the choices;
    ``correlation`` of pairs; ``gain``, how many times the VMs fit where peaks would be reserved."""
    sizes = results.table("working_set").filter(pl.col("vm") != "*").collect()
    rows = []
    for (trace, window), part in sizes.group_by("trace", "window", maintain_order=True):
        wide = part.unique(["vm", "t"]).pivot("vm", index="t", values="pages").sort("t").drop_nulls()
        pages = wide.drop("t").to_numpy().astype(float)
        if len(pages) > 1:
            rows += [{"trace": trace, "window": window} | row for row in _by_number(pages, late, np.random.default_rng(seed))]
    synthetic = results.runs.select("trace", "synthetic").unique()
    return pl.LazyFrame(rows).join(synthetic, on="trace")


def _by_number(pages: np.ndarray, late: float, draw: np.random.Generator) -> list[dict[str, float]]:
    """For each number of VMs, of ``pages`` (moments × VMs)."""
    moments, vms = pages.shape
    rows = []
    for n in range(1, vms + 1):
        choices = list(itertools.islice(itertools.combinations(range(vms), n), DRAWS))
        peaks, together, shifted, needs, pairs = [], [], [], [], []
        for choice in choices:
            mine = pages[:, choice]
            peaks.append(mine.max(axis=0).sum())
            together.append(mine.sum(axis=1).max())
            needs.append(np.quantile(mine.sum(axis=1), 1 - late))
            shifts = draw.integers(0, moments, (DRAWS, n))
            shifted.append([sum(np.roll(mine[:, i], by) for i, by in enumerate(shift)).max() for shift in shifts])
            pairs += [_correlation(mine[:, i], mine[:, j]) for i, j in itertools.combinations(range(n), 2)]
        alike = np.mean(shifted, axis=0)  # one draw, over all choices
        known = [value for value in pairs if not np.isnan(value)]
        rows.append(
            {
                "vms": n, "peaks": np.mean(peaks) / MIB, "together": np.mean(together) / MIB, "independent": np.mean(alike) / MIB,
                "low": np.quantile(alike, 0.025) / MIB, "high": np.quantile(alike, 0.975) / MIB,
                "correlation": float(np.mean(known)) if known else None, "gain": float(np.mean(peaks) / np.mean(needs)),
            }
        )  # fmt: skip
    return rows


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else float("nan")


def chart(frame: pl.DataFrame) -> alt.FacetChart:
    """Memory needed by the number of VMs: peaks reserved, together as captured, and shifted in time, a panel a trace and window."""
    kind = pl.when(pl.col("synthetic")).then(pl.lit(" (synthetic)")).otherwise(pl.lit(" (real)"))
    shown = frame.with_columns(panel=pl.col("trace") + kind + ", window " + (pl.col("window") / 1e9).round(1).cast(pl.String) + " s")
    vms = alt.X("vms:O", title="VMs together")
    lines = (
        alt.Chart()
        .transform_fold(["peaks", "together", "independent"], as_=["need", "MiB"])
        .mark_line(point=True)
        .encode(vms, alt.Y("MiB:Q", title="memory needed (MiB)"), alt.Color("need:N", title=None))
    )
    band = alt.Chart().mark_area(opacity=0.2).encode(vms, alt.Y("low:Q", title="memory needed (MiB)"), alt.Y2("high:Q"))
    return alt.layer(band, lines, data=alt.Data(values=shown.to_dicts())).properties(width=200, height=180).facet("panel:N", columns=3)
