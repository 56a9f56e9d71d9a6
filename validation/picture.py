"""Draws the README's picture from kept results: ``make replay``, then ``python validation/picture.py results docs/picture.svg``."""

import re
import sys
from importlib.resources import files

import polars as pl

import tracekit as tk
from tracekit.report.page import axis, lines
from tracekit.report.page.html import Markup, join, tag
from tracekit.report.page.lines import Series
from tracekit.report.page.memory import states

WIDTH, HEIGHT = 1000, 330


def main(results: str, out: str) -> None:
    found = tk.open(results)
    drawn = [sharing(found), memory(found), sampling(found)]
    wide = WIDTH / len(drawn)
    panels = [place(i * wide, wide, title, about, chart) for i, (title, about, chart) in enumerate(drawn)]
    # The page's own style; an img has no hover and no body.
    style = re.sub(r"@media print \{.*", "", files("tracekit.report.page").joinpath("style.css").read_text(), flags=re.DOTALL)
    plain = (".line", ".area", ".tick", ".note", ".state", ".axis", ".grid", ".unit", ".name", "text")
    needed = (":root", "@media (prefers", "  --", "}", ".c0", ".zero{", ".used{", ".target{", *plain)
    kept = [line for line in style.splitlines() if line.startswith(needed)]
    ground = tag("rect", width=WIDTH, height=HEIGHT, rx=10, style="fill: var(--card)")
    kept += ["svg { overflow: visible; } text { font: 11.5px var(--sans); }", "text.t { font: 600 15px var(--serif); }"]
    kept.append("text.s { fill: var(--soft); }")
    words = tag("style", Markup("\n".join(kept)))
    outside = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH} {HEIGHT}"}
    svg = tag("svg", words, ground, *panels, **outside)
    with open(out, "w") as file:
        file.write(svg)


def place(left: float, wide: float, title: str, about: str, chart: str) -> Markup:
    inner = chart.partition('<g class="tips">')[0] + "</svg>"
    inner = inner.replace("<svg ", f'<svg x="{left + 14:.0f}" y="62" width="{wide - 24:.0f}" height="{HEIGHT - 74}" ', 1)
    at = f"{left + 18:.0f}"
    return join([tag("text", title, x=at, y=26, class_="t"), tag("text", about, x=at, y=46, class_="s"), Markup(inner)])


def sharing(found: tk.Results):
    rows = found.savings.filter(pl.col("trace") == "six-vms", pl.col("vm") == "*").sort("t").collect()
    t, base, series = rows["t"].to_list(), [0] * rows.height, []
    for kind, name in (("zero", "zeros"), ("within", "in a VM"), ("between", "across VMs")):
        top = [a + b for a, b in zip(base, rows[f"possible_{kind}"].to_list())]
        series.append(Series(name, t, top, kind, base=base))
        base = top
    y = axis.memory(float(max(base)))
    return (
        "What six VMs could share",
        "of 1.12 GiB, by what is equal",
        lines.chart(series, axis.time(t[0], t[-1]), y, width=326, height=256),
    )


def memory(found: tk.Results):
    rows = found.allocation.filter(pl.col("trace") == "three-vms").sort("t").collect()
    whole = rows.group_by("t", maintain_order=True).agg(pl.col("resident", "ballooned").sum(), pl.col("state").first())
    t, resident = whole["t"].to_list(), whole["resident"].to_list()
    held = [a + b for a, b in zip(resident, whole["ballooned"].to_list())]
    series = [Series("in memory", t, resident, "resident", base=[0] * len(t)), Series("balloons", t, held, "ballooned", base=resident)]
    strip = states(whole, t[-1])
    y = axis.memory(float(max(held)))
    chart = lines.chart(series, axis.time(t[0], t[-1]), y, width=326, height=256, strip=strip)
    return "What balloons take of three", "guest memory; below, the host's state", chart


def sampling(found: tk.Results):
    rows = found.sampling.filter(pl.col("trace") == "toucher-long").sort("t").collect()
    t = [*(rows["t"] - rows["length"]).to_list(), rows["t"][-1]]
    high, low, truth, acted = ([*rows[name].to_list(), rows[name][-1]] for name in ("high", "low", "active", "estimate"))
    series = [
        Series("95 %", t, high, "band", base=low, step=True), Series("truth", t, truth, "truth", step=True),
        Series("acted on", t, acted, "estimate", step=True),
    ]  # fmt: skip
    chart = lines.chart(series, axis.time(t[0], t[-1]), axis.memory(float(max(high))), width=326, height=256)
    return "What the host believes is in use", "100 pages sampled in 30 s, and the truth", chart


if __name__ == "__main__":
    main(*sys.argv[1:])
