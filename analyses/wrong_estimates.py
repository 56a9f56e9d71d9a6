"""What does a wrong estimate cost: pages moved without reason, and the faults that followed?

Method: replays of one trace with ``tax.module=exact,esx``, all else equal: the same allocation on the truth and on the sampled
estimate. A page is moved by a target that gains it. What the estimate's targets gained between two reports and those of the
truth did not was moved without reason (so is its way back). The faults that followed are what paging and guests read in
beyond the replay with the truth; they can be fewer, by luck.
Wants: ``--preset tax`` with tax.module=exact,esx in memory short enough to page, over replay.seed.
Source: Waldspurger 2002, sections 5.2 and 5.3; reviewers missed the cost of the sampling's error.
"""

import altair as alt
import polars as pl

import tracekit as tk

MIB = 256  # pages
#: Parameters in which replays that are compared differ.
_OWN = ("tax.module", "replay.seed")


def table(results: tk.Results) -> pl.LazyFrame:
    """One row a trace, setting, seed and VM: moved (MiB that targets gained on the truth), unjustified (MiB more that the
    estimate's gained), misplaced (mean amount of target − target on the truth, MiB), faults and exact_faults, extra_faults.
    """
    every = results.variants.with_columns(key=pl.col("stage") + "." + pl.col("param")).collect()
    own = every.filter(pl.col("key").is_in(_OWN)).pivot("key", index="variant", values="value")
    rest = (
        every.filter(~pl.col("key").is_in(_OWN))
        .group_by("variant")
        .agg(setting=(pl.col("key") + "=" + pl.col("value")).sort().str.join(" "))
    )
    chosen = own.join(rest, on="variant").lazy().rename({"tax.module": "policy", "replay.seed": "seed"})
    key = ["trace", "setting", "seed", "vm"]
    targets = results.allocation.join(chosen, on="variant").select(*key, "policy", "t", "target")
    faults = results.faults.join(chosen, on="variant").select(*key, "policy", faults=pl.col("major") + pl.col("guest_major"))
    exact, esx = (targets.filter(pl.col("policy") == policy).drop("policy") for policy in ("exact", "esx"))
    change = lambda name: pl.col(name).diff().fill_null(0).over(key, order_by="t")  # noqa: E731
    moves = (
        exact.join(esx, on=[*key, "t"], suffix="_esx")
        .with_columns(truth=change("target"), estimate=change("target_esx"))
        .group_by(key)
        .agg(
            moved=pl.col("truth").clip(0).sum() / MIB,
            unjustified=(pl.col("estimate") - pl.col("truth")).clip(0).sum() / MIB,
            misplaced=(pl.col("target_esx") - pl.col("target")).abs().mean() / MIB,
        )
    )
    policies = {policy: faults.filter(pl.col("policy") == policy).drop("policy") for policy in ("exact", "esx")}
    both = policies["esx"].join(policies["exact"].rename({"faults": "exact_faults"}), on=key)
    return moves.join(both, on=key).with_columns(extra_faults=pl.col("faults") - pl.col("exact_faults")).sort(key)


def chart(frame: pl.DataFrame) -> alt.HConcatChart:
    """By VM: pages moved without reason, and faults with the estimate beside those with the truth."""
    data = alt.Data(values=frame.select("vm", "seed", "unjustified", "faults", "exact_faults").to_dicts())
    moved = alt.Chart(data).mark_point().encode(alt.X("vm:N", title=None), alt.Y("unjustified:Q", title="moved without reason (MiB)"))
    faults = (
        alt.Chart(data)
        .transform_fold(["faults", "exact_faults"], as_=["series", "read in"])
        .mark_point()
        .encode(alt.X("vm:N", title=None), alt.Y("read in:Q", title="pages read in"), alt.Color("series:N", title=None))
    )
    return alt.hconcat(moved, faults)
