"""Does a replayed guest page out what a real one did behind the same balloon?

Method: a real Linux guest of 192 MiB was ballooned to 128, 96, 80, 112 and back to 192 MiB, 12 s each, while a program wrote
64 MiB over and over (traces/experiments/balloon.tsv: the guest's own counters). The same workload's accesses without a
balloon (traces/balloon-workload) are replayed under the same targets (preset balloon). The real guest was slowed down by its
paging, the replay keeps the trace's pace; so beside what it pages out in a phase stands what it would have paged out in 12 s
of wall time, if every page that goes through the swap takes PAGE_TIME and the program sleeps whenever it waits for nothing
(slowdown = max(1, pages × PAGE_TIME / 12 s)). PAGE_TIME is the one number fitted: the four phases under pressure, 48 s,
over the 297 866 pages that the real guest wrote in them. What is told by the fit is therefore how the pages spread over
the phases, not their sum.

What it finds. At the trace's pace a guest pages out more than the real one by a factor of 3.7 (random), 4.2 (the two-list LRU,
as the real one has), 5.0 (trimming) or 5.3 to 5.4 (CLOCK, the multi-gen LRU, LRU): the program's loop is larger than what is left
of the memory, so LRU misses every page of it, twice a second, which the real guest's swap could not carry. In the first phase,
where the loop nearly fits, they differ most: 2.7 (random), 3.8 (two-list), 6.6 (trimming), 8.6 to 9.3 (the others). Slowed
down all page out what 12 s of that swap allow, whatever the policy: the real counts measure the speed of the swap, and cannot
tell the policies apart. What is left is 66, 36, 11, 4 and 3 % too many
after each phase. The phase of 128 MiB is 30 000 pages over: for three seconds after the first inflation the real guest
hardly ran at all (its own log pauses), which its counters do not explain; then its rate rose to that of the later phases.
The phase of 96 MiB is 9 000 over and those of 80 and 112 MiB are 17 000 and 11 000 under: the real price of a page was not
the same in all. The replay takes every dirty victim to be written when it is chosen, by itself; the real guest read 7.5
pages a page-in on average (readahead), which is in PAGE_TIME.
Wants: ``--preset balloon`` on traces/balloon-workload.access.parquet, with several balloon.guest.
Source: Waldspurger 2002, section 3.2; Linux 6.1 under QEMU 7.2 (TCG).
"""

from pathlib import Path

import altair as alt
import polars as pl

import tracekit as tk

REAL = Path(__file__).parent.parent / "traces" / "experiments" / "balloon.tsv"
#: Targets in MiB, and when each ends in the replay (s after the first row; at the end, the last row).
PHASES = ((192, 39), (128, 51), (96, 63), (80, 75), (112, 87), (192, 1000))
SECONDS = 12
PAGE_TIME = 4 * SECONDS / 297_866


def real() -> pl.DataFrame:
    """The real guest's cumulative page-outs at the end of each phase."""
    rows = pl.read_csv(REAL, separator="\t")
    phase = (pl.col("target_mib") != pl.col("target_mib").shift()).fill_null(True).cum_sum() - 1
    return rows.group_by(phase.alias("phase"), maintain_order=True).last().select("phase", real_outs="swap_outs")


def table(results: tk.Results) -> pl.LazyFrame:
    """One row a guest policy and phase, cumulative pages: ``real_outs``, ``outs`` as replayed, ``slowed_outs`` in 12 s of
    wall time a phase, ``distance`` of that from the real (1 = twice as many); ``slowdown`` of the phase."""
    frame = results.table("balloon").join(results.params("balloon.guest"), on="variant")
    first = results.runs.select("variant", "trace", "span").join(
        results.table("balloon").group_by("variant").agg(end=pl.col("t").max()), on="variant"
    )
    since = (pl.col("t") - pl.col("end") + pl.col("span")) / 1e9
    frame = frame.join(first, on=["variant", "trace"]).with_columns(since=since)
    ends = pl.concat(
        [
            frame.filter(pl.col("since") < until - 0.01).group_by("balloon.guest").agg(
                pl.lit(i, pl.Int64).alias("phase"), pl.lit(target, pl.Int64).alias("target_mib"),
                pl.col("guest_page_outs").sort_by("t").last(),
            )
            for i, (target, until) in enumerate(PHASES)
        ]
    ).sort("balloon.guest", "phase")  # fmt: skip
    before = real()["real_outs"][0]
    # What the guest had paged out before the balloon is set to what the real one had: the trace's boot in less memory is no
    # part of the experiment.
    caused = pl.col("guest_page_outs") - pl.col("guest_page_outs").first().over("balloon.guest")
    added = pl.col("outs").diff().over("balloon.guest").fill_null(0)
    return (
        ends.with_columns(outs=before + caused)
        .with_columns(added=added)
        .with_columns(slowdown=pl.max_horizontal(1.0, pl.col("added") * PAGE_TIME / SECONDS))
        .with_columns(slowed_outs=before + (pl.col("added") / pl.col("slowdown")).cum_sum().over("balloon.guest"))
        .join(real().lazy(), on="phase")
        .select(
            pl.col("balloon.guest").alias("guest"),
            "phase",
            "target_mib",
            "real_outs",
            "outs",
            pl.col("slowed_outs").round().cast(pl.Int64),
            "slowdown",
            distance=pl.col("slowed_outs") / pl.col("real_outs") - 1,
        )
        .sort("guest", "phase")
    )


def chart(frame: pl.DataFrame) -> alt.FacetChart:
    """Cumulative page-outs at the end of each phase: the real guest's as bars, each policy's slowed replay as a line."""
    labels = [f"{i + 1}: {target} MiB" for i, (target, _) in enumerate(PHASES)]
    shown = frame.with_columns(label=pl.col("phase").map_elements(lambda i: labels[i], return_dtype=pl.String))
    phase = alt.X("label:N", title="phase: memory left by the balloon", sort=labels, axis=alt.Axis(labelAngle=-40))
    pages = alt.Y("real_outs:Q", title="pages swapped out so far (cut off at 600 000)")
    bars = alt.Chart().mark_bar(color="#d8d8d8").encode(phase, pages)
    lines = (
        alt.Chart()
        .transform_fold(["slowed_outs", "outs"], as_=["replay", "pages"])
        .transform_calculate(replay="datum.replay == 'outs' ? 'at the pace of the trace' : 'slowed down by its paging'")
        .mark_line(point=True, clip=True)
        .encode(
            phase,
            alt.Y("pages:Q", scale=alt.Scale(domainMax=600_000)),
            alt.Color("replay:N", title="replay", legend=alt.Legend(orient="top")),
        )
    )
    return (
        alt.layer(bars, lines, data=alt.Data(values=shown.to_dicts()))
        .properties(width=200, height=220)
        .facet(alt.Facet("guest:N", title=None, header=alt.Header(labelFontSize=13)), columns=4)
        .properties(title="A real guest behind its balloon (bars) and its replay, by the guest's replacement policy")
    )
