"""How much memory must be held back in case sharers write all at once?

Method: at the end of a trace every two equal pages are shared. Then a part of the sharers writes, chosen at random (seed 0),
each write once within a time T. A write needs a frame unless nobody else maps the page any more. The reserve is the frames
needed; without it as many pages are paged out, at the rate that the storm has. Writes to zero pages are counted too.
Wants: traces with contents; no replay.
Source: copy-on-write (Waldspurger 2002, section 4.1); operators of KSM ask how much to hold back against such storms.
"""

import altair as alt
import numpy as np
import polars as pl
from contents import MIB, last_contents

from tracekit.duplicates import count_values
from tracekit.trace import Trace

WRITERS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)


def table(trace: Trace, seconds: float = 60.0) -> pl.LazyFrame:
    """One row a part of the sharers that write: writers (part), shared, saved before, reserve, saved after (MiB), rate (MiB/s)."""
    digest, told, _ = last_contents(trace)
    contents, mappers = count_values(digest[told])
    mappers = mappers[np.argsort(contents)]
    mappers = mappers[mappers > 1].astype(np.int64)
    shared, saved = int(mappers.sum()), int((mappers - 1).sum())
    frame_of = np.repeat(np.arange(len(mappers)), mappers)
    order = np.random.default_rng(0).permutation(shared)
    rows = []
    for part in WRITERS:
        written = np.bincount(frame_of[order[: round(part * shared)]], minlength=len(mappers))
        reserve = int(np.minimum(written, mappers - 1).sum())
        rows.append((trace.name, part, shared / MIB, saved / MIB, reserve / MIB, (saved - reserve) / MIB, reserve / MIB / seconds))
    return pl.LazyFrame(rows, schema=["trace", "writers", "shared", "saved", "reserve", "saved_after", "rate"], orient="row")


def chart(frame: pl.DataFrame) -> alt.FacetChart:
    """Reserve needed and savings left over the part of sharers that write, a panel a trace."""
    return (
        alt.Chart(alt.Data(values=frame.to_dicts()))
        .transform_calculate(**{"reserve needed": "datum.reserve", "still saved": "datum.saved_after"})
        .transform_fold(["reserve needed", "still saved"], as_=["series", "MiB"])
        .mark_line(point=True)
        .encode(
            alt.X("writers:Q", title="sharers that write", axis=alt.Axis(format="%")),
            alt.Y("MiB:Q", title="memory (MiB)"),
            alt.Color("series:N", title=None),
        )
        .facet("trace:N")
    )
