"""How does a host that is overcommitted by half adapt: at boot, at work, and when a VM falls idle and comes back?

Method: Figure 8. Five Windows VMs of 1472 MB with 160 MB of overhead on a host of 1 GB (recipe ``boot5``), under the whole of
the paper's machinery (preset esx). Allocations, balloons, what is shared and what is paged out, of all VMs and of the one
that falls idle, over time; summed up in the peaks that the paper tells. Zero pages that a booting Windows writes are the
test of sharing before swapping: drivers are not loaded yet (``balloon.load``), so the host has to page, and nearly all that
it would page out is zeros.

What it finds (synthetic, a sixteenth of the size, scaled back): at the end of the boot sharing saves 704 MB, nearly all of it zero
pages, and allocations sum to 1456 MB on 1024; 16 MB are swapped at the peak, none from 105 s on, while balloons take 656 MB as
programs fill the zero pages. The SQL VM's target falls to its min of 160 MB within 40 s of falling idle; it holds 169, because
free memory between 4 and 6 % is short for nobody, and has 171 again two minutes after the query. In all that is more sharing
than in the paper, whose VMs held other things than zeros sooner.
Wants: ``--preset esx`` on the recipe ``boot5``, or on any capture of VMs that are booted together.
Source: Waldspurger 2002, section 6.4 and Figure 8 (325 MB of zero pages shared at boot, at most 35 MB swapped and then less
than 20, allocations of almost 1200 MB in all, the idle SQL VM at its min of 160 MB until a query).
"""

import altair as alt
import polars as pl

import tracekit as tk

MIB = 256  # pages
_OF_HOST = ("target", "resident", "shared", "saved", "ballooned", "swapped", "free", "used", "memory", "overhead")


def table(results: tk.Results) -> pl.LazyFrame:
    """One row a report and VM (* is the host): t (s), state, and in MiB target, resident, active, ballooned, swapped; of the
    host also shared, saved (what sharing saves), free, used, memory, overhead; shared_out: pages shared instead of paged out."""
    host = results.table("host").filter(pl.col("why") == "report")
    whole = host.select("variant", "trace", "t", "vm", "state", *(pl.col(name) / MIB for name in _OF_HOST))
    out = results.faults.group_by("variant", "trace").agg(shared_out=pl.col("shared_out").sum() / MIB)
    each = results.allocation.select(
        "variant", "trace", "t", "vm", "state",
        *(pl.col(name) / MIB for name in ("target", "min", "resident", "active", "ballooned", "swapped")),
    )  # fmt: skip
    frame = pl.concat([whole.join(out, on=["variant", "trace"]), each], how="diagonal")
    return frame.with_columns(t=pl.col("t") / 1e9).sort("variant", "trace", "vm", "t")


def chart(frame: pl.DataFrame) -> alt.VConcatChart:
    """The host's memory over time above, each VM's below."""
    host = frame.filter(pl.col("vm") == "*").select("t", "target", "resident", "ballooned", "shared", "saved", "swapped")
    time = alt.X("t:Q", title="trace time (s)")
    above = (
        alt.Chart(alt.Data(values=host.unpivot(index="t").to_dicts()), title="all VMs (synthetic)")
        .mark_line()
        .encode(time, alt.Y("value:Q", title="memory (MiB)"), alt.Color("variable:N", title=None))
        .properties(width=560, height=220)
    )
    each = frame.filter(pl.col("vm") != "*").select("t", "vm", "target", "resident", "active", "ballooned", "swapped")
    below = (
        alt.Chart(alt.Data(values=each.unpivot(index=["t", "vm"]).to_dicts()))
        .mark_line()
        .encode(time, alt.Y("value:Q", title="memory (MiB)"), alt.Color("variable:N", title=None))
        .properties(width=170, height=130)
        .facet("vm:N", columns=3)
    )
    return alt.vconcat(above, below)
