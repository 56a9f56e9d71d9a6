"""Which tax rate is right, and what does it cost whom?

Method: one trace under a sweep of rates and seeds (``--set tax.rate=0,0.25,0.5,0.75,0.9 --set replay.seed=0,1,2,3,4``), each
replay scored by report/scores.py: page-ins, slowdown, Jain's index, entitlements violated. The mean over the seeds with its
95 % interval (Student's t): what is random is the sample of pages, and the host's victims.

Wants: ``--preset tax`` with several tax.rate, over replay.seed.
Source: Waldspurger 2002, section 5.2 (0.75 by default, without a sweep); reviewers asked why.
"""

import altair as alt
import polars as pl

import tracekit as tk
from tracekit.report.cost import Costs, over_seeds
from tracekit.report.scores import scores

MEASURES = ("page_ins", "guest_page_ins", "slowdown", "worst", "fairness", "even", "violated", "lacks")


def table(results: tk.Results, costs: Costs | None = None) -> pl.LazyFrame:
    """One row a trace, rate and measure: value, low, high, seeds; synthetic."""
    found = scores(results, costs).join(results.params("tax.rate"), on="variant")
    found = found.with_columns(rate=pl.col("tax.rate").cast(pl.Float64))
    long = found.unpivot(MEASURES, index=["trace", "rate"], variable_name="measure").cast({"value": pl.Float64})
    traces = results.runs.select("trace", "synthetic").unique()
    return over_seeds(long, ["trace", "rate", "measure"], "value").join(traces, on="trace").sort("trace", "measure", "rate")


def chart(frame: pl.DataFrame) -> alt.FacetChart:
    """Each measure by rate, with its interval."""
    kind = " (synthetic)" if frame["synthetic"].any() else ""
    rate = alt.X("rate:Q", title="tax rate τ")
    value = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False))
    line = alt.Chart().mark_line(point=True).encode(rate, value, alt.Color("trace:N", title=None))
    band = alt.Chart().mark_errorband().encode(rate, alt.Y("low:Q", title=None), alt.Y2("high:Q"), alt.Color("trace:N", title=None))
    return (
        alt.layer(band, line, data=alt.Data(values=frame.to_dicts()))
        .properties(width=200, height=130)
        .facet(alt.Facet("measure:N", title=f"by tax rate, mean over the seeds with 95 % interval{kind}", sort=list(MEASURES)), columns=4)
        .resolve_scale(y="independent")
    )
