"""The contract of the command line, checked from outside."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from make_trace import write
from run_cli import captured, run, start

import tracekit

COMMANDS = (
    "",
    "replay",
    "compare",
    "sql",
    "check",
    "inspect",
    "modules",
    "mrc",
    "synth",
    "import",
    "filter",
    "sample",
    "merge",
    "shift",
    "scale",
    "anonymize",
    "convert",
)

#: Columns that scripts may rely on.
PROMISED = {
    "savings": "pages shared reclaimed zero distinct possible_shared possible_reclaimed scanned breaks",
    "sampling": "active n touched estimate slow fast low high",
    "copies": "device transfers bytes bounced copied_bytes forced_bytes remapped baseline_bytes",
    "remaps": "remapped evicted again low copied_bytes saved_bytes",
    "swiotlb": "slots used peak segments exhausted fragmented",
    "concentration": "device phase forced top top_bytes pages bytes",
    "faults": "accesses cold major minor double_paged page_outs",
    "allocation": "min max shares target resident ballooned swapped active price state",
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A trace of 4 s: two VMs of 16 pages, touched at random."""
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("traces") / "tiny.access.parquet"
    vm = ["a" if i % 2 else "b" for i in range(400)]
    return write(path, "access", 400, {"a": 16, "b": 16}, "tiny", t=np.arange(400) * 10**7, vm=vm, ppn=rng.integers(0, 16, 400))


def paging(trace, *more):
    """Rows of the faults table of a small replay."""
    done = run("replay", trace, "--preset", "paging", "--format", "json", "--table", "faults", *more)
    assert done.code == 0, done.err
    return json.loads(done.out)


def figures(rows):
    """Rows without what names the variant."""
    return [{name: value for name, value in row.items() if name != "variant"} for row in rows]


# ---------------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_command(command):
    done = run(*command.split(), "--help")
    assert done.code == 0
    assert "Usage" in done.out


def test_help_imports_nothing_heavy():
    code = """import sys
from typer.testing import CliRunner
from tracekit import cli
assert CliRunner().invoke(cli.app, ["--help"]).exit_code == 0
print([name for name in ("numba", "numpy", "altair", "polars", "pyarrow") if name in sys.modules])"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_version():
    assert run("--version").out == f"tracekit {tracekit.__version__}\n"


def test_shell_completion():
    done = start("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1").communicate(timeout=60)
    assert b"complete" in done[0], done[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay"], ["nope"], ["replay", "x", "--nope"], ["replay", "x", "--format", "xml"], ["replay", "x", "--format", "csv"],
        ["replay", "x", "--format", "parquet"], ["replay", "x", "--jobs", "0"], ["replay", "x", "--chunk", "many"], 
        ["import", "x"],
    ],
)  # fmt: skip
def test_wrong_usage_is_exit_2(arguments):
    done = run(*arguments)
    assert done.code == 2
    assert not done.out
    assert "Usage" in done.err


# ---------------------------------------------------------------------------------------------------- replay


@pytest.fixture(scope="module")
def whole():
    """The documents of a capture that has content, accesses and events, and of one that has transfers."""
    return [json.loads(run("replay", *captured(name), "--format", "json").out) for name in ("three-vms", "dma-high")]


def test_json_is_one_document_of_variants_and_tables(whole):
    for document in whole:
        assert list(document) == ["variants", "tables"]
        assert {tuple(row) for row in document["variants"]} == {("variant", "stage", "param", "value")}
        chosen = {row["stage"]: row["value"] for row in document["variants"] if row["param"] == "module"}
        assert chosen == {"sharing": "esx", "balloon": "esx", "paging": "random", "tax": "esx", "remap": "hot"}


@pytest.mark.parametrize("table", PROMISED)
def test_tables_have_the_promised_columns(whole, table):
    (rows,) = [document["tables"][table] for document in whole if document["tables"].get(table)]
    for row in rows:
        assert list(row)[:4] == ["variant", "trace", "t", "vm"]
        assert set(PROMISED[table].split()) <= set(row)


def test_savings_end_with_the_host(whole):
    rows = [row for row in whole[0]["tables"]["savings"] if row["t"] == max(row["t"] for row in whole[0]["tables"]["savings"])]
    host, vms = [row for row in rows if row["vm"] == "*"], [row for row in rows if row["vm"] != "*"]
    assert len(host) == 1
    for name in ("pages", "shared", "reclaimed", "zero", "distinct", "possible_shared", "possible_reclaimed"):
        assert host[0][name] == sum(row[name] for row in vms), name


def test_a_table_alone_in_every_format(tiny):
    rows = paging(tiny)
    arguments = ("replay", tiny, "--preset", "paging", "--table", "faults", "--format")
    assert pl.read_csv(io.BytesIO(run(*arguments, "csv").raw)).to_dicts() == rows
    assert pl.read_parquet(io.BytesIO(run(*arguments, "parquet").raw)).to_dicts() == rows
    assert all(row["vm"] in run(*arguments, "table").out for row in rows)


def test_json_has_no_nan(tiny):
    def refuse(text):
        raise AssertionError(f"{text} is no JSON")

    json.loads(run("replay", tiny, "--format", "json").out, parse_constant=refuse)


def test_values_listed_in_set_are_a_sweep(tiny):
    done = run("replay", tiny, "--preset", "paging", "--set", "paging.frames=4,8", "--set", "paging.module=random,lru", "--format", "json")
    document = json.loads(done.out)
    assert len({row["variant"] for row in document["variants"]}) == 4
    for frames in (4, 8):
        variants = {row["variant"] for row in document["variants"] if (row["param"], row["value"]) == ("frames", str(frames))}
        alone = paging(tiny, "--set", f"paging.frames={frames}") + paging(
            tiny, "--set", f"paging.frames={frames}", "--set", "paging.module=lru"
        )
        assert [row for row in document["tables"]["faults"] if row["variant"] in variants] == alone


def test_a_scenario_file_does_what_settings_do(tiny, tmp_path):
    scenario = tmp_path / "s.toml"
    scenario.write_text('[host]\nmemory = "32KiB"\n[paging]\nmodule = ["random", "lru"]\n')
    assert paging(tiny, "-s", scenario) == paging(tiny, "--memory", "32KiB", "--set", "paging.module=random,lru")


def test_memory_is_that_of_the_host(tiny):
    assert figures(paging(tiny, "--memory", "32KiB")) == figures(paging(tiny, "--set", "paging.frames=8"))
    assert (
        sum(row["major"] for row in paging(tiny, "--memory", "16KiB")) > sum(row["major"] for row in paging(tiny, "--memory", "64KiB")) > 0
    )
    assert sum(row["major"] for row in paging(tiny, "--memory", "1GiB")) == 0


def test_until_cuts_short_and_runs_on(tiny):
    for until, end, accesses in (("2s", 2 * 10**9, 201), ("1h", 3600 * 10**9, 400), ("3990ms", 3990 * 10**6, 400)):
        rows = paging(tiny, "--until", until)
        assert {row["t"] for row in rows} == {end}
        assert sum(row["accesses"] for row in rows) == accesses


@pytest.mark.slow
def test_a_scanner_goes_on_after_the_last_row():
    def found(*more):
        rows = json.loads(
            run("replay", *captured("ten-clones"), "--preset", "sharing", "--format", "json", "--table", "savings", *more).out
        )
        return rows[-1]["reclaimed"]

    fast = ("--set", "sharing.rate=2000", "--set", "sharing.total=20000")
    assert found("--until", "2min", *fast) > 1.2 * found(*fast) > 0


def test_seed_decides_and_chunk_and_jobs_do_not(tiny):
    sweep = ("--set", "paging.frames=5,9,13")
    rows = paging(tiny, *sweep)
    assert paging(tiny, *sweep) == rows
    assert (
        paging(tiny, *sweep, "--chunk", 1) == paging(tiny, *sweep, "--chunk", 37, "--jobs", 1) == paging(tiny, *sweep, "--jobs", 2) == rows
    )
    assert figures(paging(tiny, *sweep, "--seed", 1)) != figures(rows)


def test_captures_are_replayed_apart_or_together(tiny, tmp_path):
    other = write(tmp_path / "other.access.parquet", "access", 16, {"a": 16, "c": 16}, "other", ppn=np.arange(16))
    apart, together = paging(tiny, other), paging(tiny, other, "--together")
    assert {(row["trace"], row["vm"]) for row in apart} == {("tiny", "a"), ("tiny", "b"), ("other", "a"), ("other", "c")}
    assert {row["trace"] for row in together} == {"other+tiny"}
    assert {row["vm"] for row in together} == {"other/a", "tiny/a", "b", "c"}


def test_captures_that_nothing_can_work_on_are_passed_over_with_a_line(tiny):
    done = run("replay", tiny, *captured("dma-forced"), "--preset", "remap")
    assert done.code == 0
    assert "not replayed  tiny: has access only" in done.out
    done = run("replay", tiny, "--preset", "remap")
    assert done.code == 3


# ---------------------------------------------------------------------------------------------------- kept results


def test_what_is_kept_is_not_run_again(tiny, tmp_path):
    out, trace = tmp_path / "results", tmp_path / "tiny.access.parquet"
    trace.write_bytes(tiny.read_bytes())
    sweep = ("--set", "paging.frames=4,8", "-o", out)
    first = paging(trace, *sweep)

    def written():
        return {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}

    before = written()
    assert paging(trace, *sweep) == first
    assert written() == before
    assert len(paging(trace, "--set", "paging.frames=4,6,8", "-o", out)) == 6
    assert before.items() < written().items()
    write(trace, "access", 8, {"a": 16, "b": 16}, "tiny", ppn=np.arange(8))
    changed = paging(trace, *sweep)
    assert sum(row["accesses"] for row in changed) == 16
    assert not set(before.items()) & set(written().items()) - {item for item in before.items() if "frames=6" in str(item)}


def test_compare(tiny, tmp_path):
    sweep = ("--set", "paging.frames=4,8", "--set", "paging.module=random,lru", "-o", tmp_path)
    rows = paging(tiny, *sweep)

    def compared(*more):
        return json.loads(run("compare", tmp_path, *more, "--format", "json").out)

    lines = compared()
    assert len(lines) == 4
    params = tracekit.open(tmp_path).params("paging.module", "paging.frames").collect().rows()
    chosen = {(module, frames): variant for variant, module, frames in params}
    for line in lines:
        mine = [row for row in rows if row["variant"] == chosen[line["paging.module"], line["paging.frames"]]]
        assert line["misses"] == sum(row["cold"] + row["major"] for row in mine)
        assert line["miss_ratio"] == pytest.approx(line["misses"] / 400)
    averaged = compared("--by", "paging.frames", "--metric", "misses")
    assert [line["paging.frames"] for line in averaged] == [4, 8]
    for line in averaged:
        assert line["value"] == np.mean([each["misses"] for each in lines if each["paging.frames"] == line["paging.frames"]])
        assert line["difference"] == line["value"] - line["baseline"] and line["baseline"] == averaged[0]["value"]
    assert pl.read_csv(io.BytesIO(run("compare", tmp_path, "--format", "csv").raw)).height == 4
    assert pl.read_parquet(io.BytesIO(run("compare", tmp_path, "--format", "parquet").raw)).height == 4
    assert {line["which"] for line in compared("--table", "reasons")} == {"best", "worst"}
    matrix = compared("--by", "paging.module", "--metric", "misses", "--pivot", "paging.frames")
    assert [list(line) for line in matrix] == [["trace", "paging.module", "paging.frames=4", "paging.frames=8"]] * 2
    shown = run("compare", tmp_path, "--metric", "misses", "--baseline", "paging.module=lru").out
    assert "baseline lru" in shown and "→ best misses" in shown and max(map(len, shown.splitlines())) <= 100
    assert run("compare", tmp_path, "--table", "nope").code == 2
    for wrong in (["--by", "paging.poll"], ["--metric", "nope"]):
        assert run("compare", tmp_path, *wrong).code == 3


# ---------------------------------------------------------------------------------------------------- other commands


def test_check_ends_with_1_on_a_broken_file(tiny, tmp_path):
    assert run("check", tiny).code == 0
    broken = tmp_path / "tiny.access.parquet"
    broken.write_bytes(tiny.read_bytes()[:-20])
    done = run("check", broken, "--format", "json")
    assert done.code == 1
    assert json.loads(done.out)[0]["severity"] == "error"


def test_inspect(tiny):
    done = run("inspect", tiny, "--format", "json")
    assert done.code == 0
    assert list(json.loads(done.out)) == ["tiny"]
    assert "tiny" in run("inspect", tiny).out


def test_modules_lists_and_explains():
    listed = run("modules").out
    for name in ("sharing.esx", "balloon.esx", "paging.lru", "tax.esx", "remap.hot"):
        assert name in listed
        done = run("modules", name)
        assert done.code == 0
        assert name.partition(".")[0] + "." in done.out
    assert "paging.lru" not in run("modules", "tax").out
    assert run("modules", "paging.lruu").code == run("modules", "pagingg").code == 3


def test_synth_lists_and_makes_what_replay_takes(tmp_path):
    listed = run("synth").out
    for recipe in ("zipf", "scan", "toucher", "clones", "tax", "nic"):
        assert recipe in listed
    assert run("synth", "zipf").code == 0
    made = [run("synth", "zipf", "-o", tmp_path / folder, "--seed", "3").out.split() for folder in "ab"]
    traces, again = ([path for path in map(Path, paths) if path.name.endswith(".access.parquet")] for paths in made)
    assert [path.read_bytes() for path in traces] == [path.read_bytes() for path in again]
    everything = sorted((tmp_path / "a").glob("*.parquet"))  # the truth among them, which is passed over
    assert len(everything) == 2
    assert "SYNTHETIC" in run("replay", *everything, "--preset", "paging").out
    assert "1 file(s): 0 error(s)" in run("check", *everything).err


def test_a_recipe_can_be_copied_and_changed(tmp_path):
    text = run("synth", "scan", "--toml").out
    (tmp_path / "mine.toml").write_text(text.replace("default = 65536", "default = 64"))
    assert "pages of the sweep" in run("synth", tmp_path / "mine.toml").out
    done = run("synth", tmp_path / "mine.toml", "-o", tmp_path, "-p", "rounds=3")
    assert [Path(line).name for line in done.out.split()] == ["mine.access.parquet", "mine.truth.parquet"]
    (tmp_path / "mine.toml").write_text(text.replace('rounds = "=rounds"', "rounds = 0"))
    done = run("synth", tmp_path / "mine.toml", "-o", tmp_path)
    assert done.code == 3 and "mine.toml: vm 1: block 1: rounds = 0" in done.err


def test_import_parquet(tmp_path):
    pl.DataFrame({"when": [1, 2, 3], "addr": [0, 4096, 8192]}).write_parquet(tmp_path / "raw.parquet")
    out = tmp_path / "raw.access.parquet"
    done = run("import", tmp_path / "raw.parquet", "-o", out, "--map", "t=when*1000,ppn=addr/4096,vm='guest'")
    assert done.code == 0, done.err
    assert sum(row["cold"] for row in paging(out)) == 3


# ---------------------------------------------------------------------------------------------------- terminals and pipes


def test_the_screen_is_at_most_100_columns_wide(tiny, tmp_path):
    long = "a-very-long-name-of-a-virtual-machine-" * 4
    named = write(tmp_path / "long.access.parquet", "access", 64, {long: 16, "[bold]b[/bold] :smile:\n=": 16}, "long", vm=[long] * 64)
    sweep = ("--set", "paging.module=random,lru", "--set", "paging.frames=4,100000,1000000000")
    for arguments in (
        [tiny],
        [named, "--preset", "paging"],
        [tiny, "--preset", "paging", *sweep],
        captured("three-vms"),
        captured("dma-high"),
    ):
        for line in run("replay", *arguments).out.splitlines():
            assert len(line) <= 100, line


def test_names_are_never_taken_for_markup(tmp_path):
    name = "[red]x[/red]"
    trace = write(tmp_path / "x.access.parquet", "access", 4, {name: 16}, "x", vm=[name] * 4)
    assert name in run("replay", trace, "--preset", "paging").out


def test_a_closed_pipe_is_no_error(tiny):
    running = start(
        "replay", tiny, *captured("dma-high"), "--preset", "paging", "--set", "paging.frames=" + ",".join(map(str, range(1, 40)))
    )
    running.stdout.readline()
    running.stdout.close()
    error = running.stderr.read()
    running.wait(timeout=60)
    assert b"Traceback" not in error
    assert b"rror" not in error


def test_a_plain_terminal_gets_plain_text(tiny):
    out, _ = start("replay", tiny, "--preset", "paging", NO_COLOR="1").communicate(timeout=60)
    assert b"\x1b[" not in out
    out, err = start("replay", tiny, "--preset", "paging", PYTHONIOENCODING="ascii").communicate(timeout=60)
    assert b"Traceback" not in err
    assert b"tiny" in out


# ---------------------------------------------------------------------------------------------------- the first screen


def screen(name, *more):
    done = run("replay", *captured(name), *more)
    assert done.code == 0, done.err
    return done.out


def test_the_first_screen_of_everything_on_one_clock():
    out = screen("three-vms")
    assert "sampling accuracy" in out
    for said in (
        "3 VMs, 512 MiB", "event, content, access", "88.3 s · 4 087 335 rows", "384 MiB for guest pages", "savings by sharing",
        "of possible", "30 s of execution time", "covers", "allocation", "faults", "left out  remap.hot: needs io", "M rows/s", "-o DIR",
    ):  # fmt: skip
        assert said in out, said
    assert "of wall time" in screen("balloon-workload")


def test_the_first_screen_of_transfers():
    out = screen("dma-high")
    assert re.search(r"ata_piix\s+76 139", out)
    assert "without" in out
    assert "faults" not in out


def test_no_faults_are_shown_where_nothing_is_touched():
    out = screen("ten-clones")
    assert "faults" not in out
    assert "memory was never short" not in out


@pytest.mark.slow
@pytest.mark.parametrize("by", ["until", "rate"])
def test_advice_on_scanning_leads_to_what_it_promises(by):
    out = " ".join(screen("ten-clones", "--preset", "sharing").split())
    until = re.search(r"--until \S+(?=,)", out)[0].split()
    rate = re.search(r"--set sharing.rate=\d+ --set sharing.total=\d+", out)[0].split()
    better = screen("ten-clones", "--preset", "sharing", "--set", "replay.report=10min", *(until if by == "until" else rate))
    host = next(line for line in better.splitlines() if line.startswith("host"))
    assert float(re.findall(r"([\d.]+) %", host)[-1]) > 85
    assert "→" not in better


def test_advice_on_memory_leads_to_what_it_promises():
    for start_with in (["--preset", "tax", "--memory", "1GiB"], ["--preset", "paging", "--set", "paging.frames=900000"]):
        said = re.search(r"memory was never short: (--\S+ \S+) makes it so", screen("balloon-workload", *start_with))[1].split()
        assert "never short" not in screen("balloon-workload", *start_with[:2], *said)


def test_advice_on_periods_leads_to_what_it_promises():
    said = re.search(r"--set tax.period=\S+", screen("balloon-workload", "--preset", "tax", "--set", "tax.period=10h"))[0].split()
    assert "covers" in screen("balloon-workload", "--preset", "tax", *said)


def test_sweeps_are_labelled():
    out = screen("dma-high", "--set", "remap.threshold=1,8")
    assert "2 variants by remap.threshold" in out
    assert re.search(r"^8 +ata_piix", out, re.MULTILINE)
    out = screen("balloon-workload", "--preset", "tax", "--set", "tax.rate=0,0.75", "--set", "paging.module=random,lru")
    assert "variant 4: paging=lru tax.rate=0.75" in out
    assert "2 variants by tax" in screen("balloon-workload", "--preset", "tax", "--set", "tax.module=esx,none")
