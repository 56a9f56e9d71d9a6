"""How well does statistical sampling follow the pages that a VM really uses, and how far off is it by its own account?

Method: for each sampling period, the truth from the trace (distinct pages touched) beside the period's own sample with its
95 % interval and the estimate that the host acts on, the larger of the slow and the fast moving average. By phase of the
workload: the same, and how long the estimate took. Over seeds, and for each n, period and pair of gains in the sweep: how
often intervals cover (and would, of exactly this truth: Wilson's coverage is lumpy where few pages are sampled or used), the
error of samples beside its closed form, and the bias that taking the largest of the averages costs.
Wants: any replay with a tax stage or estimate.module=esx (``--preset tax``); over replay.seed and several sample, period, slow and
fast for the errors.
Source: Waldspurger 2002, section 5.3 and Figure 6; reviewers missed the accuracy. Wilson 1927; Cochran, *Sampling
Techniques*, section 2.6 (finite populations).
"""

import math

import altair as alt
import polars as pl
from phases import phases, settled

import tracekit as tk
from tracekit.modules.tax.sampling import interval

MIB = 256  # pages
KEY = ("variant", "trace", "stage", "vm")
PARAMS = ("sample", "period", "slow", "fast")


def table(results: tk.Results, marks: pl.DataFrame | None = None) -> pl.LazyFrame:
    """Rows of three views; sizes in MiB, times in s. ``marks`` are phases as of ``phases.phases``, the default.

    *period*: one row a variant, VM and period: t, truth, sampled, low, high, acted_on, covered. *phase*: one row a variant, VM
    and phase: phase, t, t_end, truth, sampled, acted_on (means over the periods that lie within it), last (acted_on at its end),
    settled (from its beginning until acted_on had covered nine tenths of the way from where it stood; null: not within the
    phase). *error*: one row a VM and setting (sample, period, slow, fast), over seeds: periods, covered (part), expected (the part
    that Wilson's interval covers of this truth), error and closed_form (standard error of sampled), bias (mean of sampled −
    truth), bias_acted_on, acted_on_error (root of its mean square), device, ballooned, remapped (pages a period).
    """
    periods = _periods(results).collect()
    marks = phases(periods["trace"].unique().to_list()) if marks is None else marks
    views = {"period": periods.drop("pages", "n", "active", *PARAMS, "begins"), "phase": _phases(periods, marks), "error": _errors(periods)}
    return pl.concat([frame.with_columns(view=pl.lit(name)) for name, frame in views.items()], how="diagonal").lazy()


def _periods(results: tk.Results) -> pl.LazyFrame:
    sizes = pl.col("vms").str.extract_groups(r"(?<vm>\S+)=(?<pages>\d+)")
    one = results.runs.select("variant", "trace", pl.col("vms").str.split(" ")).explode("vms")
    pages = one.select("variant", "trace", sizes).unnest("vms").with_columns(pl.col("pages").cast(pl.Int64))
    given = results.variants.filter(pl.col("param").is_in(PARAMS)).collect().pivot("param", index=("variant", "stage"), values="value")
    number = [pl.col("sample").cast(pl.Int64), *(pl.col(name).cast(pl.Float64) for name in ("slow", "fast"))]
    seconds = pl.col("period").str.strip_suffix("ns").cast(pl.Int64) / 1e9
    return (
        results.sampling.join(pages, on=("variant", "trace", "vm"))
        .drop("slow", "fast")
        .join(given.lazy().with_columns(*number, seconds), on=("variant", "stage"))
        .select(
            *KEY, *PARAMS, "pages", "n", "active", pl.col("device", "ballooned", "remapped").cast(pl.Float64),
            t=pl.col("t") / 1e9, begins=(pl.col("t") - pl.col("length")) / 1e9, truth=pl.col("active") / MIB,
            sampled=pl.col("touched") / pl.col("n") * pl.col("pages") / MIB, low=pl.col("low") / MIB, high=pl.col("high") / MIB,
            acted_on=pl.col("estimate") / MIB, closed_form=pl.col("error") / MIB,
            covered=((pl.col("low") <= pl.col("active")) & (pl.col("active") <= pl.col("high"))).cast(pl.Float64),
        )
    )  # fmt: skip


def _phases(periods: pl.DataFrame, marks: pl.DataFrame) -> pl.DataFrame:
    marks = marks.select("trace", "phase", starts=pl.col("begins") / 1e9, t_end=pl.col("ends") / 1e9)
    within = periods.join(marks, on="trace").sort("t").filter(pl.col("t") > pl.col("starts"), pl.col("t") <= pl.col("t_end"))
    whole = pl.col("begins") >= pl.col("starts")
    goal = pl.col("truth").filter(whole).last()
    before = periods.join(marks, on="trace").filter(pl.col("t") <= pl.col("starts")).sort("t")
    began = before.group_by(*KEY, "phase").agg(pl.col("acted_on").last())
    at_start = began.join(marks, on="phase").select(*KEY, "phase", "acted_on", t="starts")
    steps = pl.concat([at_start, within.select(*KEY, "phase", "acted_on", "t")]).sort("t")
    goals = within.group_by(*KEY, "phase").agg(goal=goal)
    times = (
        steps.join(goals, on=(*KEY, "phase"))
        .group_by(*KEY, "phase")
        .agg(settled=settled(pl.col("t"), pl.col("acted_on"), pl.col("goal").first()) - pl.col("t").first())
    )
    means = within.group_by(*KEY, "phase").agg(
        pl.col("starts").first().alias("t"), pl.col("t_end").first(),
        *(pl.col(name).filter(whole).mean() for name in ("truth", "sampled", "acted_on")), last=pl.col("acted_on").last(),
    )  # fmt: skip
    return means.join(times, on=(*KEY, "phase")).sort(*KEY, "phase")


def _errors(periods: pl.DataFrame) -> pl.DataFrame:
    off, acted = pl.col("sampled") - pl.col("truth"), pl.col("acted_on") - pl.col("truth")
    setting = ("trace", "stage", "vm", *PARAMS)
    cases = periods.select("pages", "n", "active").unique()
    expected = cases.with_columns(expected=pl.Series([coverage(*case) for case in cases.iter_rows()], dtype=pl.Float64))
    found = periods.join(expected, on=cases.columns).group_by(setting).agg(
        pl.col("covered", "expected").mean(), periods=pl.len(), error=(off * off).mean().sqrt(),
        closed_form=(pl.col("closed_form") ** 2).mean().sqrt(), bias=off.mean(), bias_acted_on=acted.mean(),
        acted_on_error=(acted * acted).mean().sqrt(), **{name: pl.col(name).mean() for name in ("device", "ballooned", "remapped")},
    )  # fmt: skip
    return found.sort(setting)


def coverage(pages: int, n: int, active: int) -> float:
    """The chance that the interval of a sample of n pages covers ``active`` of ``pages``: over all samples (hypergeometric)."""
    if n >= pages:
        return 1.0
    ways = lambda of, take: math.lgamma(of + 1) - math.lgamma(take + 1) - math.lgamma(of - take + 1)  # noqa: E731
    total = 0.0
    for hits in range(max(0, n - (pages - active)), min(n, active) + 1):
        low, high = interval(hits, n, pages)
        if low <= active <= high:
            total += math.exp(ways(active, hits) + ways(pages - active, n - hits) - ways(pages, n))
    return min(total, 1.0)


def chart(frame: pl.DataFrame) -> alt.VConcatChart:
    """Truth and estimates over time with the band of the periods' intervals, a panel a VM; below it the phases as a table."""
    time = alt.X("t:Q", title="trace time (s)")
    size = alt.Y("low:Q", title="memory in use (MiB)")
    band = alt.Chart().mark_area(opacity=0.2, interpolate="step-before").encode(time, size, alt.Y2("high:Q"))
    lines = (
        alt.Chart()
        .transform_fold(["truth", "sampled", "acted_on"], as_=["series", "MiB"])
        .mark_line(interpolate="step-before")
        .encode(time, alt.Y("MiB:Q"), alt.Color("series:N", title=None))
    )
    shown = frame.filter(view="period").select("vm", "t", "truth", "sampled", "acted_on", "low", "high")
    figure = alt.layer(band, lines, data=alt.Data(values=shown.to_dicts())).facet("vm:N")
    means = frame.filter(view="phase").group_by("phase", maintain_order=True).agg(pl.col("truth", "sampled", "acted_on", "settled").mean())
    if means.is_empty():
        return alt.vconcat(figure)
    cells = means.unpivot(index="phase", variable_name="what").with_columns(
        text=pl.when(pl.col("value").is_null()).then(pl.lit("–")).otherwise(pl.col("value").round(1).cast(pl.String))
    )
    columns = {"truth": "truth (MiB)", "sampled": "sampled (MiB)", "acted_on": "acted on (MiB)", "settled": "settled after (s)"}
    words = (
        alt.Chart(alt.Data(values=cells.with_columns(pl.col("what").replace(columns)).to_dicts()), title="by phase", width=420)
        .mark_text()
        .encode(
            alt.X("what:N", title=None, sort=list(columns.values()), axis=alt.Axis(orient="top", labelAngle=0)),
            alt.Y("phase:O"),
            alt.Text("text:N"),
        )
    )
    return alt.vconcat(figure, words)
