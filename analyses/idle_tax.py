"""What does an idle VM keep, with and without the idle memory tax, and what does a busy one gain?

Method: Figure 7. Two VMs of 256 MB and equal shares, about 360 MB for both, one idle and one busy (recipe ``tax``), replayed
without and with the tax (``--set tax.rate=0,0.75``). Beside what each VM holds over time stands what the equilibrium of the
paper's prices says it should (all VMs at one price a page, min-funding revocation) at the VM's estimate of that moment, its
column ``target``, and its page-ins, the host's and the guest's. An idle VM is only taxed as far as somebody wants the memory:
where the busy one has all that it uses, memory is not short and nobody gives any. With ``balloon.zeroing`` a guest touches
what it is given back, as Windows zeroes free pages and Linux fills its file cache, and takes all that it may have.

What has settled, the last quarter of the replay, stands beside what the prices say of the truth: active pages as the trace has
them, in place of the estimate.

What it finds (synthetic, active sets of 40 and 200 MB, 1200 s): without the tax both hold 179 MB, as predicted, and the busy VM
misses for want of 21 MB, 3500 page-ins a second. At 0.75 the idle one falls, as the estimate does over ten periods, because
the largest of three averages does, and settles at 118 MB (predicted: 119.0); the busy one has 243 (239.0; free memory need not
come back to 6 % while it is above 4) and none of its page-ins.
Wants: ``--preset tax`` with tax.rate=0,0.75 on the recipe ``tax``, or on any VMs of which some are idle.
Source: Waldspurger 2002, section 5.4 and Figure 7 (179 MB each; then dbench gains 30 % and more).
"""

import altair as alt
import polars as pl

import tracekit as tk
from tracekit.modules.tax.targets import idle_price, revoke

MIB = 256  # pages
_BY = ("variant", "trace", "vm")


def table(results: tk.Results) -> pl.LazyFrame:
    """Rows of two views, memory in MiB. *time*: one row a rate, VM and report: t (s), held, equilibrium, estimate, page_ins since
    the row before, synthetic. *settled*: one row a rate and VM, means over the last quarter of the time: the same, with the truth,
    and predicted, the equilibrium at it.
    """
    ins = results.table("vm").select(*_BY, "t", ins=pl.col("major") + pl.col("guest_major"))
    runs = results.runs.select("variant", "trace", "synthetic")
    time = (
        results.allocation.join(ins, on=[*_BY, "t"])
        .join(runs, on=["variant", "trace"])
        .join(results.params("tax.rate"), on="variant")
        .sort(*_BY, "t")
        .select(
            *_BY, "synthetic", "t", "min", "max", "shares", "target", "active",
            rate=pl.col("tax.rate").cast(pl.Float64), held=pl.col("resident") / MIB, equilibrium=pl.col("target") / MIB,
            estimate=pl.col("active") / MIB, page_ins=(pl.col("ins") - pl.col("ins").shift(fill_value=0).over(_BY)).cast(pl.Float64),
        )
    ).collect()  # fmt: skip
    views = {"time": time, "settled": _settled(time, results.sampling.select(*_BY, "t", truth="active").collect())}
    shown = ("trace", "vm", "synthetic", "rate", "t", "held", "equilibrium", "estimate", "page_ins", "truth", "predicted")
    frames = [frame.with_columns(view=pl.lit(name), t=pl.col("t") / 1e9) for name, frame in views.items()]
    return pl.concat([frame.select(name for name in ("view", *shown) if name in frame.columns) for frame in frames], how="diagonal").lazy()


def _settled(time: pl.DataFrame, sampling: pl.DataFrame) -> pl.DataFrame:
    late = pl.col("t") >= time["t"].min() + 0.75 * (time["t"].max() - time["t"].min())
    truth = sampling.filter(late).group_by(_BY).agg(pl.col("truth").mean())
    means = ("held", "equilibrium", "estimate", "page_ins", "target")
    last = (
        time.filter(late)
        .group_by(*_BY, "synthetic", "rate", "min", "max")
        .agg(pl.col("t").min(), pl.col("shares").last(), pl.col(means).mean())
    )
    frames = []
    for _, part in last.join(truth, on=_BY).sort(_BY).group_by("variant", "trace", maintain_order=True):
        shares, active, rate = part["shares"].to_numpy(), part["truth"].to_numpy(), part["rate"][0]
        price = lambda pages, s=shares, a=active, r=rate: idle_price(s, pages, a, r)  # noqa: E731
        predicted = revoke(price, part["min"].to_numpy(), part["max"].to_numpy(), round(part["target"].sum()))
        frames.append(part.with_columns(pl.col("truth") / MIB, predicted=pl.Series(predicted / MIB)))
    return pl.concat(frames)


def chart(frame: pl.DataFrame) -> alt.HConcatChart:
    """Memory over time, held and by the equilibrium, a panel a rate; and each VM's page-ins over time."""
    kind = " (synthetic)" if frame["synthetic"].any() else ""
    settled, frame = frame.filter(view="settled"), frame.filter(view="time").drop("view", "truth", "predicted")
    data = alt.Data(values=frame.to_dicts())
    time = alt.X("t:Q", title="trace time (s)")
    colour = alt.Color("vm:N", title=None)
    held = alt.Chart().mark_line().encode(time, alt.Y("held:Q", title="memory (MiB)"), colour)
    should = alt.Chart().mark_line(strokeDash=[4, 3]).encode(time, alt.Y("equilibrium:Q"), colour)
    end = frame["t"].max()
    predicted = alt.Chart(alt.Data(values=settled.with_columns(t=pl.lit(end)).to_dicts())).mark_point(shape="diamond", filled=True)
    ends = predicted.encode(time, alt.Y("predicted:Q"), colour)
    memory = (
        alt.layer(held, should, ends, data=data)
        .properties(width=260, height=200)
        .facet("rate:N", title=f"held, equilibrium (dashed), and at the truth (◆){kind}")
    )
    ins = (
        alt.Chart(data)
        .mark_line(interpolate="step-before")
        .encode(time, alt.Y("page_ins:Q", title="page-ins"), colour, alt.StrokeDash("rate:N"))
    )
    return alt.hconcat(memory, ins.properties(width=190, height=200, title="page-ins between reports"))
