"""What does it cost to let only VMs of one security domain share?

Method: the host's last rows of the table savings, of a sweep over sharing.domain with everything shared at once: host (all
together), tenant, salted ([[vm]] salt), vm (each alone). Lost is what the step from the whole host takes away.
Wants: ``--preset sharing`` with sharing.module=share-everything at several sharing.domain.
Source: VUsion (Oliverio et al. 2017) for the attacks; ESXi's salting for the levels.
"""

import altair as alt
import polars as pl

import tracekit as tk

MIB = 256  # pages


def table(results: tk.Results) -> pl.LazyFrame:
    """One row a variant and trace: domain, reclaimed, zero, within, between (MiB), part (of memory), lost (of the host's)."""
    key = ["variant", "trace"]
    host = results.savings.filter(pl.col("vm") == "*").group_by(key, maintain_order=True).last()
    parts = {name: pl.col(f"reclaimed_{name}") / MIB for name in ("zero", "within", "between")}
    best = pl.col("reclaimed").max().over("trace")
    return (
        host.join(results.params("sharing.domain"), on="variant")
        .select(
            *key, domain="sharing.domain", reclaimed=pl.col("reclaimed") / MIB, **parts, part=pl.col("reclaimed") / pl.col("pages"),
            lost=1 - pl.col("reclaimed") / best,
        )
        .sort("trace", "reclaimed", descending=[False, True])
    )  # fmt: skip


def chart(frame: pl.DataFrame) -> alt.FacetChart:
    """What is reclaimed in each kind of domain, by kind of page, a panel a trace."""
    return (
        alt.Chart(alt.Data(values=frame.to_dicts()))
        .transform_fold(["zero", "within", "between"], as_=["kind", "MiB"])
        .mark_bar()
        .encode(
            alt.X("domain:N", title=None, sort=["host", "tenant", "salted", "vm"], axis=alt.Axis(labelAngle=0)),
            alt.Y("MiB:Q", title="reclaimed (MiB)"),
            alt.Color("kind:N", title=None, sort=["zero", "within", "between"]),
        )
        .properties(width=alt.Step(60))
        .facet("trace:N")
    )
