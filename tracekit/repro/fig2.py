"""Figure 2: what it costs a guest to be ballooned down rather than configured with as much (section 3.2).

A synthetic file server of 256 MiB whose file cache is what memory is left (recipe ``dbench``): ballooned to a size, against
configured with it, as the analysis ``balloon_cost`` compares them. The paper's text has the range of overheads, its figure the
two ends. It ran the real dbench with 40 clients, and its guest's kernel kept more for each page than the 64 bytes of today's
struct page.
"""

from tracekit.report import analyses
from tracekit.report.page import axis, lines
from tracekit.report.page.lines import Series
from tracekit.repro.figure import READ_OFF, TEXT, Bench, Outcome, Row

TITLE = "Ballooned down to a size, against configured with it"
CONFIGURED = 256
SIZES = (128, 160, 192, 224)


def reproduce(bench: Bench, duration: str = "120s") -> Outcome:
    """Overheads at four sizes, and the paper's at two."""
    files = bench.synthesize("dbench", duration=duration)
    balloon = {
        "module": ["esx", "native"], "guest": "lru", "inflate": "1GiB", "per_page": 64,
        "targets": [f"0s={size}MiB" for size in SIZES], "memory": [f"{size}MiB" for size in SIZES],
    }  # fmt: skip
    analysis = analyses.load("balloon_cost")
    paper = {round(part * CONFIGURED): overhead for part, overhead in analysis.module.PAPER.items()}
    answer = analysis.ask(bench.replay(files, {"balloon": balloon, "paging": {"module": "unbounded"}}))
    found = {round(size): overhead for size, overhead in answer.select("size", "overhead").iter_rows()}
    rows = []
    for size in sorted(found):
        says, source = ("", READ_OFF) if size in paper else ("between 1.4 and 4.4 %", TEXT)
        rows.append(Row(f"overhead of ballooning to {size} MB", found[size], "%", paper.get(size), says, source))
    sizes = sorted(found)
    x = axis.Axis(f"memory left of {CONFIGURED}, MB", SIZES[0], SIZES[-1])
    y = axis.Axis("overhead, %", 0.0, max(5.0, *found.values()))
    drawn = [
        Series("the paper", list(paper), list(paper.values()), "paper", dashed=True, dots=True),
        Series("measured (synthetic)", sizes, [found[size] for size in sizes], "c0", dots=True),
    ]
    least, most = found[sizes[-1]], found[sizes[0]]
    finding = (
        f"The less is left, the more the kernel's structures for the missing memory cost: {most:.2f} % at {sizes[0]} MB, {least:.2f} % at "
        f"{sizes[-1]}. The slope is the paper's; the height is not, because this guest's kernel keeps 64 bytes a page and nothing else."
    )
    return Outcome("fig2", TITLE, "section 3.2, Figure 2", bench.how, rows, lines.chart(drawn, x, y, width=760), finding)
