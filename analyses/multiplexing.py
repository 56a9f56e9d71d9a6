"""Are the peaks of VMs uncorrelated, and how many more VMs fit on a host for it, at a given slowdown?

Method: of peaks, the working sets of all VMs over time, one window long (table ``working_set`` of watch.working-set). If n VMs are
put on a host, a host for the sum of their peaks never lacks memory; a host for the peak of their sum lacks none either, and is
smaller if peaks do not coincide. For each number n of VMs, over all ways to choose them (or DRAWS of them, drawn): the mean
correlation of pairs, and the two sizes. Shifting the VMs against one another in time (circularly, DRAWS times) gives what the
same VMs would need if their peaks had nothing to do with one another; the captured order is compared with that.

How many fit is found by replays. ``tracekit consolidate`` puts 1, 2, 3, … copies of the captured VMs on one host, each begun at a
random moment, a capture for each seed of these moments; all are replayed on one host (a ``tax`` preset with ``--memory``), and
faults are priced by report/cost.py. A number of VMs fits if the slowest VM is no slower than ``slowdown``, on average over the
seeds, and all smaller numbers fit; it fits surely if the upper end of the 95 % interval over the seeds (Student's t) is no
slower. What peaks would have said stands beside it, if watch.working-set was there too: the most VMs whose peaks the host could
hold all at once.

What it finds, on copies of three real VMs (traces/three-vms: nginx, redis, postgres, 160 to 192 MiB, 88 s) on a host of 400 MiB
with 8 MiB of overhead each, preset tax, three seeds: their peaks of 10 s are 111 MiB on average, so that 3 fit if they are
reserved. 5 fit at a slowdown of 5 % (3 surely), 6 at 10 % (5 surely); with 8 the slowest is slower by 15 % (11 to 18).

A trace of a few minutes on one machine cannot tell daily peaks; VMs driven by one load are correlated by it; copies that begin
at random moments are independent by construction. A replay does not slow down: in a host that is far too small, real VMs
would run, and fault, later than these do.
Wants: ``--preset working-set``, on several VMs; or several captures that ``tracekit consolidate`` has made, with a tax stage and
``--memory``.
Source: Waldspurger 2002, section 1 (multiplexing is why to overcommit); reviewers asked whether peaks are uncorrelated.
"""

import itertools

import altair as alt
import numpy as np
import polars as pl

import tracekit as tk
from tracekit.report.cost import Costs, over_seeds, slowdowns

MIB = 256  # pages
DRAWS = 200


def table(results: tk.Results, slowdown: float = 1.1, costs: Costs | None = None, late: float = 0.01, seed: int = 0) -> pl.LazyFrame:
    """Rows of three views; sizes in MiB. Of captures as they are *peaks*, of consolidated ones *replayed* and *fits*.

    *peaks*: one row a trace, window and number of VMs, on average over the choices: ``peaks`` (sum of the peaks), ``together``
    (peak of the sum), ``independent`` (that of VMs shifted in time) with ``low`` and ``high`` (95 % of the shifts);
    ``correlation`` of pairs; ``gain``, how many times the VMs fit where peaks would be reserved, if their sum may exceed the
    memory in ``late`` of the moments. *replayed*: one row a variant and number of VMs: ``slowdown`` of the slowest VM, ``low``
    and ``high`` (95 % over ``seeds``), ``mean`` slowdown of all VMs, ``memory`` for guest pages, ``peaks``. *fits*: one row a
    variant: ``vms`` that fit at ``slowdown``, ``surely``, and ``reserved``, which fit if all peaks coincided; ``next``, the
    least number replayed that does not fit (null: all did, so that more may).
    """
    views = [_peaks(results, late, seed)] if "working_set" in results.names else []
    if "allocation" in results.names:
        replayed = _replayed(results, costs or Costs())
        views += [replayed, _fits(replayed, slowdown)]
    return pl.concat(views, how="diagonal").lazy()


def _peaks(results: tk.Results, late: float, seed: int) -> pl.DataFrame:
    sizes = results.table("working_set").filter(pl.col("vm") != "*").collect()
    rows = []
    for (trace, window), part in sizes.group_by("trace", "window", maintain_order=True):
        wide = part.unique(["vm", "t"]).sort("vm", "t").pivot("vm", index="t", values="pages").sort("t").drop_nulls()
        pages = wide.drop("t").to_numpy().astype(float)
        if len(pages) > 1 and "allocation" not in results.names:
            rows += [{"trace": trace, "window": window} | row for row in _by_number(pages, late, np.random.default_rng(seed))]
    if not rows:
        return pl.DataFrame()
    synthetic = results.runs.select("trace", "synthetic").unique().collect()
    return pl.DataFrame(rows).join(synthetic, on="trace", maintain_order="left").with_columns(view=pl.lit("peaks"))


def _replayed(results: tk.Results, costs: Costs) -> pl.DataFrame:
    key = ["variant", "trace"]
    runs = results.runs.select(
        *key, "synthetic", memory=pl.col("memory") / (MIB * 4096), vms=pl.col("vms").str.split(" ").list.len().cast(pl.Int64)
    )
    speeds = slowdowns(results, costs).group_by(key).agg(mean=pl.col("slowdown").mean(), slowdown=pl.col("slowdown").max())
    frame = runs.join(speeds, on=key)
    if "working_set_summary" in results.names:
        each = results.table("working_set_summary").filter(pl.col("vm") != "*")
        frame = frame.join(each.group_by(key).agg(peaks=pl.col("peak").sum() / MIB), on=key)
    by = ["variant", "synthetic", "vms"]
    rest = frame.group_by(by).agg(pl.col("mean", "memory", "^peaks$").mean())
    return over_seeds(frame, by, "slowdown").join(rest, on=by).sort("variant", "vms").with_columns(view=pl.lit("replayed")).collect()


def _fits(replayed: pl.DataFrame, slowdown: float) -> pl.DataFrame:
    rows = []
    for (variant,), part in replayed.group_by("variant", maintain_order=True):
        vms = part["vms"].to_list()
        fits = _largest(vms, part["slowdown"] <= slowdown)
        row = {"variant": variant, "synthetic": part["synthetic"][0], "slowdown": float(slowdown), "vms": fits}
        row |= {
            "surely": _largest(vms, (part["high"] <= slowdown).fill_null(False)),
            "next": min((n for n in vms if n > fits), default=None),
        }
        if "peaks" in part.columns:
            row["reserved"] = _largest(vms, part["peaks"] <= part["memory"])
        rows.append(row | {"view": "fits"})
    return pl.DataFrame(rows, schema_overrides={"next": pl.Int64}, infer_schema_length=None)


def _largest(vms: list[int], good: pl.Series) -> int:
    """The largest number of VMs up to which all are good; 0 if none is."""
    return max(itertools.takewhile(lambda n: good[vms.index(n)], vms), default=0)


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


def chart(frame: pl.DataFrame) -> alt.FacetChart | alt.LayerChart:
    """Memory needed by the number of VMs, a panel a trace and window; or of replays the slowdown, and how many fit."""
    return _drawn_replays(frame) if "fits" in frame["view"] else _drawn_peaks(frame)


def _drawn_peaks(frame: pl.DataFrame) -> alt.FacetChart:
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


def _drawn_replays(frame: pl.DataFrame) -> alt.LayerChart:
    kind = "synthetic VMs" if frame["synthetic"].any() else "copies of real VMs"
    replayed, fits = frame.filter(view="replayed"), frame.filter(view="fits")
    vms, colour = alt.X("vms:Q", title=f"{kind} on one host"), alt.Color("variant:N")
    scale = alt.Scale(type="log")
    line = alt.Chart().mark_line(point=True).encode(vms, alt.Y("slowdown:Q", title="slowdown of the slowest VM", scale=scale), colour)
    band = alt.Chart().mark_errorband().encode(vms, alt.Y("low:Q", title=None), alt.Y2("high:Q"), colour)
    rule = alt.Chart(alt.Data(values=fits.to_dicts())).mark_rule(strokeDash=[4, 3]).encode(y="slowdown:Q")
    return alt.layer(band, line, rule, data=alt.Data(values=replayed.to_dicts())).properties(width=420, height=240)
