"""Figure 2: what it costs a guest to be ballooned down rather than configured with as much (section 3.2).

A synthetic file server of 256 MiB whose file cache is what memory is left (recipe ``dbench``): ballooned to a size, against
configured with it. Overhead is the ratio of times taken, page-ins and page-outs priced by ``tracekit.report.cost``. The paper
ran the real dbench with 40 clients, and its guest's kernel kept more for each page than the 64 bytes of today's struct page.
"""

import polars as pl

from tracekit.report.cost import slowdowns
from tracekit.report.page import axis, lines
from tracekit.report.page.lines import Series
from tracekit.repro.figure import MIB, READ_OFF, TEXT, Bench, Outcome, Row
from tracekit.results import Results

TITLE = "Ballooned down to a size, against configured with it"
SIZES = (128, 160, 192, 224)
#: Overhead in per cent by size in MB: the paper's text has the range, its figure the two ends.
PAPER = {128: 4.4, 224: 1.4}


def reproduce(bench: Bench, duration: str = "120s") -> Outcome:
    """Overheads at four sizes, and the paper's at two."""
    files = bench.synthesize("dbench", duration=duration)
    balloon = {
        "module": ["esx", "native"], "guest": "lru", "inflate": "1GiB", "per_page": 64,
        "targets": [f"0s={size}MiB" for size in SIZES], "memory": [f"{size}MiB" for size in SIZES],
    }  # fmt: skip
    found = overheads(bench.replay(files, {"balloon": balloon, "paging": {"module": "unbounded"}}))
    rows = []
    for size in sorted(found):
        says, source = ("", READ_OFF) if size in PAPER else ("between 1.4 and 4.4 %", TEXT)
        rows.append(Row(f"overhead of ballooning to {size} MB", found[size], "%", PAPER.get(size), says, source))
    sizes = sorted(found)
    x = axis.Axis("memory left of 256, MB", SIZES[0], SIZES[-1])
    y = axis.Axis("overhead, %", 0.0, max(5.0, *found.values()))
    drawn = [
        Series("the paper", list(PAPER), list(PAPER.values()), "paper", dashed=True, dots=True),
        Series("measured (synthetic)", sizes, [found[size] for size in sizes], "c0", dots=True),
    ]
    least, most = found[sizes[-1]], found[sizes[0]]
    finding = (
        f"The less is left, the more the kernel's structures for the missing memory cost: {most:.2f} % at {sizes[0]} MB, {least:.2f} % at "
        f"{sizes[-1]}. The slope is the paper's; the height is not, because this guest's kernel keeps 64 bytes a page and nothing else."
    )
    return Outcome("fig2", TITLE, "section 3.2, Figure 2", bench.how, rows, lines.chart(drawn, x, y, width=760), finding)


def overheads(results: Results) -> dict[int, float]:
    """Overhead in per cent by size in MB: time taken when ballooned over that when configured so."""
    params = results.params("balloon.module").select("variant", module=pl.col("balloon.module").cast(pl.String))
    kept = results.table("balloon").group_by("variant").agg(size=pl.col("target").sort_by("t").last() // MIB)
    frame = slowdowns(results).join(params, on="variant").join(kept, on="variant").collect()
    both = frame.pivot("module", index="size", values="slowdown", aggregate_function="mean").drop_nulls()
    return {int(row["size"]): 100 * (row["esx"] / row["native"] - 1) for row in both.iter_rows(named=True)}
