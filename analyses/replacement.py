"""Which page should leave? Replacement policies beside the best possible and beside random, on any trace.

Method: misses (cold and major faults, all VMs) of every policy at every size of memory; their ratio to OPT's, the least
that any policy can have, and to random's, ESX's choice; 95 % intervals of the mean over seeds (Student's t), which only
policies that draw lots need.
Wants: ``--preset paging`` with several policies in paging.module, optimal and random among them, at several paging.frames or
host.memory, over replay.seed.
Source: Waldspurger 2002, section 3.3; reviewers missed a reason for random.
"""

import altair as alt
import polars as pl

import tracekit as tk
from tracekit.report.cost import over_seeds


def table(results: tk.Results) -> pl.LazyFrame:
    """One row a trace, policy and memory (MiB): mean misses with low, high and seeds, ``of_opt`` and ``of_random`` (ratios;
    null where the results hold no such variant), ``synthetic``."""
    key = ["trace", "policy", "memory"]
    runs = results.runs.select("variant", "trace", "synthetic", memory=pl.col("memory") / (1 << 20))
    names = results.params("paging.module").select("variant", policy="paging.module")
    misses = results.faults.group_by("variant", "trace").agg(misses=(pl.col("cold") + pl.col("major")).sum())
    frame = misses.join(runs, on=["variant", "trace"]).join(names, on="variant")
    means = over_seeds(frame, [*key, "synthetic"], "misses")

    def of(policy: str) -> pl.Expr:
        return pl.col("misses") / pl.col("misses").filter(pl.col("policy") == policy).first().over("trace", "memory")

    return means.with_columns(of_opt=of("optimal"), of_random=of("random")).sort("trace", "memory", "misses")


def chart(frame: pl.DataFrame) -> alt.FacetChart:
    """Misses as multiples of OPT's over the size of memory, a panel a trace, with the intervals over seeds."""
    shown = frame.with_columns((pl.col("low", "high") / pl.col("misses") * pl.col("of_opt")).name.prefix("of_opt_"))
    data = alt.Data(values=shown.to_dicts())
    memory = alt.X("memory:Q", title="memory (MiB)", scale=alt.Scale(zero=False))
    line = alt.Chart().mark_line(point=True).encode(
        memory, alt.Y("of_opt:Q", title="misses over OPT's", scale=alt.Scale(zero=False)), alt.Color("policy:N", title=None)
    )  # fmt: skip
    band = alt.Chart().mark_area(opacity=0.25).encode(memory, alt.Y("of_opt_low:Q"), alt.Y2("of_opt_high:Q"), alt.Color("policy:N"))
    return alt.layer(band, line, data=data).properties(width=320, height=240).facet(alt.Facet("trace:N", title=None))
