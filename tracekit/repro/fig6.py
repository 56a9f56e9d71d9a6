"""Figure 6: the sampled estimate of memory in use beside the truth, as a program touches more and less (section 5.3).

The committed capture of a real VM (``toucher-long``); where there is no checkout, the recipe ``toucher``. The paper shows the
figure and no error; its method has one, by arithmetic: n pages of P are sampled, so the standard error of t/n is
√(f(1−f)/n · (P−n)/(P−1)), and 95 % of the intervals should hold the truth.
"""

import polars as pl

from tracekit.report.page import axis, lines
from tracekit.report.page.lines import Series
from tracekit.repro.figure import DERIVED, TEXT, Bench, Outcome, Row

TITLE = "Memory in use, sampled, and what the host acts on"


def reproduce(bench: Bench, seeds: int = 4, phase: str = "90s") -> Outcome:
    """Coverage and error of the samples over several seeds, and how the estimate follows steps up and down."""
    files = bench.capture("toucher-long")
    synthetic = not files
    tax = {"module": "esx"}
    results = bench.replay(files or bench.synthesize("toucher", phase=phase), {"tax": tax}, seeds=seeds)
    pages = int(results.runs.collect()["vms"][0].rpartition("=")[2])
    frame = results.sampling.filter(pl.col("stage") == "tax").sort("variant", "t").collect()
    frame = frame.with_columns(sampled=pl.col("touched") / pl.col("n") * pages)
    covered = 100 * float(((frame["low"] <= frame["active"]) & (frame["active"] <= frame["high"])).mean() or 0)  # pyright: ignore[reportArgumentType]
    error = float(((frame["sampled"] - frame["active"]) ** 2).mean() or 0) ** 0.5  # pyright: ignore[reportArgumentType]
    closed = float((frame["error"] ** 2).mean() or 0) ** 0.5  # pyright: ignore[reportArgumentType]
    step = pl.col("active") - pl.col("active").shift(1).over("variant")
    off = frame.with_columns(step=step, off=100 * (pl.col("estimate") - pl.col("active")) / pages)
    up = float(off.filter(pl.col("step") > 0.1 * pages)["off"].mean() or 0)  # pyright: ignore[reportArgumentType]
    down = float(off.filter(pl.col("step") < -0.1 * pages)["off"].mean() or 0)  # pyright: ignore[reportArgumentType]
    mib = pages / 256
    rows = [
        Row("periods whose 95 % interval holds the truth", covered, "%", 95.0, "", DERIVED, synthetic),
        Row("standard error of a sample, of memory", 100 * error / pages, "%", 100 * closed / pages, "", DERIVED, synthetic),
        Row("estimate less truth in the period of a step up, of memory", up, "%", None, "follows the fast average up", TEXT, synthetic),
        Row(
            "estimate less truth in the period of a step down, of memory", down, "%", None, "follows the slow average down", TEXT, synthetic
        ),
    ]
    first = frame.filter(pl.col("variant") == pl.col("variant").first())
    t = [*(first["t"] - first["length"]).to_list(), first["t"][-1]]

    def held(name: str) -> list[float]:
        return [*first[name].to_list(), first[name][-1]]

    drawn = [
        Series("95 % interval", t, held("high"), "band", base=held("low"), step=True),
        Series("acted on", t, held("estimate"), "estimate", step=True),
        Series("truth", t, held("active"), "truth", step=True),
    ]
    most = float(first.select(pl.max_horizontal("high", "active", "estimate").max()).item())
    chart = lines.chart(drawn, axis.time(t[0], t[-1]), axis.memory(most), width=760)
    finding = (
        f"Over {seeds} seeds {covered:.1f} % of the intervals hold the truth, and a sample is off by {mib * error / pages:.1f} MiB of "
        f"{mib:.0f}, where arithmetic says {mib * closed / pages:.1f}. What the host acts on is {abs(down):.0f} % of memory above the "
        f"truth when use has just fallen, and {abs(up):.0f} % {'below' if up < 0 else 'above'} it when it has just risen."
    )
    return Outcome("fig6", TITLE, "section 5.3, Figure 6", bench.how, rows, chart, finding)
