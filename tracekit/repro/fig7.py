"""Figure 7: what an idle and a busy VM hold without and with the idle memory tax (section 5.4).

The recipe ``tax``: two VMs of 256 MB with active sets of 40 and 200 MB (ours) and about 360 MB for both, at a quarter of the
size. The paper's VMs hold 179 MB each without the tax, which equal shares of 358 MB are; with it, equal prices
a page, shares over (active + 4 · idle), put our active sets at 119.0 and 239.0 MB.
"""

import polars as pl

from tracekit.report.cost import slowdowns
from tracekit.report.page import axis, lines
from tracekit.report.page.lines import Series
from tracekit.repro.figure import DERIVED, MIB, READ_OFF, Bench, Outcome, Row
from tracekit.results import Results

TITLE = "An idle VM pays the tax, a busy one gains"
#: MB for both VMs' pages, and what is kept free of it.
TOGETHER, FREE = 358, 0.06


def reproduce(bench: Bench, scale: int = 4, duration: str = "600s") -> Outcome:
    """Memory of both VMs at the end, at rates 0 and 0.75, and what the busy one gains."""
    sizes = {"memory": 256, "active1": 40, "active2": 200}
    files = bench.synthesize("tax", duration=duration, **{name: f"{mib * 1024 // scale}KiB" for name, mib in sizes.items()})
    scenario = {
        "host": {"memory": int(TOGETHER / (1 - FREE) * (1 << 20) / scale) + 2 * (1 << 20)},
        "balloon": {"module": "esx", "zeroing": 2000, "inflate": "2MiB", "deflate": "2MiB"},
        "paging": {"module": "random"},
        "tax": {"module": "esx", "rate": [0, 0.75], "overhead": "1MiB"},
        "replay": {"report": "10s"},
    }
    results = bench.replay(files, scenario)
    held, gain = measure(results, scale)
    rows = [
        Row("idle VM without the tax", held[0.0, "idle"][-1], "MB", 179.0, "", READ_OFF),
        Row("busy VM without the tax", held[0.0, "busy"][-1], "MB", 179.0, "", READ_OFF),
        Row("idle VM with a tax of 75 %", held[0.75, "idle"][-1], "MB", 119.0, "", DERIVED),
        Row("busy VM with a tax of 75 %", held[0.75, "busy"][-1], "MB", 239.0, "", DERIVED),
        Row("the busy VM's gain in speed", gain, "%", None, "dbench gains 30 % and more", READ_OFF),
    ]
    t = [float(value) for value in held["t", ""]]
    colours = {(0.0, "idle"): "c5", (0.0, "busy"): "c0", (0.75, "idle"): "c4", (0.75, "busy"): "c1"}
    drawn = [
        Series(f"{vm}, tax {rate:g}", t, held[rate, vm], css, dashed=not rate) for (rate, vm), css in colours.items() if (rate, vm) in held
    ]
    chart = lines.chart(drawn, axis.time(t[0], t[-1]), axis.Axis("MB held", 0, 256), width=760)
    finding = (
        f"Without the tax both hold half; with it the idle VM keeps {held[0.75, 'idle'][-1]:.0f} MB and the busy one has "
        f"{held[0.75, 'busy'][-1]:.0f} of its 200 MB in use and some to spare. The gain of {gain:.0f} % depends on the price of a page-in."
    )
    return Outcome("fig7", TITLE, "section 5.4, Figure 7", bench.how, rows, chart, finding)


def measure(results: Results, scale: int) -> tuple[dict, float]:
    """MB held over time by (rate, VM), times under ("t", ""); and the gain of the busy VM in per cent."""
    rates = results.params("tax.rate").select("variant", rate=pl.col("tax.rate").cast(pl.Float64))
    frame = results.allocation.join(rates, on="variant").sort("t").collect()
    held: dict = {("t", ""): frame["t"].unique().sort().to_list()}
    for (rate, vm), mine in frame.group_by("rate", "vm", maintain_order=True):
        held[rate, vm] = (mine["resident"] / MIB * scale).to_list()
    slow = slowdowns(results).join(rates, on="variant").filter(pl.col("vm") == "busy").collect()
    taken = dict(slow.select("rate", "slowdown").iter_rows())
    return held, 100 * (taken[0.0] / taken[0.75] - 1)
