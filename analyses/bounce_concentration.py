"""How concentrated are bounce-buffer copies: how many pages make up how much of the bytes?

Method: the table concentration: bytes that bouncing alone would copy, in the pages that have most, by device and phase; forced
copies apart, since no remapping saves them. Remapping pays where few pages make up nearly everything. A benchmark with one
direct-I/O buffer (fio) is a phase of its own and must not be added to the rest.
Wants: any replay with a remap stage (``--preset remap``).
Source: Waldspurger 2002, section 7, which supposes that few pages are hot and does not show it.
"""

import altair as alt
import polars as pl

import tracekit as tk


def table(results: tk.Results) -> pl.LazyFrame:
    """One row a trace, VM, device, phase, class and number of top pages: top, part (of the bytes), pages, bytes (of all)."""
    first = results.concentration.filter(pl.col("variant") == pl.col("variant").first().over("trace"))
    keys = ["trace", "vm", "device", "phase", "forced", "top"]
    return first.select(*keys, "pages", "bytes", part=pl.col("top_bytes") / pl.col("bytes")).sort(keys)


def chart(frame: pl.DataFrame) -> alt.FacetChart:
    """Part of the bytes by number of top pages, a line a device and phase, a panel a trace; dashed where all is forced."""
    shown = frame.with_columns(series=pl.col("device") + ", phase " + pl.col("phase").cast(pl.String))
    return (
        alt.Chart()
        .mark_line(point=True)
        .encode(
            alt.X("top:Q", title="pages with the most copied bytes", scale=alt.Scale(type="log")),
            alt.Y("part:Q", title="part of the copied bytes"),
            alt.Color("series:N", title="device and phase"),
            alt.StrokeDash("forced:N", title="forced"),
        )
        .properties(width=320, height=240)
        .facet("trace:N", data=alt.Data(values=shown.to_dicts()), columns=2)
    )
