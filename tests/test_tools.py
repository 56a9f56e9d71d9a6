"""Tools that make traces of traces, against what they do said in Polars or Python."""

from collections import OrderedDict
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from make_trace import write
from run_cli import run

from tracekit.check import check_capture, check_file
from tracekit.errors import TraceError
from tracekit.formats.importer import import_files
from tracekit.tools.anonymize import ZONES, anonymize
from tracekit.tools.consolidate import consolidate
from tracekit.tools.convert import to_csv, to_oracle_general
from tracekit.tools.filter import Kept, filter_trace
from tracekit.tools.merge import merge
from tracekit.tools.sample import sample_pages, sample_time
from tracekit.tools.times import scale, shift
from tracekit.trace import open_trace, open_traces
from tracekit.tracefile import TraceFile

SIZES = {"a": 600, "b": 1000}
KINDS = ("event", "content", "io", "access")


def rows_of(kind, count, rng):
    """Random rows of a kind, times with ties; contents change at every row."""
    vm = [("a", "b")[i] for i in rng.integers(0, 2, count)]
    columns = {"t": np.sort(rng.integers(0, 50, count)) * 10, "vm": vm}
    if kind != "event":
        columns["ppn"] = [int(rng.integers(0, SIZES[name])) for name in vm]
    if kind == "access":
        columns |= {"write": rng.random(count) < 0.5}
    if kind == "content":
        columns |= {"digest": rng.integers(0, 1 << 63, count, np.uint64)}
    if kind == "event":
        columns |= {"what": ["clock"] * count, "a": np.arange(count), "b": np.arange(count)}
    if kind == "io":
        ways = [(True, False, None)[i] for i in rng.integers(0, 3, count)]
        columns |= {"device": [f"d{i % 2}" for i in range(count)], "to_device": ways, "bytes": rng.integers(1, 4096, count)}
    return columns


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    """A capture of all kinds, of two VMs, whose seq leave nothing out."""
    folder, rng = tmp_path_factory.mktemp("capture"), np.random.default_rng(1)
    kinds = {kind: rows_of(kind, 300, rng) for kind in KINDS}
    order = sorted((int(t), number, i) for number, kind in enumerate(KINDS) for i, t in enumerate(kinds[kind]["t"]))
    for number, kind in enumerate(KINDS):
        seq = [place for place, (_, mine, _) in enumerate(order) if mine == number]
        write(folder / f"x.{kind}.parquet", kind, 300, SIZES, "x", seq=np.array(seq, np.uint64), **kinds[kind])
    return sorted(folder.glob("*.parquet"))


def frames(paths):
    found = {}
    for path in paths:
        assert [finding for finding in check_file(path) if finding.severity == "error"] == []
        found[TraceFile(path).kind] = pl.read_parquet(path).with_columns(pl.col(pl.Categorical).cast(pl.String))
    assert [finding for finding in check_capture(paths) if finding.severity == "error"] == []
    return found


def without_seq(frame):
    return frame.drop("seq").rows()


def test_merging_one_capture_changes_nothing(capture, tmp_path):
    made, source = frames(merge(open_trace(*capture), tmp_path, "y")), frames(capture)
    assert {kind: frame.select(source[kind].columns).rows() for kind, frame in made.items()} == {k: f.rows() for k, f in source.items()}
    about = TraceFile(tmp_path / "y.access.parquet").metadata
    assert about is not None
    assert about.capture == "y"
    assert about.provenance["parameters"]["tool"] == "merge"


def test_consolidation_turns_each_copy_round_in_time(capture, tmp_path):
    """Each copy has its VM's rows, from some moment on to the end and then from the beginning; its clock runs on."""
    made, source = frames(consolidate(open_trace(*capture), 5, tmp_path, seed=3)), frames(capture)
    assert set(made) == {"event", "io", "access"}  # contents would be equal, and shared
    assert sorted(made["access"]["vm"].unique()) in (["a-1", "a-2", "a-3", "b-1", "b-2"], ["a-1", "a-2", "b-1", "b-2", "b-3"])
    first = min(frame["t"].min() for frame in source.values())
    span = max(frame["t"].max() for frame in source.values()) - first + 1
    begins = set()
    for copy in made["access"]["vm"].unique():
        theirs = lambda kind, vm=copy[0]: source[kind].filter(vm=vm)  # noqa: E731
        mine = {kind: frame.filter(vm=copy) for kind, frame in made.items()}
        mine_of = {kind: frame.drop("vm", "seq", "a", "b", strict=False) for kind, frame in mine.items()}

        def turned(kind, by, mine_of=mine_of, theirs=theirs):
            frame = theirs(kind).select(mine_of[kind].columns)
            return frame.with_columns(t=(pl.col("t") - first - by) % span + first).sort("t", maintain_order=True)

        by = next(by for by in range(span) if all(turned(kind, by).rows() == mine_of[kind].rows() for kind in made))
        begins.add(by)
        clock, whole = mine["event"]["a"].to_list(), theirs("event")["a"].to_list()
        assert clock == sorted(clock) and clock[-1] == whole[-1]
        assert len(clock) == len(whole)
    assert len(begins) == 5


def test_consolidation_of_more_only_adds_vms(capture, tmp_path):
    trace = open_trace(*capture)
    few, many = (frames(consolidate(trace, n, tmp_path / str(n), "y"))["access"] for n in (2, 4))
    more = many.filter(pl.col("vm").is_in(few["vm"].unique().implode()))
    assert without_seq(more) == without_seq(few)
    assert without_seq(many) != without_seq(frames(consolidate(trace, 4, tmp_path / "other", "y", seed=1))["access"])
    with pytest.raises(TraceError, match="give from 1"):
        consolidate(trace, 0, tmp_path)
    content = next(path for path in capture if "content" in path.name)
    with pytest.raises(TraceError, match="none of its VMs has accesses"):
        consolidate(open_trace(content), 2, tmp_path)


def test_consolidation_on_the_command_line(capture, tmp_path):
    done = run("consolidate", *capture, "--vms", "1,3", "--seed", "0,1", "-o", tmp_path)
    assert done.code == 0 and {path.name.split(".")[0] for path in tmp_path.iterdir()} == {f"x-{n}vms-{s}" for n in (1, 3) for s in (0, 1)}
    assert run("consolidate", *capture, "--vms", "many", "-o", tmp_path).code == 2


def test_merging_captures_renames_vms_that_clash(capture, tmp_path):
    other = write(tmp_path / "z.access.parquet", "access", 50, {"a": 16, "c": 16}, "z", t=np.arange(50) * 7, vm=["a", "c"] * 25)
    made = frames(merge(open_traces([*capture, other], together=True)[0], tmp_path / "out", "y"))
    assert set(made["access"]["vm"]) == {"x/a", "b", "z/a", "c"}
    assert "write" not in made["access"].columns  # the second has none
    assert made["access"].height == 350
    assert made["access"]["t"].is_sorted()
    about = TraceFile(tmp_path / "out" / "y.access.parquet").metadata
    assert about is not None
    assert "writes" not in about.capabilities


def test_filter_by_time_carries_contents_over(capture, tmp_path):
    made, source = frames(filter_trace(open_trace(*capture), Kept(begin=200, end=400), tmp_path)), frames(capture)
    for kind in ("event", "io", "access"):
        kept = source[kind].filter((pl.col("t") >= 200) & (pl.col("t") < 400))
        assert without_seq(made[kind].select(kept.columns)) == without_seq(kept)
    held = source["content"].filter(pl.col("t") < 200).unique(["vm", "ppn"], keep="last", maintain_order=True)
    later = source["content"].filter((pl.col("t") >= 200) & (pl.col("t") < 400))
    expected = pl.concat([held.with_columns(t=pl.lit(200, pl.Int64)), later])
    assert sorted(without_seq(made["content"].select(expected.columns))) == sorted(without_seq(expected))


def test_filter_by_vm_and_pages(capture, tmp_path):
    made, source = frames(filter_trace(open_trace(*capture), Kept(vms=["b*"], pages=(100, 299)), tmp_path)), frames(capture)
    for kind in ("content", "io", "access"):
        kept = source[kind].filter((pl.col("vm") == "b") & pl.col("ppn").is_between(100, 299))
        assert without_seq(made[kind].select(kept.columns)) == without_seq(kept)
    assert without_seq(made["event"]) == without_seq(source["event"].filter(pl.col("vm") == "b"))
    assert [vm.name for vm in open_trace(*tmp_path.glob("*.parquet")).vms] == ["b"]
    with pytest.raises(TraceError, match="has no VM 'c'"):
        filter_trace(open_trace(*capture), Kept(vms=["c"]), tmp_path)


def test_filter_keeps_what_misses_in_lru(capture, tmp_path):
    rng = np.random.default_rng(2)
    path = write(tmp_path / "m.access.parquet", "access", 3000, {"a": 64}, "m", ppn=rng.zipf(1.2, 3000) % 64)
    made = frames(filter_trace(open_trace(path), Kept(frames=10), tmp_path / "out"))["access"]
    memory, missed = OrderedDict(), []
    for i, page in enumerate(pl.read_parquet(path)["ppn"].to_list()):
        if page in memory:
            memory.move_to_end(page)
        else:
            missed.append(i)
            memory[page] = None
            if len(memory) > 10:
                memory.popitem(last=False)
    assert made["t"].to_list() == missed


def test_sample_of_pages_is_all_rows_of_some_pages(capture, tmp_path):
    trace = open_trace(*capture)
    made, source = frames(sample_pages(trace, 0.25, tmp_path, seed=3)), frames(capture)
    sizes = {vm.name: vm.pages for vm in open_trace(*tmp_path.glob("*.parquet")).vms}
    assert 0.2 < sum(sizes.values()) / trace.pages < 0.3
    assert "exact" not in open_trace(*tmp_path.glob("*.parquet")).capabilities
    assert made["event"].height == source["event"].height
    for kind in ("content", "access"):
        counts = sorted(source[kind].group_by("vm", "ppn").len()["len"].to_list())
        kept = sorted(made[kind].group_by("vm", "ppn").len()["len"].to_list())
        assert len(kept) < len(counts)
        mine = made[kind].select("t", *(c for c in ("digest", "write") if c in made[kind].columns))
        assert set(mine.rows()) <= set(source[kind].select(mine.columns).rows())
    with pytest.raises(TraceError, match="samples nothing"):
        sample_pages(trace, 0, tmp_path)


def test_sample_of_time_keeps_windows(capture, tmp_path):
    made, source = frames(sample_time(open_trace(*capture), 100, 30, tmp_path)), frames(capture)
    for kind in KINDS:
        kept = source[kind].filter(pl.col("t") % 100 < 30) if kind in ("access", "io") else source[kind]
        assert without_seq(made[kind].select(kept.columns)) == without_seq(kept)


def test_shift_and_scale(capture, tmp_path):
    source = frames(capture)
    for kind, frame in frames(shift(open_trace(*capture), 5, tmp_path / "later")).items():
        assert frame["t"].to_list() == [t + 5 for t in source[kind]["t"]]
    back = shift(open_trace(*(tmp_path / "later").glob("*.parquet")), -5, tmp_path / "back")
    assert {kind: frame.rows() for kind, frame in frames(back).items()} == {
        k: f.select(frames(back)[k].columns).rows() for k, f in source.items()
    }
    for kind, frame in frames(scale(open_trace(*capture), Fraction(2, 3), tmp_path / "faster")).items():
        assert frame["t"].to_list() == [t * 2 // 3 for t in source[kind]["t"].to_list()]
    with pytest.raises(TraceError, match="cannot be moved"):
        shift(open_trace(*capture), -(10**9), tmp_path)
    with pytest.raises(TraceError, match="cannot be multiplied"):
        scale(open_trace(*capture), Fraction(0), tmp_path)


def test_anonymized_captures_keep_what_is_equal_and_hide_what_is_what(capture, tmp_path):
    made, source = frames(anonymize(open_trace(*capture), b"a long key", tmp_path)), frames(capture)
    again = frames(anonymize(open_trace(*capture), b"another key", tmp_path / "again"))
    for kind in ("content", "io", "access"):
        assert set(made[kind]["vm"]) == {"vm-0", "vm-1"}
        before, after = (frame[kind].select(pl.col("vm", "ppn").rank("dense")) for frame in (source, made))
        assert before.height == after.height
        pairs = set(zip(source[kind].select("vm", "ppn").rows(), made[kind].select("vm", "ppn").rows(), strict=True))
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})  # one to one
        assert any(a[1] != b[1] for a, b in pairs)
        assert made[kind]["ppn"].to_list() != again[kind]["ppn"].to_list()
    digests = set(zip(source["content"]["digest"], made["content"]["digest"], strict=True))
    assert len(digests) == len({a for a, _ in digests}) == len({b for _, b in digests})
    assert not {a for a, _ in digests} & {b for _, b in digests}
    about = TraceFile(tmp_path / "anonymous.content.parquet").metadata
    assert about is not None
    assert about.keyed
    assert "x" not in str(about.provenance["source"])
    with pytest.raises(TraceError, match="key of 3 bytes"):
        anonymize(open_trace(*capture), b"abc", tmp_path)


def test_anonymized_pages_stay_in_reach_of_devices(tmp_path):
    size = (1 << 20) + 5000
    pages = [0, ZONES[1] - 1, ZONES[1], ZONES[2] - 1, ZONES[2], size - 1]
    path = write(tmp_path / "w.io.parquet", "io", 6, {"a": size}, "w", ppn=pages)
    made = frames(anonymize(open_trace(path), b"a long key", tmp_path / "out"))["io"]
    assert np.searchsorted(ZONES, made["ppn"].to_numpy(), "right").tolist() == np.searchsorted(ZONES, pages, "right").tolist()


def test_converted_to_oracle_general_and_back(capture, tmp_path):
    trace = open_trace(*capture)
    assert to_oracle_general(trace, tmp_path / "x.oracleGeneral") == 300
    raw = np.fromfile(tmp_path / "x.oracleGeneral", np.dtype([("t", "<u4"), ("object", "<u8"), ("size", "<u4"), ("next", "<i8")]))
    keys = [("ab".index(vm) * 600 + ppn) for vm, ppn in frames(capture)["access"].select("vm", "ppn").rows()]
    assert raw["object"].tolist() == keys
    expected = [next((j for j in range(i + 1, 300) if keys[j] == keys[i]), -1) for i in range(300)]
    assert raw["next"].tolist() == expected
    done = import_files([tmp_path / "x.oracleGeneral"], tmp_path / "back.access.parquet")
    assert done.rows == 300
    with pytest.raises(TraceError, match="has no accesses"):
        to_oracle_general(open_trace(next(path for path in capture if "event" in path.name)), tmp_path / "y")
    assert not (tmp_path / "y").exists()


def test_converted_to_csv(capture, tmp_path):
    for path in capture:
        assert to_csv(TraceFile(path), tmp_path / "x.csv") == 300
        found = pl.read_csv(tmp_path / "x.csv", infer_schema_length=None)
        expected = pl.read_parquet(path).with_columns(pl.col(pl.Categorical).cast(pl.String))
        assert found.select(expected.columns).rows() == expected.rows()


def test_the_commands(capture, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(b"a long key")
    for arguments in (
        ["filter", "--from", "100ns", "--until", "300ns", "--vm", "a", "--pages", "0-500", "--misses", "3"],
        ["sample", "--rate", "0.5"], ["sample", "--every", "100ns", "--keep", "10ns"], ["merge", "--name", "m"],
        ["shift", "--by", "1s"], ["scale", "--by", "1/2"], ["anonymize", "--key-file", key],
    ):  # fmt: skip
        done = run(arguments[0], *capture, *arguments[1:], "-o", tmp_path / "out")
        assert done.code == 0, done.err
        assert all(line.endswith(".parquet") for line in done.out.split())
    assert run("convert", *capture, "-o", tmp_path / "x.oracleGeneral").code == 0
    assert run("convert", capture[0], "-o", tmp_path / "x.csv").code == 0
    for wrong in (["filter", "--from", "x"], ["filter", "--pages", "7"], ["sample"], ["scale", "--by", "x"], ["shift", "--by", "3"]):
        assert run(wrong[0], *capture, *wrong[1:], "-o", tmp_path / "wrong").code == 2
    assert run("shift", *capture, "--by", "1s", "-o", capture[0].parent).code == 3  # over the source
    assert run("filter", *capture, "--from", "1h", "-o", tmp_path / "wrong").code in (0, 3)
    assert run("import", "--format", "lackey").code == 0
