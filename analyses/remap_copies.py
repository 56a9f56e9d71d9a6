"""When does remapping hot I/O pages pay, and how hot is hot?

Method: the table copies of replays with several thresholds (``remap.threshold``), by device and phase: the part of the
copied bytes that remapping leaves, forced copies apart; the low pages that it takes; the time that it costs, moves included,
beside the time of bouncing alone. Moving pays for a page that is copied more often than the break-even,
n = move / (bounce + bytes / bandwidth), where ``move`` includes copying the page. Placements (``remap.place``) other than the
captured one show the same transfers on a host that puts pages elsewhere.
Wants: ``--preset remap`` with several remap.threshold, such as 0,1,3,8,32,128.
Source: Waldspurger 2002, section 7, which claims "several orders of magnitude" and has no data.
"""

import altair as alt
import polars as pl

import tracekit as tk

PAGE = 4096


def table(results: tk.Results) -> pl.LazyFrame:
    """One row a trace, placement, device, phase, class and threshold: forced; copied, baseline (bytes); left (part of it); remapped
    (pages); cost and cost_baseline (ms), moves included; break_even (copies of this device's mean size that pay for a move).
    """
    names = ("threshold", "place", "module", "bounce", "bandwidth", "move")
    given = results.params(*(f"remap.{name}" for name in names)).rename({f"remap.{name}": name for name in names})
    costs = given.filter(pl.col("module") == "hot").with_columns(
        threshold=pl.col("threshold").cast(pl.Int64),
        per_row=pl.col("bounce").str.strip_suffix("ns").cast(pl.Int64),
        per_byte=1e9 / pl.col("bandwidth").cast(pl.Int64),
        per_move=pl.col("move").str.strip_suffix("ns").cast(pl.Int64) + PAGE * 1e9 / pl.col("bandwidth").cast(pl.Int64),
    )
    shared = ("trace", "place", "device", "phase", "threshold", "per_row", "per_byte", "per_move")
    rows = results.copies.join(costs, on="variant")
    forced = rows.select(
        *shared, forced=True, copied="forced_bytes", baseline="forced_bytes", bounced="forced", bounces="forced", remapped=0
    )
    by_place = rows.select(
        *shared, forced=False, copied=pl.col("copied_bytes") - pl.col("forced_bytes"),
        baseline=pl.col("baseline_bytes") - pl.col("forced_bytes"), bounced=pl.col("bounced") - pl.col("forced"),
        bounces=pl.col("baseline") - pl.col("forced"), remapped=pl.col("remapped") + pl.col("evicted"),
    )  # fmt: skip
    keys = ["trace", "place", "device", "phase", "forced", "threshold"]
    copying = pl.col("bounces") * pl.col("per_row") + pl.col("baseline") * pl.col("per_byte")
    copies = pl.col("bounced") * pl.col("per_row") + pl.col("copied") * pl.col("per_byte")
    return (
        pl.concat([forced, by_place], how="vertical_relaxed")
        .filter(pl.col("bounces") > 0)
        .with_columns(
            left=pl.col("copied") / pl.col("baseline"),
            cost=(copies + pl.col("remapped") * pl.col("per_move")) / 1e6,
            cost_baseline=copying / 1e6,
            break_even=pl.col("per_move") * pl.col("bounces") / copying,
        )
        .sort(keys)
        .select(*keys, "copied", "baseline", "left", "remapped", "cost", "cost_baseline", "break_even")
    )


def chart(frame: pl.DataFrame) -> alt.VConcatChart:
    """By threshold: part of the copies left, low pages used, and cost beside that of bouncing alone; a colour a device and phase.

    The dashed line is the mean break-even.
    """
    several = pl.col("phase").n_unique().over("trace") > 1
    placed = pl.col("place").n_unique().over("trace") > 1
    shown = frame.with_columns(
        series=pl.col("device")
        + pl.when(several).then(", phase " + pl.col("phase").cast(pl.String)).otherwise(pl.lit(""))
        + pl.when("forced").then(pl.lit(", forced")).otherwise(pl.lit("")),
        panel=pl.col("trace") + pl.when(placed).then(", " + pl.col("place")).otherwise(pl.lit("")),
        relative=pl.col("cost") / pl.col("cost_baseline"),
        threshold=pl.col("threshold") + 1,
        pages=pl.col("remapped").replace(0, None),
    )
    across = alt.X("threshold:Q", title="copies that move a page (threshold + 1)", scale=alt.Scale(type="log"))
    colour = alt.Color("series:N", title="device and phase")
    rows = []
    for name, title, scale in (
        ("left", "part of the copied bytes left", alt.Scale(type="log", clamp=True, domainMin=1e-4)),
        ("pages", "low pages used", alt.Scale(type="log")),
        ("relative", "cost, bouncing alone = 1", alt.Scale(type="log", clamp=True, domainMin=1e-4)),
    ):
        line = alt.Chart().mark_line(point=True).encode(across, alt.Y(f"{name}:Q", title=title, scale=scale), colour)
        even = alt.Chart().mark_rule(strokeDash=[4, 4]).encode(alt.X("mean(break_even):Q"))
        rows.append(
            alt.layer(line, even)
            .properties(width=230, height=160)
            .facet(alt.Facet("panel:N", title=None), data=alt.Data(values=shown.to_dicts()))
        )
    return alt.vconcat(*rows)
