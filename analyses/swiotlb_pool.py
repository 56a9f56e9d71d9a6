"""How large must the pool of bounce buffers be, and does remapping make it smaller?

Method: the table swiotlb of replays with several pool sizes (``remap.pool``) and holding times (``remap.hold``): segments that
found no room, and the most slots in use at a time. A trace does not tell how long a mapping lives, so the holding time is a
parameter to be swept; the default of 200 µs is about the median of mappings in the real DMA captures, of which one in twenty
took over 0.4 to 2.5 ms.
Wants: ``--preset remap`` with several remap.pool and remap.hold.
Source: the Linux kernel's documentation, core-api/swiotlb; Waldspurger 2002, section 7.
"""

import altair as alt
import polars as pl

import tracekit as tk

SLOT = 2048


def table(results: tk.Results) -> pl.LazyFrame:
    """One row a trace, module, hold (µs) and pool (KiB): segments, refused (of them), fragmented (of those refused), peak (KiB)."""
    given = results.params("remap.module", "remap.hold").rename({"remap.module": "module", "remap.hold": "hold"})
    keys = ["trace", "module", "hold", "pool"]
    last = results.swiotlb.sort("t").group_by("trace", "variant").last()
    return (
        last.join(given, on="variant")
        .select(
            "trace",
            "module",
            "segments",
            hold=pl.col("hold").str.strip_suffix("ns").cast(pl.Int64) / 1000,
            pool=pl.col("slots") * SLOT // 1024,
            refused="exhausted",
            fragmented="fragmented",
            peak=pl.col("peak") * SLOT // 1024,
        )
        .sort(keys)
        .select(*keys, "segments", "refused", "fragmented", "peak")
    )


def chart(frame: pl.DataFrame) -> alt.FacetChart:
    """Segments refused by size of the pool, a line a holding time and policy, a panel a trace."""
    shown = frame.with_columns(series=pl.col("module") + ", " + pl.col("hold").cast(pl.Int64).cast(pl.String) + " µs")
    return (
        alt.Chart()
        .mark_line(point=True)
        .encode(
            alt.X("pool:Q", title="pool (KiB)", scale=alt.Scale(type="log", base=2)),
            alt.Y("refused:Q", title="segments that find no room", scale=alt.Scale(type="symlog")),
            alt.Color("series:N", title="policy and holding time"),
        )
        .properties(width=320, height=240)
        .facet("trace:N", data=alt.Data(values=shown.to_dicts()), columns=2)
    )
