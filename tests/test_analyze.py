"""tracekit analyze: it finds the questions, asks them, and draws what needs no network; also where it is installed."""

import os
import re
import subprocess
import sys
import zipfile

import pytest
from make_trace import write
from run_analysis import ROOT
from run_cli import TRACES, captured, run

import tracekit as tk
from tracekit.report import analyses

CONTENT = TRACES / "six-vms.content.parquet"
OWN = '''"""How many pages does each VM fault in?"""

import altair as alt
import polars as pl


def table(results):
    return results.faults.select("vm", "cold")


def chart(frame):
    return alt.Chart(alt.Data(values=frame.to_dicts())).mark_bar().encode(alt.X("vm:N"), alt.Y("cold:Q"))
'''


@pytest.mark.parametrize("name", sorted(analyses.questions()))
def test_every_analysis_says_question_method_wants_and_source(name):
    analysis = analyses.load(name)
    assert re.search(r"\?$|\.$", analysis.question) and {"Method", "Wants", "Source"} <= set(analysis.about)
    assert analysis.module.table.__doc__ and analysis.module.chart.__doc__


def test_all_files_are_listed_and_have_a_golden_table_or_a_reason():
    files = {path.stem for path in (ROOT / "analyses").glob("*.py")}
    assert files - set(analyses.questions()) == {"contents", "phases"}  # what several share
    golden = {path.stem for path in (ROOT / "tests" / "golden").glob("*.csv")}
    assert set(analyses.questions()) <= golden
    listed = run("analyze").out
    assert "hash_width" in listed and "How many bits of hash" in listed and "contents " not in listed


def test_a_trace_is_asked_and_drawn_without_a_network(tmp_path):
    drawn = {kind: tmp_path / f"x.{kind}" for kind in ("html", "png", "svg")}
    done = run("analyze", "hash_width", CONTENT, *(part for kind, path in drawn.items() for part in (f"--{kind}", path)))
    assert (done.code, done.out) == (0, "")
    page = drawn["html"].read_text()
    assert "How many bits of hash" in page and "six-vms (captured)" in page and len(page) < 2_000_000
    tags = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"https?://|src=|@import|url\(", tags) and tags.count("<script") == 0
    assert drawn["png"].read_bytes().startswith(b"\x89PNG") and drawn["svg"].read_text().startswith("<svg")
    rows = run("analyze", "hash_width", CONTENT, "--format", "csv").out.splitlines()
    assert rows[0].startswith("trace,bits,contents") and len(rows) == 12


def test_names_that_look_like_markup_do_no_harm(tmp_path):
    trace = write(tmp_path / "x.access.parquet", "access", 4, {"</script><b>": 4}, "</script><i>", ppn=range(4), vm=["</script><b>"] * 4)
    (tmp_path / "own.py").write_text(OWN)
    tk.replay(trace, preset="paging", out=tmp_path / "out")
    done = run("analyze", tmp_path / "own.py", tmp_path / "out", "--html", tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text()
    without = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert done.code == 0 and "&lt;/script&gt;" in without and "<script" not in without
    assert without.count("<b>") == 0 and without.count("<i>") == 0


def test_an_analysis_of_ones_own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    tk.replay(captured("three-vms"), preset="paging", until="2s", out=tmp_path / "out")
    done = run("analyze", tmp_path / "own.py", tmp_path / "out")
    assert done.out.startswith("How many pages does each VM fault in?") and "postgres" in done.out
    asked = run("analyze", "savings_over_time", tmp_path / "out")
    assert asked.code == 3 and "no table 'savings'" in asked.err and "it wants any replay with a sharing stage" in asked.err
    asked = run("analyze", "saving_over_time", tmp_path / "out")
    assert asked.code == 3 and "did you mean savings_over_time?" in asked.err
    (tmp_path / "none.py").write_text("")
    assert "has a function table" in run("analyze", tmp_path / "none.py", tmp_path / "out").err
    assert "holds no results" in run("analyze", "savings_over_time", tmp_path / "nowhere").err
    assert "cannot be written" in run("analyze", tmp_path / "own.py", tmp_path / "out", "--svg", tmp_path / "no" / "x.svg").err


def test_without_the_drawing_library_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    for kind in ("html", "png", "svg"):
        done = run("analyze", "hash_width", CONTENT, f"--{kind}", tmp_path / "x")
        assert done.code == 3 and "pip install 'tracekit[png]'" in done.err


def test_an_installed_package_has_the_analyses(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "site")
    code = "import tracekit; from tracekit.report import analyses as a; print(tracekit.__file__, len(a.questions())); a.load('estimators')"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    file, count = done.stdout.split()
    assert file.startswith(str(tmp_path)) and int(count) == len(analyses.questions())
    assert (tmp_path / "site" / "tracekit" / "traces" / "marks" / "toucher-long.tsv").exists()
