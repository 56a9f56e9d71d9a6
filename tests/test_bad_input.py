"""What cannot be used is refused: one sentence on stderr, exit 3, nothing on stdout, nothing kept, never a traceback."""

import numpy as np
import pyarrow as pa
import pytest
from make_trace import about, write, write_raw
from run_cli import run

PAGING = ("--preset", "paging")
ONE, TWO = about("access", {"a": 16}), about("access", {"a": 16, "b": 16})
YEAR = 365 * 86400 * 10**9


def refused(done, *said):
    """The one sentence; what it must say may be given."""
    assert done.code == 3, (done.code, done.out[:500], done.err)
    assert not done.raw
    assert done.err.startswith("tracekit: ")
    assert done.err.count("\n") == 1
    assert len(done.err) < 1000
    for part in said:
        assert part in done.err, done.err
    return done.err


@pytest.fixture
def replay(tmp_path):
    """Replays into a directory and makes sure that nothing appears there."""

    def replayed(*arguments):
        done = run("replay", *arguments, "-o", tmp_path / "out")
        assert done.code == 0 or not list(tmp_path.glob("out/*"))
        return done

    return replayed


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A trace that is as it should be."""
    return write(tmp_path_factory.mktemp("good") / "good.access.parquet", "access", 20, capture="good", ppn=np.arange(20) % 16)


# ---------------------------------------------------------------------------------------------------- files


def test_a_file_cut_anywhere_is_refused(good, tmp_path, replay):
    raw, path = good.read_bytes(), tmp_path / "cut.access.parquet"
    edges = {*range(20), *range(len(raw) - 20, len(raw))}
    for length in sorted(edges | set(np.linspace(0, len(raw) - 1, 160, dtype=int).tolist())):
        path.write_bytes(raw[:length])
        refused(replay(path, *PAGING), "cut.access.parquet")


def test_a_damaged_file_is_refused_or_read(good, tmp_path, replay):
    raw, path, rng = good.read_bytes(), tmp_path / "damaged.access.parquet", np.random.default_rng(5)
    for _ in range(150):
        damaged = bytearray(raw)
        damaged[rng.integers(len(raw))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        done = run("replay", path, *PAGING)
        assert done.code == 0 or refused(done)


def test_what_is_no_trace_file(good, tmp_path, replay):
    (tmp_path / "text.parquet").write_text("page,time\n" * 99)
    (tmp_path / "empty.access.parquet").touch()
    refused(replay(tmp_path / "nowhere.parquet", *PAGING), "no such file")
    refused(replay(tmp_path, *PAGING), "is a directory")
    refused(replay(tmp_path / "text.parquet", *PAGING), "not a readable Parquet file")
    refused(replay(tmp_path / "empty.access.parquet", *PAGING), "is empty")
    refused(replay(good, tmp_path / "empty.access.parquet", *PAGING), "is empty")
    refused(run("inspect", tmp_path / "nowhere.parquet"))
    refused(run("compare", tmp_path / "nowhere"), "holds no results")
    refused(run("compare", good), "holds no results")
    refused(replay(tmp_path / "two\nlines.parquet", *PAGING), "no such file")


BAD_ROWS = {
    "text for pages": ("'ppn' is string", {"types": {"ppn": pa.string()}, "ppn": ["a", "b"]}),
    "float times": ("'t' is double", {"types": {"t": pa.float64()}, "t": [0.0, 1.0]}),
    "negative pages": ("'ppn' holds values", {"types": {"ppn": pa.int64()}, "ppn": [-1, 1]}),
    "pages beyond 32 bits": ("more than", {"types": {"ppn": pa.int64()}, "ppn": [1 << 40, 1]}),
    "pages that are no number": ("more than", {"ppn": [(1 << 32) - 1, 1]}),
    "unsorted": ("row 1: out of order", {"t": [5, 1]}),
    "seq twice": ("row 1: out of order", {"t": [5, 5], "seq": [1, 1]}),
    "null times": ("'t' has nulls", {"t": [None, 1]}),
    "null VMs": ("'vm' has nulls", {"vm": [None, "a"]}),
    "null pages": ("'ppn' has nulls", {"ppn": [None, 1]}),
    "null writes": ("'write' has nulls", {"write": [None, True]}),
    "no times": ("'t' is missing", {"t": None}),
    "no VMs": ("'vm' is missing", {"vm": None}),
    "no pages": ("'ppn' is missing", {"ppn": None}),
    "a VM without a name": ("cannot be the name", {"vm": ["", "a"]}),
    "a VM named like the host": ("cannot be the name", {"vm": ["*", "a"]}),
    "times at the least": ("correct the times", {"t": [-(1 << 63), 1]}),
    "times at the most": ("correct the times", {"t": [1, (1 << 63) - 1]}),
    "metadata that is no JSON": ("metadata cannot be read", {"about": b"{"}),
    "metadata of an unknown kind": ("unknown kind 'weird'", {"about": ONE.replace(b'"kind": "access"', b'"kind": "weird"')}),
    "pages beyond the VM": ("row 1: PPN 16 lies beyond VM 'a', which has 16 pages", {"about": ONE, "ppn": [0, 16]}),
    "two VMs of one name": ("two VMs are named 'a'", {"about": TWO.replace(b'"b"', b'"a"')}),
    "a VM that the metadata does not know": ("vm 'a' appears", {"about": about("access", {"b": 16})}),
    "a VM of no size": ("impossible size", {"about": about("access", {"a": 0})}),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_and_metadata_are_refused(case, tmp_path, replay):
    said, given = BAD_ROWS[case]
    refused(replay(write_raw(tmp_path / "x.access.parquet", "access", 2, **({"ppn": [0, 15]} | given)), *PAGING), said)


def test_no_rows(tmp_path, replay):
    refused(replay(write_raw(tmp_path / "x.access.parquet", "access", 0), *PAGING), "holds no rows")


def test_sizes_that_disagree(tmp_path, replay):
    files = [write(tmp_path / f"x.{kind}.parquet", kind, 4, {"a": size}) for kind, size in (("access", 16), ("event", 32))]
    refused(replay(*files, *PAGING), "16 pages", "32")


@pytest.mark.parametrize("preset", ["esx", "paging", "remap"])
def test_a_vm_beyond_this_machines_memory_is_refused_at_once(preset, tmp_path, replay):
    files = [write(tmp_path / f"x.{kind}.parquet", kind, 4, {"a": 1 << 31}) for kind in ("access", "content", "io")]
    refused(replay(*files, "--preset", preset), "8192 GiB", "this machine has")


def test_a_gap_of_years_is_refused_at_once(tmp_path, replay):
    trace = write(tmp_path / "x.access.parquet", "access", 2, t=[0, 100 * YEAR], ppn=[0, 15])
    for preset in ("esx", "tax"):
        refused(replay(trace, "--preset", preset), "too long for", "--until")
    refused(replay(trace, "--preset", "tax", "--until", "30000d"), "too long for")
    assert replay(trace, "--preset", "paging").code == 0  # has no clock but that of the reports
    assert replay(trace, "--preset", "paging", "--until", "1h").code == 0


# ---------------------------------------------------------------------------------------------------- scenarios


BAD_SCENARIOS = {
    "[pagingg]\nmodule = 'lru'": "did you mean paging?",
    "[paging]\nmodule = 'lru'\nframez = 3": "did you mean frames?",
    "[paging]\nmodule = 'lruu'": "expected one of",
    "[paging]\nmodule = 3": "expected one of",
    "[paging]\nmodule = {a = 1}": "expected one of",
    "[paging]\nmodule = []": "empty list",
    "[paging]\nframes = 3": "has no module",
    "[paging]\nmodule = 'lru'\nframes = 2.5": "not a whole number",
    "[paging]\nmodule = 'lru'\nframes = -1": "out of bounds",
    "[paging]\nmodule = 'lru'\nframes = true": "not a whole number",
    "[paging]\nmodule = 'lru'\nframes = 1979-05-27": "expected a whole number",
    "[paging]\nmodule = 'lru'\nframes = [[1]]": "expected a whole number",
    "[paging]\nmodule = 'lru'\nframes = " + str(list(range(20000))): "variants",
    "[paging]\nmodule = 'lru'\nframes = " + "9" * 5000: "TOML",
    "[paging]\nmodule = 'lru'\nframes = " + "[" * 5000 + "]" * 5000: "TOML",
    "paging = 'lru'": "outside a table",
    "[[paging]]\nmodule = 'lru'": "outside a table",
    "[host]\nmemory = '1GiB'": "no stage has a module",
    "": "no stage has a module",
    "[paging]\nmodule = 'none'": "no stage has a module",
    "[host]\nmemry = '1GiB'\n[paging]\nmodule = 'lru'": "did you mean memory?",
    "[host]\nmemory = '12 parsecs'\n[paging]\nmodule = 'lru'": "is not a size",
    "[host]\nmemory = '99999999999TiB'\n[paging]\nmodule = 'lru'": "too large",
    "[host]\nmemory = -4\n[paging]\nmodule = 'lru'": "out of bounds",
    "[host]\nmemory = 100\n[paging]\nmodule = 'lru'": "100 B of memory leave nothing",
    "[replay]\nseed = -1\n[paging]\nmodule = 'lru'": "out of bounds",
    "[replay]\nuntil = 'soon'\n[paging]\nmodule = 'lru'": "is not a duration",
    "[vm]\nname = 'a'\n[paging]\nmodule = 'lru'": "[[vm]]",
    "[[vm]]\nname = 'a'\n[[vm]]\nname = 'a'\n[paging]\nmodule = 'lru'": "two [[vm]] tables",
    "[[vm]]\nname = 'zz'\n[paging]\nmodule = 'lru'": "the trace has a",
    "[[vm]]\nname = 'a'\nshare = 1\n[paging]\nmodule = 'lru'": "did you mean shares?",
    "[[vm]]\nname = 'a'\nshares = [1, 2]\n[paging]\nmodule = 'lru'": "expected a whole number",
    "[[vm]]\nname = 'a'\nmin = '8KiB'\nmax = '4KiB'\n[paging]\nmodule = 'lru'": "min is larger than max",
    "[[vm]]\nmin = '8TiB'\n[paging]\nmodule = 'lru'": "size of VM 'a'",
    "[tax]\nmodule = 'esx'\nrate = 1": "at τ = 1 an idle page would be infinitely dear",
    "[tax]\nmodule = 'progressive'\nrate = 1": "at τ = 1 an idle page would be infinitely dear",
    "[tax]\nmodule = 'per-vm'\n[[vm]]\ntax = 1": "at τ = 1 an idle page would be infinitely dear",
    "[tax]\nmodule = 'esx'\nrate = -0.1": "expected a number from 0 to 0.999999",
    "[tax]\nmodule = 'esx'\n[[vm]]\nreshare = '1s=99999999999999999999'": "shares must be positive, and no more than",
    "[host]\nswap = '1KiB'\n[tax]\nmodule = 'esx'\noverhead = 0": "must fit the swap space, which is 0 B",
    "[tax]\nmodule = 'esx'\nrate = nan": "finite",
    "[tax]\nmodule = 'esx'\nrate = 'much'": "expected a number",
    "[tax]\nmodule = 'esx'\nperiod = '0s'": "out of bounds",
    "[tax]\nmodule = 'esx'\nhigh = 1": "must not rise",
    "[host]\nmemory = '16MiB'\n[tax]\nmodule = 'esx'": "16.0 MiB of memory leave nothing for guest pages beyond the overhead",
    "[host]\nmemory = '32800KiB'\n[[vm]]\nmin = '64KiB'\n[tax]\nmodule = 'esx'":
        "Σ min 64.0 KiB + 1 × overhead 32.0 MiB = 32.1 MiB, the host has 32.0 MiB",
    "[host]\nswap = 4096\n[tax]\nmodule = 'esx'": "Σ (max − min) = 64.0 KiB must fit the swap space, which is 4.00 KiB",
    "[balloon]\nmodule = 'esx'\nguest = 'optimal'": "needs the future",
    "[balloon]\nmodule = 'esx'\nguest = 'working-set'": "gives pages up without need",
    "[balloon]\nmodule = 'esx'\nguest = 'nope'": "expected one of",
    "[sharing]\nmodule = 'esx'": "needs content",
    "{{{": "not valid TOML",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD_SCENARIOS, ids=lambda text: text[:40])
def test_bad_scenarios_are_refused(text, good, tmp_path, replay):
    (tmp_path / "s.toml").write_text(text)
    refused(replay(good, "-s", tmp_path / "s.toml"), BAD_SCENARIOS[text])


def test_what_is_no_scenario_file(good, tmp_path, replay):
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    refused(replay(good, "-s", tmp_path / "nowhere.toml"), "no such scenario file")
    refused(replay(good, "-s", tmp_path / "bytes.toml"), "cannot be read")
    refused(replay(good, "-s", tmp_path), "cannot be read")
    refused(replay(good, "-s", good), "cannot be read")


BAD_OPTIONS = {
    "--preset nope": "expected one of esx",
    "--preset pagin": "did you mean paging?",
    "--set paging": "not of the form",
    "--set paging.frames": "not of the form",
    "--set paging.frames=": "not of the form",
    "--set =3": "not of the form",
    "--set paging.frames=1,,2": "expected a whole number",
    "--set paging.frames=1e3": "expected a whole number",
    "--set paging.module=lruu": "did you mean lru?",
    "--set paging.modul=lru": "did you mean module?",
    "--set pagin.frames=3": "did you mean paging?",
    "--set tax.rate=0.5": "tax.module",
    "--set vm.name=a": "[[vm]]",
    "--memory much": "is not a size",
    "--memory -1": "is not a size",
    "--memory 1KiB": "1.00 KiB of memory leave nothing",
    "--until 10": "is not a duration",
    "--until -3s": "is not a duration",
    "--seed -3": "out of bounds",
    "--seed 99999999999999999999": "out of bounds",
    "--chunk 0": "at least 1",
}


@pytest.mark.parametrize("option", BAD_OPTIONS)
def test_bad_options_are_refused(option, good, replay):
    preset = () if option.startswith("--preset") else PAGING
    refused(replay(good, *preset, *option.split()), BAD_OPTIONS[option])


def test_unknown_tables_are_refused(good):
    refused(run("replay", good, *PAGING, "--table", "fault", "--format", "json"), "there are", "faults")


def test_results_that_cannot_be_kept(good):
    before = good.read_bytes()
    for out in (good, good / "deeper", "/proc/results"):
        refused(run("replay", good, *PAGING, "-o", out), "results cannot be kept there", "-o")
    assert good.read_bytes() == before


# ---------------------------------------------------------------------------------------------------- other commands


def test_other_commands_refuse_likewise(good, tmp_path):
    out = ("-o", tmp_path / "made")
    refused(run("modules", "nope"), "stages are")
    refused(run("modules", "paging.nope"), "expected one of")
    refused(run("synth", "nope"))
    refused(run("synth", "nope", *out))
    for wrong in ("nope=1", "pages", "pages=x", "pages=-1"):
        refused(run("synth", "zipf", *out, "-p", wrong))
    refused(run("synth", "zipf", "-o", good))
    target = ("-o", tmp_path / "made" / "z.access.parquet", "--map")
    refused(run("import", tmp_path / "nowhere.parquet", *target, "t=t"))
    for mapping in ("t", "t=nope,vm=vm,ppn=ppn", "t=t,vm=vm,ppn=ppn,nope=t"):
        refused(run("import", good, *target, mapping))
    refused(run("import", good, *target, "t=t,vm=vm,ppn=ppn", "--kind", "nope"))
    for name, content in (("x.elf", b"\x7fELF" + bytes(60)), ("x.lime", b"EMiL" + bytes(40)), ("x.txt", b"no trace\n"), ("x.raw", b"")):
        (tmp_path / name).write_bytes(content)
        refused(run("import", tmp_path / name, "-o", tmp_path / "made" / "z.content.parquet"))
    assert not (tmp_path / "made").exists()


def test_names_in_any_script_are_replayed(tmp_path):
    names = ["bücher 東京", "a b=7 c", "[bold]x[/bold]", "two\nlines"]
    trace = write_raw(tmp_path / "ü.access.parquet", "access", 4, vm=names, ppn=[7] * 4)
    done = run("replay", trace, *PAGING)
    assert done.code == 0
    assert "bücher" in done.out
    assert "[bold]x[/bold]" in done.out
