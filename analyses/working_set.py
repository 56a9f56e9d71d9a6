"""How much memory do the VMs really work with, over which time, where, and do they peak together?

Method: a replay with the preset working-set. Sizes over time are distinct pages used within the window before; the curve is the
mean size of the working set and its miss ratio for every window, from reuse times; the heat map is the part of a band of
addresses used in a period. Memory enough for the peak of the sums serves all VMs together, the sum of the peaks each apart.
Wants: ``--preset working-set``.
Source: Denning 1968; Denning & Schwartz 1972 (the curve); Waldspurger 2002, section 5, shares memory by what is in use.
"""

import altair as alt
import polars as pl

import tracekit as tk

MIB = 256  # pages
KEY = ("variant", "trace", "vm")


def table(results: tk.Results) -> pl.LazyFrame:
    """Rows of four views; sizes and addresses in MiB, times and windows in s.

    *summary*: one row a VM (* is all): window, mean, p50, p95, peak, sum_of_peaks, and correlation, the mean of it with other
    VMs (of *: of all pairs). *size*: vm, t, size. *curve*: vm, window, size, miss_ratio. *heat*: vm, t, t_end, address,
    address_end, used (part of the band). All have variant, trace and view.
    """
    pairs = results.working_set_pairs
    both = pl.concat([pairs, pairs.with_columns(vm="other", other="vm"), pairs.with_columns(vm=pl.lit("*"))])
    correlation = both.group_by(*KEY).agg(pl.col("correlation").mean())
    window, length = pl.col("window") / 1e9, pl.col("length") / 1e9
    start, address = pl.col("t") / 1e9, pl.col("ppn") / MIB
    summary = results.working_set_summary.join(correlation, on=KEY, how="left", maintain_order="left").select(
        *KEY, window, *(pl.col(name) / MIB for name in ("mean", "p50", "p95", "peak", "sum_of_peaks")), "correlation"
    )
    size = results.working_set.select(*KEY, start, window, size=pl.col("pages") / MIB)
    curve = results.working_set_curve.select(*KEY, window, pl.col("size") / MIB, "miss_ratio")
    heat = results.heat.select(
        *KEY,
        t=start,
        t_end=start + length,
        address=address,
        address_end=address + pl.col("pages") / MIB,
        used=pl.col("used") / pl.col("pages"),
    )
    views = {"summary": summary, "size": size, "curve": curve, "heat": heat}
    return pl.concat([frame.with_columns(view=pl.lit(name)) for name, frame in views.items()], how="diagonal")


def chart(frame: pl.DataFrame) -> alt.VConcatChart:
    """Of each trace: a heat map a VM; below it sizes over time with their peaks, the curve, and its misses."""
    groups = frame.group_by("variant", "trace", maintain_order=True)
    drawn = [
        alt.vconcat(_heat(mine), _sizes_and_curve(mine), title=str(trace), spacing=30).resolve_scale(color="independent")
        for (_, trace), mine in groups
    ]
    return alt.vconcat(*drawn, spacing=48).configure_view(stroke=None).configure_title(anchor="start")


def _rows(frame: pl.DataFrame, view: str, *names: str) -> alt.Data:
    return alt.Data(values=frame.filter(pl.col("view") == view).select("vm", *names).to_dicts())


def _vms(frame: pl.DataFrame) -> list[str]:
    """The VMs that have accesses; the sum over all of them only where there are several."""
    return frame.filter(pl.col("view") == "heat")["vm"].unique(maintain_order=True).to_list()


def _heat(frame: pl.DataFrame) -> alt.HConcatChart:
    vms = _vms(frame)
    width, height = (900 - 60 * (len(vms) - 1)) // len(vms), 220
    end, top = frame["t_end"].max(), pl.col("address_end").max().over("vm")
    # Half a pixel wider and higher, so that no seams show between the rectangles.
    frame = frame.with_columns(t_end=pl.col("t_end") + end / width / 2, address_end=pl.col("address_end") + top / height / 2)
    maps = []
    for vm in vms:
        mine = frame.filter(pl.col("vm") == vm)
        maps.append(
            alt.Chart(_rows(mine, "heat", "t", "t_end", "address", "address_end", "used"), title=vm, width=width, height=height)
            .mark_rect(clip=True)
            .encode(
                alt.X("t:Q", title="trace time (s)", scale=alt.Scale(domain=[0, end], nice=False), axis=alt.Axis(grid=False)),
                alt.X2("t_end:Q"),
                alt.Y(
                    "address:Q",
                    title="guest address (MiB)" if vm == vms[0] else None,
                    scale=alt.Scale(domain=[0, mine["address_end"].max()], nice=False),
                    axis=alt.Axis(grid=False),
                ),
                alt.Y2("address_end:Q"),
                alt.Color(
                    "used:Q",
                    title="pages used",
                    scale=alt.Scale(scheme="viridis", type="sqrt", domain=[0, 1]),
                    legend=alt.Legend(format=".0%", gradientLength=150),
                ),
            )
        )
    return alt.hconcat(*maps, spacing=50, bounds="flush")


def _sizes_and_curve(frame: pl.DataFrame) -> alt.HConcatChart:
    vms = _vms(frame)
    shown = [*vms, "*"] if len(vms) > 1 else vms
    frame = frame.filter(pl.col("vm").is_in(shown)).with_columns(pl.col("vm").replace("*", "all VMs"))
    names = ["all VMs" if vm == "*" else vm for vm in shown]
    palette = ["#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#9d755d", "#eeca3b"]
    colors = [palette[i % len(palette)] for i in range(len(vms))] + ["#333333"]
    color = alt.Color("vm:N", title=None, scale=alt.Scale(domain=names, range=colors[: len(names)]))
    window = frame.filter(pl.col("view") == "size")["window"].max()
    over_time = (
        alt.Chart(_rows(frame, "size", "t", "size"), width=380, height=220, title=f"working set of the last {window:g} s over time")
        .mark_line(interpolate="step-before")
        .encode(
            alt.X("t:Q", title="trace time (s)", scale=alt.Scale(domain=[0, frame["t"].max()], nice=False)),
            alt.Y("size:Q", title="MiB"),
            color,
        )
    )
    total = frame.filter((pl.col("view") == "summary") & (pl.col("vm") == "all VMs"))
    if total.height:
        over_time = alt.layer(over_time, *_peaks(total.row(0, named=True)))
    by_window = (
        alt.Chart(_rows(frame, "curve", "window", "size", "miss_ratio"), width=190, height=220)
        .mark_line()
        .transform_filter("datum.window > 0")
    )
    x = alt.X(
        "window:Q", title="window τ (s)", scale=alt.Scale(type="log", nice=False), axis=alt.Axis(tickCount=4, format="~g", grid=False)
    )
    size = by_window.encode(x, alt.Y("size:Q", title="MiB"), color).properties(title="mean size by window")
    misses = by_window.encode(
        x, alt.Y("miss_ratio:Q", title=None, scale=alt.Scale(type="log"), axis=alt.Axis(format="~%", tickCount=4)), color
    )
    return alt.hconcat(over_time, size, misses.properties(title="misses by window"), spacing=50, bounds="flush")


def _peaks(total: dict) -> list[alt.Chart]:
    """Lines at the peak of the sums and at the sum of the peaks."""
    values = [("peak of the sums", total["peak"]), ("sum of the peaks", total["sum_of_peaks"])]
    data = alt.Data(values=[{"what": f"{what} {size:.0f} MiB", "size": size, "up": i} for i, (what, size) in enumerate(values)])
    rules = alt.Chart(data).mark_rule(strokeDash=[4, 3], color="#777777").encode(alt.Y("size:Q"))
    labels = [
        alt.Chart(data)
        .transform_filter(f"datum.up == {i}")
        .mark_text(align="right", dx=-2, dy=7 if i == 0 else -6, color="#555555", fontSize=10)
        .encode(alt.Y("size:Q"), alt.Text("what:N"), x=alt.value(380))
        for i in (0, 1)
    ]
    return [rules, *labels]
