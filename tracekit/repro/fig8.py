"""Figure 8: five VMs on a host overcommitted by half: boot, work, one falls idle and comes back (section 6.4).

The recipe ``boot5`` at a sixteenth of the size, under sharing, balloon, random paging and the taxed allocation, scaled back.
"""

import polars as pl

from tracekit.report.page import axis, lines
from tracekit.report.page.lines import Series
from tracekit.repro.figure import MIB, READ_OFF, TEXT, Bench, Outcome, Row
from tracekit.results import Results

TITLE = "Five VMs on a host that is overcommitted by 59 %"
BOOT = 60e9


def reproduce(bench: Bench, scale: int = 16) -> Outcome:
    """The peaks that the paper tells of, and the idle SQL VM's memory."""
    files = bench.synthesize("boot5", small=f"{256 // scale}MiB", large=f"{320 // scale}MiB")
    least = [{"name": "exchange*", "min": f"{128 // scale}MiB"}, {"name": "citrix*", "min": f"{160 // scale}MiB"}]
    scenario = {
        "host": {"memory": f"{1024 // scale}MiB"},
        "vm": [*least, {"name": "sql", "min": f"{160 // scale}MiB"}],
        "sharing": {"module": "esx"},
        "balloon": {"module": "esx", "load": "60s", "inflate": "4MiB", "deflate": "4MiB"},
        "paging": {"module": "random"},
        "tax": {"module": "esx", "overhead": f"{32 // scale}MiB"},
        "replay": {"report": "10s"},
    }
    results = bench.replay(files, scenario)
    found = measure(results, scale)
    rows = [
        Row("zero pages shared while booting", found["booting"], "MB", 325.0, "before being swapped", TEXT),
        Row("most memory paged out", found["swap"], "MB", 35.0, "", TEXT),
        Row("paged out at the end", found["swap_end"], "MB", None, "below 20 MB", TEXT),
        Row("most memory that all VMs hold, on a host of 1024 MB", found["held"], "MB", 1200.0, "almost 1200 MB", READ_OFF),
        Row("the idle SQL VM", found["idle"], "MB", 160.0, "falls to its min", READ_OFF),
        Row("the SQL VM after the query, above that", found["after"] - found["idle"], "MB", None, "rises again", READ_OFF),
    ]
    host, sql = found["host"], found["sql"]
    t = host["t"].to_list()
    drawn = [
        Series("held by all VMs", t, (host["resident"] / MIB * scale).to_list(), "c0"),
        Series("ballooned", t, (host["ballooned"] / MIB * scale).to_list(), "c4"),
        Series("saved by sharing", t, (host["saved"] / MIB * scale).to_list(), "c2"),
        Series("paged out", t, (host["swapped"] / MIB * scale).to_list(), "c1"),
        Series("SQL VM", sql["t"].to_list(), (sql["resident"] / MIB * scale).to_list(), "c3"),
    ]
    most = max(max(value or 0.0 for value in series.y) for series in drawn)
    chart = lines.chart(drawn, axis.time(t[0], t[-1]), axis.Axis("MB", 0, most * 1.04), width=760, height=320)
    finding = (
        f"At boot {found['booting']:.0f} MB of zeros are shared; at most {found['swap']:.0f} MB are paged out, {found['when']:.0f} s after "
        f"it began (programs come up from 60 to 120 s). All VMs hold {found['held']:.0f} MB on 1024; the idle SQL VM falls to "
        f"{found['idle']:.0f}."
    )
    return Outcome("fig8", TITLE, "section 6.4, Figure 8", bench.how, rows, chart, finding)


def measure(results: Results, scale: int) -> dict:
    """Peaks in MB at full size, and the rows that the chart shows."""
    host = results.table("host").filter(pl.col("why") == "report").sort("t").collect()
    sql = results.allocation.filter(pl.col("vm") == "sql").sort("t").collect()

    def size(value: object) -> float:
        return float(value or 0) / MIB * scale  # pyright: ignore[reportArgumentType]

    low = sql.filter(pl.col("t") > 2 * BOOT).sort("resident").row(0, named=True)
    return {
        "host": host, "sql": sql,
        "booting": size(host.filter(pl.col("t") <= BOOT)["saved"].max()), "swap": size(host["swapped"].max()),
        "when": host.sort("swapped")["t"][-1] / 1e9, "swap_end": size(host["swapped"][-1]),
        "held": size(host["resident"].max()), "idle": size(low["resident"]),
        "after": size(sql.filter(pl.col("t") > low["t"])["resident"].max()),
    }  # fmt: skip
