"""Which estimator of a VM's working set is near the truth, how soon, and what does it cost?

Method: a replay with the preset estimators: all of them on one trace, each beside the truth (distinct pages used within the
window before). By phase of the workload: means over the moments whose window lies within the phase, and how long each took to
cover nine tenths of the step. The cost is in page faults that the VM takes for it and in pages looked at.
Wants: ``--preset estimators``; phases are known of ``toucher-long``.
Source: Waldspurger 2002, section 5.3; docs/estimators.md names the source of each estimator.
"""

import altair as alt
import polars as pl
from phases import phases, settled

import tracekit as tk

MIB = 256  # pages
KEY = ("variant", "trace", "vm", "estimator")


def table(results: tk.Results, marks: pl.DataFrame | None = None) -> pl.LazyFrame:
    """Rows of three views; sizes in MiB, times in s. ``marks`` are phases as of ``phases.phases``, the default.

    *time*: t, truth, estimate. *phase*: phase, t, t_end, truth, estimate, error (mean amount), settled (from the phase's
    beginning; null: not within it). *summary*: truth, estimate, bias, error, rms, lag, faults, scans (both a second).
    """
    over_time = results.estimators.select(
        *KEY, pl.col("t") / 1e9, pl.col("window") / 1e9, pl.col("truth") / MIB, pl.col("estimate") / MIB
    ).collect()
    marks = phases(over_time["trace"].unique().to_list()) if marks is None else marks
    spans = results.runs.select("variant", "trace", pl.col("span") / 1e9)
    summary = results.estimator_summary.join(spans, on=("variant", "trace")).select(
        *KEY, *(pl.col(name) / MIB for name in ("truth", "estimate", "bias", "error", "rms")), pl.col("lag") / 1e9,
        *(pl.col(name) / pl.col("span") for name in ("faults", "scans")),
    )  # fmt: skip
    views = {"time": over_time, "phase": _phases(over_time, marks), "summary": summary.collect()}
    return pl.concat([frame.with_columns(view=pl.lit(name)) for name, frame in views.items()], how="diagonal").lazy()


def _phases(over_time: pl.DataFrame, marks: pl.DataFrame) -> pl.DataFrame:
    marks = marks.select("trace", "phase", starts=pl.col("begins") / 1e9, t_end=pl.col("ends") / 1e9)
    within = over_time.join(marks, on="trace").sort("t").filter(pl.col("t").is_between("starts", "t_end"))
    whole = pl.col("t") >= pl.col("starts") + pl.col("window")
    goal = pl.col("truth").filter(whole).last()
    means = within.group_by(*KEY, "phase").agg(
        pl.col("starts").first().alias("t"), pl.col("t_end").first(), pl.col("truth", "estimate").filter(whole).mean(),
        error=(pl.col("estimate") - pl.col("truth")).abs().filter(whole).mean(),
        settled=settled(pl.col("t"), pl.col("estimate"), goal) - pl.col("starts").first(),
    )  # fmt: skip
    return means.sort(*KEY, "phase")


def chart(frame: pl.DataFrame) -> alt.VConcatChart:
    """A panel an estimator and VM, the truth behind it; below, error against cost."""
    shown = frame.filter(view="time").select("vm", "estimator", "t", "truth", "estimate")
    base = alt.Chart().encode(alt.X("t:Q", title="trace time (s)"))
    truth = base.mark_area(interpolate="step-after", opacity=0.25, color="#777777").encode(alt.Y("truth:Q", title="memory in use (MiB)"))
    line = base.mark_line(interpolate="step-after").encode(alt.Y("estimate:Q"))
    panels = alt.layer(truth, line, data=alt.Data(values=shown.to_dicts())).properties(width=260, height=90)
    summary = frame.filter(view="summary").select("vm", "estimator", "error", "faults", "scans")
    cost = (
        alt.Chart(alt.Data(values=summary.with_columns(cost=pl.col("faults") + pl.col("scans")).to_dicts()), width=400, height=240)
        .mark_point(filled=True, size=80)
        .encode(
            alt.X("cost:Q", title="faults and pages looked at, a second", scale=alt.Scale(type="log")),
            alt.Y("error:Q", title="mean error (MiB)"),
            alt.Color("estimator:N", title=None),
            alt.Shape("vm:N", title=None),
        )
    )
    return alt.vconcat(panels.facet(row="estimator:N", column="vm:N"), cost)
