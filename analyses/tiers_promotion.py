"""Which promotion policy serves most accesses from near memory, and what do its moves cost?

Method: the table tiers of replays with several policies (``tier.module``) and sizes of near memory (``tier.near``): part of the
accesses served by far memory, average latency, and the same with moves and hint faults charged, beside the best fixed
placement and the bound of one who knows the future and moves for nothing. A row of the trace stands for all touches of a page in
its bucket; ``tier.weight`` says for how many accesses, which decides what moves weigh and not what they serve.
Wants: ``--preset tier`` with several tier.module and tier.near.
Source: Maruf et al. 2023 (TPP), Raybuck et al. 2021 (HeMem), Lee et al. 2023 (MEMTIS); the question is that of Waldspurger
2002, section 7, on memory that is far instead of out of reach.
"""

import altair as alt
import polars as pl

import tracekit as tk

MIB = 1 << 20


def table(results: tk.Results) -> pl.LazyFrame:
    """One row a trace, policy and size of near memory: near (MiB), accesses, far (part), amat, amat_moved (ns), migrated (MiB)."""
    given = results.params("tier.module", "tier.near").rename({"tier.module": "policy", "tier.near": "near"})
    last = results.tiers.filter(pl.col("t") == pl.col("t").max().over("trace", "variant")).drop("near_pages", "far_pages")
    accesses = pl.col("served") + pl.col("far")
    mean = [((pl.col(name) * accesses).sum() / accesses.sum()).alias(name) for name in ("amat", "amat_moved")]
    keys = ["trace", "policy", "near"]
    return (
        last.rename({"near": "served"})
        .join(given, on="variant")
        .with_columns(near=pl.col("near").cast(pl.Int64) / MIB)
        .group_by(keys)
        .agg(
            accesses.sum().alias("accesses"),
            (pl.col("far").sum() / accesses.sum()).alias("far"),
            *mean,
            migrated=pl.col("migrated_bytes").sum() / MIB,
        )
        .sort(keys)
    )


def chart(frame: pl.DataFrame) -> alt.FacetChart:
    """Part served far, and latency with moves charged, by size of near memory: a line a policy, bounds dashed."""
    shown = (
        frame.with_columns(bound=pl.col("policy").is_in(["static", "clairvoyant"]))
        .unpivot(["far", "amat", "amat_moved", "migrated"], index=["trace", "policy", "near", "bound"], variable_name="measure")
        .with_columns(
            pl.col("measure").replace(
                {
                    "far": "part of accesses served far",
                    "amat": "latency (ns)",
                    "amat_moved": "latency, moves charged (ns)",
                    "migrated": "moved (MiB)",
                }
            )
        )
    )
    return (
        alt.Chart()
        .mark_line(point=True)
        .encode(
            alt.X("near:Q", title="near memory (MiB)", scale=alt.Scale(type="log", base=2)),
            alt.Y("value:Q", title=None),
            alt.Color("policy:N", title="policy"),
            alt.StrokeDash("bound:N", title="bound"),
        )
        .properties(width=300, height=200)
        .facet(alt.Facet("measure:N", title=None), data=alt.Data(values=shown.to_dicts()), columns=2)
        .resolve_scale(y="independent")
    )
