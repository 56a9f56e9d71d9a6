"""How many bits of hash does a table of pages need, and what do collisions cost?

Method: the distinct contents at the end of a trace, known by their digests of 64 bits, cut to fewer: pairs that collide
counted, beside the expected N (N − 1) / 2^(w + 1). A content that collides with another that is listed is never shared, so
at most its duplicates are lost; never is anything shared that differs, because a full compare is always made. From 64
bits on only the expectation is given: contents that collide there look the same in the trace too.
Wants: traces with contents; no replay.
Source: Waldspurger 2002, section 4.2 and footnote 1 ("are collisions fatal?", reviewers asked).
"""

import altair as alt
import numpy as np
import polars as pl
from contents import MIB, last_contents

from tracekit.duplicates import count_values
from tracekit.inspect import expected_collisions
from tracekit.trace import Trace

WIDTHS = (16, 20, 24, 28, 32, 40, 48, 56, 64, 96, 128)
SCHEMA = {
    "trace": pl.String, "bits": pl.Int64, "contents": pl.Int64, "pairs": pl.Int64,
    "expected": pl.Float64, "reclaimed": pl.Float64, "at_risk": pl.Float64,
}  # fmt: skip
#: Bits that contents are told by in the trace.
KNOWN = 64


def table(trace: Trace) -> pl.LazyFrame:
    """One row a width: bits, contents, pairs (that collide), expected, reclaimed (MiB), at_risk (MiB: duplicates of such contents);
    pairs and at_risk are null where they cannot be counted."""
    digest, told, _ = last_contents(trace)
    distinct, copies = count_values(digest[told])
    reclaimed = int(copies.sum()) - len(distinct)
    rows = []
    for bits in WIDTHS:
        expected = expected_collisions(bits, len(distinct))
        if bits >= KNOWN:
            rows.append((trace.name, bits, len(distinct), None, expected, reclaimed / MIB, None))
            continue
        key = distinct & np.uint64((1 << bits) - 1)
        keys, times = count_values(key)
        colliding = np.isin(key, keys[times > 1])
        pairs = int((times.astype(np.int64) * (times.astype(np.int64) - 1) // 2).sum())
        at_risk = int((copies[colliding].astype(np.int64) - 1).sum())
        rows.append((trace.name, bits, len(distinct), pairs, expected, reclaimed / MIB, at_risk / MIB))
    return pl.LazyFrame(rows, schema=SCHEMA, orient="row")


def chart(frame: pl.DataFrame) -> alt.FacetChart:
    """Colliding pairs, counted (points, where there were any) and expected (line), over the width, a panel a trace."""
    base = alt.Chart().encode(alt.X("bits:Q", title="bits of hash"))
    scale, axis = alt.Scale(type="log"), alt.Axis(format="e", tickCount=8)
    expected = base.mark_line().encode(alt.Y("expected:Q", title="colliding pairs", scale=scale, axis=axis))
    counted = base.transform_filter("datum.pairs > 0").mark_point(filled=True, color="black").encode(alt.Y("pairs:Q"))
    return alt.layer(expected, counted, data=alt.Data(values=frame.to_dicts())).facet("trace:N")
