"""Figure 5: what the VMs of three hosts in production share (section 4.4).

The recipes ``mix-a``, ``mix-b``, ``mix-c`` are solved for the figure's shared and reclaimed memory and scanned until nearly all
is seen: what is reproduced is how much of it ESX's scan finds. Beside them a real host: six VMs of four kinds
(``six-vms``), every two equal pages shared.
"""

import polars as pl

from tracekit.compare.metrics import last
from tracekit.report.page import axis, bars
from tracekit.repro.figure import READ_OFF, Bench, Outcome, Row
from tracekit.results import Results

TITLE = "Memory shared and reclaimed on hosts in production"
#: Per cent of memory shared and reclaimed.
PAPER = {"A: ten Windows NT": ("mix-a", 42.9, 32.9), "B: nine Linux": ("mix-b", 29.2, 18.7), "C: five Linux": ("mix-c", 10.0, 7.2)}


def reproduce(bench: Bench, memory: str = "51MiB") -> Outcome:
    """Three mixes at a quarter of their size, scanned at the paper's kind of rate, and six real VMs."""
    rows, drawn, zeros = [], [], 0.0
    for name, (recipe, shared, reclaimed) in PAPER.items():
        found = measure(
            bench.replay(bench.synthesize(recipe, memory=memory), {"sharing": {"module": "esx"}, "replay": {"report": "5min"}}, "30min")
        )
        rows.append(Row(f"{name}: shared", found[0], "%", shared, "", READ_OFF, True, True))
        rows.append(Row(f"{name}: reclaimed", found[1], "%", reclaimed, "", READ_OFF, True, True))
        drawn.append(
            bars.Bar(f"{name} (synthetic)", [("between", found[1], "reclaimed")], f"{found[1]:.1f} %; paper {reclaimed} %", reclaimed)
        )
    if files := bench.capture("six-vms"):
        found = measure(bench.replay(files, {"sharing": {"module": "share-everything"}}))
        zeros = found[2]
        rows.append(Row("six real VMs: shared", found[0], "%", None, "10.0 to 42.9 %", READ_OFF, False))
        rows.append(Row("six real VMs: reclaimed", found[1], "%", None, "7.2 to 32.9 %", READ_OFF, False))
        drawn.append(bars.Bar("six real VMs", [("between", found[1], "reclaimed")], f"{found[1]:.1f} %"))
    chart = bars.chart(drawn, axis.Axis("reclaimed, % of memory; the mark is the paper's", 0, 100), width=760)
    off = max(abs(row.deviation or 0.0) for row in rows)
    finding = f"After 30 minutes the scan has found what the recipes hold to within {off:.1f} points of the paper's figures. "
    finding += f"The real VMs share more: {zeros:.0f} % of their memory is pages of zeros." if files else ""
    return Outcome("fig5", TITLE, "section 4.4, Figure 5", bench.how, rows, chart, finding)


def measure(results: Results) -> tuple[float, float, float]:
    """Per cent of the memory shared, reclaimed, and zero at the end."""
    host = last(results.savings.collect()).filter(pl.col("vm") == "*").row(0, named=True)
    shared, reclaimed, zero = (100 * host[name] / host["pages"] for name in ("shared", "reclaimed", "zero"))
    return shared, reclaimed, zero
