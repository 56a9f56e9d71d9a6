"""The page of results: whole, small, without a request, harmless whatever a trace's names are; and in a browser, where there is one."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import polars as pl
import pytest
from make_trace import write
from run_cli import captured, run

from tracekit.errors import TracekitError
from tracekit.report.page import axis, page
from tracekit.report.page.html import escape, tag
from tracekit.report.page.lines import Series, chart
from tracekit.report.spark import spark
from tracekit.results import open_results

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TAGS = set("html head meta title style body nav span a main header h1 h2 h3 h4 p section div b i ul li code details summary".split())  # noqa: SIM905
TAGS |= set("table thead tbody tr th td figure figcaption svg g path line rect circle text image".split())  # noqa: SIM905
HOSTILE = '<script src="http://x.example/x.js">alert(1)</script>\'" onload=alert(1) &amp; \u202egnp'


class Reader(HTMLParser):
    """Every tag, attribute and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.ids, self.links, self.texts, self.open = set(), set(), set(), [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, name, attributes):
        self.tags.add(name)
        self.attributes |= {(key, name) for key, _ in attributes}
        found = dict(attributes)
        self.ids.add(found.get("id"))
        self.links += [value for key, value in attributes if key in ("href", "src")]
        if name != "meta":
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        self.texts.append(data)


def check(text):
    """A page that asks for nothing and can do nothing; returns what it says."""
    read = Reader(text)
    assert read.tags <= TAGS
    assert not [name for name, _ in read.attributes if name.startswith("on") or name == "style"]
    for link in read.links:
        assert link.startswith("data:image/png;base64,") or (link.startswith("#") and link[1:] in read.ids), link
    assert "url(" not in text and "@import" not in text
    assert "default-src 'none'" in text and len(text) < 3_000_000
    return "\n".join(read.texts)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Results of a capture with contents, accesses and events, and of one with transfers."""
    folder = tmp_path_factory.mktemp("results")
    assert run("replay", *captured("three-vms"), *captured("dma-high"), "-o", folder).code == 0
    return folder


@pytest.fixture(scope="module")
def text(kept, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    done = run("report", kept, "-o", out)
    assert (done.code, done.out) == (0, f"{out}\n")
    return out.read_text()


def test_a_page_has_all_sections_and_what_was_found(text, kept):
    said = check(text)
    for part in (
        "At a glance", "three-vms", "dma-high", "Sharing:", "Memory:", "Who paid:", "Accuracy:", "Copies:", "Parameters",
        "Where the numbers come from", "What sharing could save, and what the scan had found", "The host is in state",
        "What each VM holds, and should hold", "95 % interval", "make up half of what", "Copies before and after", "What it cannot tell",
        "sharing.rate", "pages/s", "digest of its files",
    ):  # fmt: skip
        assert part in said, part
    runs = open_results(kept).runs.collect()
    for column in ("source", "created", "tracekit"):
        assert all(value in said for value in runs[column])
    last = open_results(kept).savings.filter(pl.col("vm") == "*").collect()[-1]
    assert f"{last['possible_reclaimed'].item() / 256:.0f} MiB of 511 MiB could be saved" in said


def test_names_that_are_markup_stay_text(kept, tmp_path):
    """Every name that a trace brings, in every table, made hostile."""
    shutil.copytree(kept, tmp_path / "hostile")
    names = {"nginx": HOSTILE, "three-vms": f"trace {HOSTILE}", "ata_piix": f"device {HOSTILE}"}
    for file in (tmp_path / "hostile").glob("*/*.parquet"):
        frame = pl.read_parquet(file)
        frame.with_columns(pl.col(pl.String).str.replace_many(list(names), list(names.values()))).write_parquet(file)
    said = check(page(open_results(tmp_path / "hostile"), title=f"{HOSTILE} title"))
    assert said.count('<script src="http://x.example/x.js">alert(1)</script>') > 20
    assert "\u202e" not in said  # text that runs backwards could pass for something else


def test_variants_stand_side_by_side(tmp_path):
    rows = {"t": [i * 10**7 for i in range(400)], "ppn": [i * i % 23 for i in range(400)]}
    trace = write(tmp_path / "tiny.access.parquet", "access", 400, {"a": 32}, "tiny", **rows)
    assert run("replay", trace, "--preset", "paging", "--set", "paging.frames=4,8,16", "-o", tmp_path / "r").code == 0
    said = check(page(open_results(tmp_path / "r")))
    assert "Variants side by side" in said and "3 variants" in said and "Misses by memory and policy" in said
    assert "least is waited for with paging.frames=16" in said


UNCOMPILED = """
import sys, tracekit as tk
trace, out = sys.argv[1:]
tk.replay(trace, preset="tier", settings=["tier.module=tpp,static", "tier.near=64KiB"], out=out)
tk.replay(trace, preset="swap", settings=["paging.frames=8", "swap.module=disk,zswap"], out=out)
tk.replay(trace, preset="estimators", settings=["replay.report=500ms"] + [
    f"estimate_{name}.window=1s" for name in ("esx", "bitmap", "kstaled", "damon", "dirty", "curve")], out=out)
"""


def test_tiers_swap_and_estimators_have_sections(tmp_path):
    """Replayed without the compiler: what is replayed is 400 rows, and these drivers nobody else compiles."""
    rows = {"t": [i * 10**8 for i in range(400)], "ppn": [i * i % 23 for i in range(400)], "write": [i % 3 == 0 for i in range(400)]}
    trace = write(tmp_path / "tiny.access.parquet", "access", 400, {"a": 32}, "tiny", **rows)
    command = [sys.executable, "-c", UNCOMPILED, str(trace), str(tmp_path / "r")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=os.environ | {"NUMBA_DISABLE_JIT": "1"})
    assert done.returncode == 0, done.stderr
    said = check(page(open_results(tmp_path / "r")))
    for part in (
        "Average latency of an access",
        "Where paged-out pages are at the end",
        "Estimates beside the truth",
        "is nearest, off by",
    ):
        assert part in said, part


def test_traces_that_were_not_replayed_are_refused(kept, tmp_path):
    done = run("report", kept, *captured("six-vms"), "-o", tmp_path / "x.html")
    assert done.code == 3 and "six-vms: these results are not of this trace" in done.err and "three-vms" in done.err
    assert run("report", tmp_path / "none", "-o", tmp_path / "x.html").code == 3
    done = run("report", kept, "-o", tmp_path / "no" / "x.html")
    assert done.code == 3 and "cannot be written there" in done.err


def test_traces_add_heat_working_sets_and_curves(tmp_path):
    rows = {"t": [i * 10**8 for i in range(400)], "ppn": [i * i % 23 for i in range(400)]}
    trace = write(tmp_path / "tiny.access.parquet", "access", 400, {"a": 32}, "tiny", **rows)
    assert run("replay", trace, "--preset", "paging", "--set", "paging.frames=4", "-o", tmp_path / "r").code == 0
    assert run("report", tmp_path / "r", trace, "-o", tmp_path / "x.html").code == 0
    said = check((tmp_path / "x.html").read_text())
    assert "Where the heat is" in said and "Misses at every size of memory" in said and "Pages used within the last 10 s" in said


def test_what_is_not_markup_is_escaped():
    assert tag("p", "<b>", tag("i", 1 < 2), title='"') == '<p title="&quot;">&lt;b&gt;<i>True</i></p>'
    assert escape("a\x00\x1b[31m\u202e") == "a\ufffd\ufffd[31m\ufffd"
    with pytest.raises(TracekitError):
        open_results("/nowhere")


def test_a_line_lies_where_its_values_are():
    """Against places worked out by hand: a plot of 486 by 190 within 14 + 46 and 24 + 36."""
    x, y = axis.Axis("x", 0, 10), axis.Axis("y", 0, 100)
    drawn = chart([Series("", [0, 5, 10], [0, 50, None], "c0")], x, y)
    assert 'd="M46,214L296,119"' in drawn  # 46 + 500 / 2; 214 − 190 / 2; nothing where nothing is known
    stepped = chart([Series("", [0, 5, 10], [10, 20, 20], "c0", base=[0, 0, 0], step=True)], x, y)
    assert 'd="M46,195H296V176H546V176V214H296V214H46Z"' in stepped


def test_a_long_line_is_short_and_keeps_its_peaks():
    y = [0.0] * 100_000
    y[777] = 100.0
    drawn = chart([Series("", list(range(100_000)), y, "c0")], axis.Axis("x", 0, 100_000), axis.Axis("y", 0, 100))
    assert len(drawn) < 30_000 and ",24" in drawn  # the peak lies at the top of the plot
    gap = chart(
        [Series("", list(range(1000)), [None if 400 < i < 600 else 1.0 for i in range(1000)], "c0")],
        axis.Axis("x", 0, 999),
        axis.Axis("y", 0, 2),
    )
    assert gap.count("M46") == 1 and gap.count('class="line') == 2


def test_marks_are_round_and_within_the_axis():
    assert axis.Axis("", 0, 94).ticks(4) == [0, 20, 40, 60, 80]
    assert axis.Axis("", 0.002, 0.9, log=True).ticks() == [0.01, 0.1]
    assert axis.memory(256 * 1000).show(256 * 384) == "384" and axis.memory(256 * 2000).title == "GiB"
    assert [axis.Axis("", 0, 2).show(v) for v in (0, 0.5, 1234, 12.34)] == ["0", "0.5", "1\u2009234", "12.3"]
    assert axis.part(0.3).show(0.125) == "12.5\u2009%"


def test_a_plot_in_a_table_has_a_height_an_eighth():
    assert spark([1, 2, 3, 4, 5, 6, 7, 8]) == "▁▂▃▄▅▆▇█"
    assert spark([0, 50, None, 100], 100) == "▁▄ █"
    assert len(spark(list(range(1000)))) == 12 and spark([3]) == "" and spark([0, 0]) == "▁▁"


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here to open the page with")
def test_a_browser_opens_the_page_in_two_seconds_without_a_request_or_complaint(text, tmp_path):
    (tmp_path / "page.html").write_text(text)
    # What the page may not do by its own policy, this copy does: it says how long it took, and whether it is too wide.
    probe = """<script>addEventListener("load", () => setTimeout(() => { const d = document.documentElement, t = performance.timing;
        d.dataset.ms = t.loadEventEnd - t.navigationStart; d.dataset.wide = d.scrollWidth - innerWidth;
        d.dataset.requests = performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:")).length }))</script>"""
    measured = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text).replace("</head>", f"{probe}</head>")
    (tmp_path / "measured.html").write_text(measured)

    def opened(name):
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1366,900", f"--user-data-dir={tmp_path / 'profile'}"]
        done = subprocess.run(
            [CHROMIUM, *options, "--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom", f"file://{tmp_path / name}"],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    _, complaints = opened("page.html")
    assert not complaints
    seen = dict(re.findall(r'data-(ms|wide|requests)="(-?\d+)"', opened("measured.html")[0]))
    assert int(seen["requests"]) == 0 and int(seen["wide"]) <= 0
    assert int(seen["ms"]) < 2000
