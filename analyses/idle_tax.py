"""What does an idle VM keep, with and without the idle memory tax, and what does a busy one gain?

Method: Figure 7. Two VMs of 256 MB and equal shares, about 360 MB for both, one idle and one busy (recipe ``tax``), replayed
without and with the tax (``--set tax.rate=0,0.75``). Beside what each VM holds over time stands what the equilibrium of the
paper's prices says it should (all VMs at one price a page, min-funding revocation) at the VM's estimate of that moment, its
column ``target``, and its page-ins, the host's and the guest's. An idle VM is only taxed as far as somebody wants the memory:
where the busy one has all that it uses, memory is not short and nobody gives any. With ``balloon.zeroing`` a guest touches
what it is given back, as Windows zeroes free pages and Linux fills its file cache, and takes all that it may have.

What it finds (synthetic, active sets of 40 and 200 MB): without the tax both hold 179 MB, and the busy VM misses for want of
21 MB; at 0.75 the idle one falls to what the equilibrium says for the estimate, which comes down over ten periods because the
largest of three averages does, and the busy one's page-ins end.
Wants: ``--preset tax`` with tax.rate=0,0.75 on the recipe ``tax``, or on any VMs of which some are idle.
Source: Waldspurger 2002, section 5.4 and Figure 7 (179 MB each; then dbench gains 30 % and more).
"""

import altair as alt
import polars as pl

import tracekit as tk

MIB = 256  # pages
_BY = ("variant", "trace", "vm")


def table(results: tk.Results) -> pl.LazyFrame:
    """One row a rate, VM and report: t (s), held, equilibrium, estimate (MiB), page_ins since the row before, synthetic."""
    ins = results.table("vm").select(*_BY, "t", ins=pl.col("major") + pl.col("guest_major"))
    runs = results.runs.select("variant", "trace", "synthetic")
    return (
        results.allocation.join(ins, on=[*_BY, "t"])
        .join(runs, on=["variant", "trace"])
        .join(results.params("tax.rate"), on="variant")
        .sort(*_BY, "t")
        .select(
            "trace", "vm", "synthetic",
            rate=pl.col("tax.rate").cast(pl.Float64), t=pl.col("t") / 1e9,
            held=pl.col("resident") / MIB, equilibrium=pl.col("target") / MIB, estimate=pl.col("active") / MIB,
            page_ins=pl.col("ins") - pl.col("ins").shift(fill_value=0).over(_BY),
        )
    )  # fmt: skip


def chart(frame: pl.DataFrame) -> alt.HConcatChart:
    """Memory over time, held and by the equilibrium, a panel a rate; and each VM's page-ins over time."""
    kind = " (synthetic)" if frame["synthetic"].any() else ""
    data = alt.Data(values=frame.to_dicts())
    time = alt.X("t:Q", title="trace time (s)")
    colour = alt.Color("vm:N", title=None)
    held = alt.Chart().mark_line().encode(time, alt.Y("held:Q", title="memory (MiB)"), colour)
    should = alt.Chart().mark_line(strokeDash=[4, 3]).encode(time, alt.Y("equilibrium:Q"), colour)
    memory = (
        alt.layer(held, should, data=data).properties(width=190, height=200).facet("rate:N", title=f"held, and equilibrium (dashed){kind}")
    )
    ins = (
        alt.Chart(data)
        .mark_line(interpolate="step-before")
        .encode(time, alt.Y("page_ins:Q", title="page-ins"), colour, alt.StrokeDash("rate:N"))
    )
    return alt.hconcat(memory, ins.properties(width=190, height=200, title="page-ins between reports"))
