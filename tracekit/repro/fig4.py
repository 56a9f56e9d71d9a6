"""Figure 4: what 1, 2, … 10 identical VMs share (section 4.4).

Twice: ten real clones (the committed capture ``ten-clones``: nginx in VMs of 128 MiB, every two equal pages shared), and the
recipe ``clones``, scanned by ESX's random scan for half an hour as in the paper. The recipe is solved for the paper's four
statements, so that what it shows is how much of them the scan finds.
"""

import polars as pl

from tracekit.compare.metrics import last
from tracekit.report.page import axis, lines
from tracekit.report.page.lines import Series
from tracekit.repro.figure import MIB, TEXT, Bench, Outcome, Row
from tracekit.results import Results

TITLE = "Memory shared and reclaimed by the number of identical VMs"
#: Per cent of the memory of ten VMs; MB that one VM reclaims alone, and the part of zero pages in that.
SHARED, RECLAIMED, ONE, ZERO = 67.0, 60.0, 5.0, 55.0


def reproduce(bench: Bench, memory: str = "40MiB", until: str = "30min") -> Outcome:
    """Shared and reclaimed memory of ten VMs and of one; real and synthetic."""
    rows, drawn, said, more = [], [], [], []
    for files, scenario, end, synthetic in (
        (bench.capture("ten-clones"), {"sharing": {"module": "share-everything"}}, None, False),
        (bench.synthesize("clones", memory=memory), {"sharing": {"module": "esx"}, "replay": {"report": "5min"}}, until, True),
    ):
        if not files:
            continue
        found = measure(bench.replay(files, scenario, end))
        kind = f"synthetic, scanned for {until}" if synthetic else "real clones"
        says = "" if synthetic else "of other guests and another workload"
        rows += [
            Row(f"shared by ten VMs ({kind})", found["shared"], "%", SHARED, says, TEXT, synthetic, synthetic),
            Row(f"reclaimed by ten VMs ({kind})", found["reclaimed"], "%", RECLAIMED, "nearly 60 %", TEXT, synthetic, synthetic),
            Row(f"zero pages, of what one VM reclaims ({kind})", found["zero"], "%", ZERO, "about 55 %", TEXT, synthetic, synthetic),
        ]
        if synthetic:
            rows.append(Row(f"reclaimed by one VM alone ({kind})", found["one"], "MB", ONE, "nearly 5 MB", TEXT, True, True))
        parts = found["curve"]
        drawn.append(Series(kind, list(range(1, len(parts) + 1)), parts, "c1" if synthetic else "c0", dots=True))
        more.append(f"{min(found['brings']):.1f} to {max(found['brings']):.1f} MB ({kind})")
        said.append(f"{found['reclaimed']:.1f} % ({kind})")
    drawn.append(Series("the paper: nearly 60 %", [len(drawn[0].x)], [RECLAIMED], "paper", dots=True))
    chart = lines.chart(drawn, axis.Axis("identical VMs", 1, len(drawn[0].x)), axis.Axis("reclaimed, % of memory", 0, 100), width=760)
    finding = f"Ten VMs reclaim {' and '.join(said)}. From the second VM on each brings {' or '.join(more)}: as linear as these are near."
    return Outcome("fig4", TITLE, "section 4.4, Figure 4", bench.how, rows, chart, finding)


def measure(results: Results) -> dict:
    """Of the last moment: per cent shared, reclaimed; one VM's MB and part of zero pages; the curve over the first n VMs.

    A VM is charged for a frame if it maps it first, so that what the first n VMs reclaim adds up to what they would alone.
    """
    final = last(results.savings.collect())
    host, vms = final.filter(pl.col("vm") == "*").row(0, named=True), final.filter(pl.col("vm") != "*")
    order = [name.partition("=")[0] for name in results.runs.collect()["vms"][0].split(" ")]
    by_vm = {row["vm"]: row for row in vms.iter_rows(named=True)}
    first, pages, reclaimed, curve = by_vm[order[0]], 0, 0, []
    brings = [by_vm[vm]["reclaimed"] / MIB for vm in order[1:]] or [0.0]
    for vm in order:
        pages, reclaimed = pages + by_vm[vm]["pages"], reclaimed + by_vm[vm]["reclaimed"]
        curve.append(100 * reclaimed / pages)
    return {
        "shared": 100 * host["shared"] / host["pages"], "reclaimed": 100 * host["reclaimed"] / host["pages"],
        "curve": curve, "brings": brings, "one": first["reclaimed"] / MIB,
        "zero": 100 * first["reclaimed_zero"] / first["reclaimed"] if first["reclaimed"] else 0.0,
    }  # fmt: skip
