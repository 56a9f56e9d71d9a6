"""How much do the VMs of a host share, and is it zero pages, pages of one VM, or pages of different VMs?

Method: the last rows of the table savings: what sharing every two equal pages would reclaim at the end of each capture.
Wants: any replay with a sharing stage (``--preset sharing``).
Source: Waldspurger 2002, section 4.4, Figure 5 (guests of three real servers: 32.9, 18.7 and 7.2 % reclaimed); the split
after Barker et al. 2012, who found that most sharing without zero pages is within a VM.
"""

import altair as alt
import polars as pl

import tracekit as tk

MIB = 256  # pages


def table(results: tk.Results) -> pl.LazyFrame:
    """One row a variant and trace: total, shared, reclaimed and its parts zero, within, between (MiB), and parts of total."""
    host = results.savings.filter(pl.col("vm") == "*")
    sizes = {"total": "pages", "shared": "possible_shared", "reclaimed": "possible_reclaimed"}
    sizes |= {name: f"possible_{name}" for name in ("zero", "within", "between")}
    last = host.group_by("variant", "trace", maintain_order=True).last()
    frame = last.select("variant", "trace", **{name: pl.col(column) / MIB for name, column in sizes.items()})
    parts = [(pl.col(name) / pl.col("total")).alias(f"{name}_part") for name in ("shared", "reclaimed")]
    return frame.with_columns(*parts).sort("trace", "variant")


def chart(frame: pl.DataFrame) -> alt.Chart:
    """What each capture would reclaim, by kind, as a part of its memory."""
    parts = [(pl.col(name) / pl.col("total")).alias(name) for name in ("zero", "within", "between")]
    return (
        alt.Chart(alt.Data(values=frame.with_columns(*parts).to_dicts()))
        .transform_fold(["zero", "within", "between"], as_=["kind", "part"])
        .mark_bar()
        .encode(
            alt.Y("trace:N", title=None),
            alt.X("part:Q", title="reclaimed, part of memory", axis=alt.Axis(format="%")),
            alt.Color("kind:N", title=None, sort=["zero", "within", "between"]),
            alt.Order("kind:N", sort="descending"),
        )
        .properties(width=400)
    )
