"""Miss-ratio curves: exact by brute force and by replay; SHARDS, AET and miniatures against exact; the commands."""

import io
import itertools
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from make_trace import write
from run_cli import TRACES, captured, run

import tracekit
from tracekit.errors import TracekitError
from tracekit.kernel import entry
from tracekit.modules.machine.stack import remove, stacks, touch
from tracekit.mrc import METHODS, MRC, curves
from tracekit.mrc.bins import BINS, below, bin_of, edges
from tracekit.mrc.partition import RULES, by_utility, in_proportion, partition
from tracekit.mrc.table import Curve
from tracekit.schema import PARTITION
from tracekit.synth import synthesize
from tracekit.trace import open_trace

VMS = {"a": 6, "b": 1, "c": 4}
access_lists = st.lists(st.sampled_from([(vm, i) for vm, pages in VMS.items() for i in range(pages)]), min_size=1, max_size=80)


def lru_misses(pages, frames):
    """Misses of a list of pages in a memory of so many frames."""
    stack, misses = [], 0
    for page in pages:
        if page in stack:
            stack.remove(page)
        else:
            misses += 1
        stack = [page, *stack][:frames]
    return misses


def save(folder, steps, vms=VMS, **columns):
    vm, ppn = map(list, zip(*steps, strict=True))
    return open_trace(write(Path(folder) / "x.access.parquet", "access", len(steps), dict(vms), vm=vm, ppn=ppn, **columns))


def misses(frame, vm="*"):
    rows = frame.filter(pl.col("vm") == vm)
    return dict(zip(rows["frames"], (rows["miss_ratio"] * rows["accesses"]).round().cast(pl.Int64), strict=True))


@pytest.fixture(scope="module")
def zipf(tmp_path_factory):
    return open_trace(synthesize("zipf", tmp_path_factory.mktemp("zipf"), accesses=300_000, pages=10_000)[0])


def committed(name):
    return open_trace(TRACES / f"{name}.access.parquet")


def evenly(trace, count=100):
    """Sizes evenly spaced up to the footprint, and the exact ratios there."""
    footprint = curves(trace)["frames"].max()
    sizes = [int(size) for size in np.linspace(footprint / count, footprint, count)]
    return sizes, curves(trace, sizes=sizes)["miss_ratio"]


# ---------------------------------------------------------------------------------------------------- exact


@settings(max_examples=60, deadline=None)
@given(access_lists)
@example([("a", 0)])
@example([("b", 0)] * 5)
@example([("a", i % 4) for i in range(40)])
@example([(vm, i) for vm, pages in VMS.items() for i in range(pages)])
def test_exact_equals_lru_at_every_size(steps):
    sizes = list(range(1, 13))
    with TemporaryDirectory() as folder:
        trace = save(folder, steps, t=np.arange(len(steps)) // 7)  # ties
        joint, each = curves(trace, sizes=sizes), curves(trace, per_vm=True, sizes=sizes)
    assert misses(joint) == {size: lru_misses(steps, size) for size in sizes}
    assert set(each["vm"]) == {vm for vm, _ in steps}
    for name in set(each["vm"]):
        mine = [step for step in steps if step[0] == name]
        assert misses(each, name) == {size: lru_misses(mine, size) for size in sizes}


@entry
def _distances(s, pool, page, gone, out):
    for i in range(page.size):
        if gone[i] >= 0 and s.last[gone[i]] != np.uint32(0xFFFFFFFF):
            remove(s, gone[i] % s.now.size, gone[i])
        out[i] = touch(s, pool[i], page[i])


@pytest.mark.parametrize("seed", range(12))
def test_stack_distances_equal_those_of_a_list(seed):
    """Long enough that pages are renumbered many times; some are taken off the stack."""
    rng = np.random.default_rng(seed)
    rows, each, number = int(rng.integers(1000, 6000)), int(rng.integers(1, 900)), int(rng.integers(1, 4))
    pool = rng.integers(0, number, rows)
    page = (rng.zipf(1.3, rows) % each if seed % 2 else rng.integers(0, each, rows)) * number + pool
    gone = np.where(rng.random(rows) < 0.05, page[rng.integers(0, rows, rows)], -1)
    out = np.zeros(rows, np.int64)
    _distances(stacks(each * number, np.full(number, each)), pool, page, gone, out)
    lists, expected = [[] for _ in range(number)], []
    for which, item, off in zip(pool.tolist(), page.tolist(), gone.tolist(), strict=True):
        if off >= 0 and off in lists[off % number]:
            lists[off % number].remove(off)
        stack = lists[which]
        expected.append(stack.index(item) if item in stack else -1)
        if item in stack:
            stack.remove(item)
        stack.insert(0, item)
    assert out.tolist() == expected


def test_exact_equals_replay():
    frames = [1, 10, 1000, 17_000, 40_000]
    found = curves(committed("balloon-workload"), sizes=frames)
    setting = f"paging.frames={','.join(map(str, frames))}"
    results = tracekit.replay(captured("balloon-workload"), preset="paging", settings=["paging.module=lru", setting])
    params = results.params("paging.frames")
    replayed = results.faults.join(params, on="variant").select(pl.col("paging.frames").cast(pl.Int64), pl.col("cold") + pl.col("major"))
    assert misses(found) == dict(replayed.collect().iter_rows())


def test_default_sizes_end_at_the_footprint(tmp_path):
    found = curves(save(tmp_path, [("a", i % 5) for i in range(20)]))
    assert found["frames"].to_list() == [1, 2, 3, 4, 5]
    assert found["miss_ratio"].to_list() == [1.0, 1.0, 1.0, 1.0, 0.25]
    assert tuple(found.columns) == MRC.names
    assert found["low"].null_count() == found["high"].null_count() == 5


# ---------------------------------------------------------------------------------------------------- SHARDS and AET


@pytest.mark.parametrize("name", ["balloon-workload", "three-vms", pytest.param("toucher-long", marks=pytest.mark.slow)])
def test_shards_at_a_tenth_is_within_a_hundredth(name):
    """With every seed: of 100 the worst is at 0.0087, 0.0033 and (of 40) 0.0026."""
    trace = committed(name)
    sizes, exact = evenly(trace)
    for seed in range(16):
        assert (curves(trace, "shards", rate=0.1, sizes=sizes, seed=seed)["miss_ratio"] - exact).abs().mean() < 0.01


def coverage(trace, sizes, truth, seeds, method, **kind):
    """In what part of the seeds the interval holds the truth, by size."""
    covered = np.zeros(len(sizes))
    for seed in range(seeds):
        found = curves(trace, method, sizes=sizes, seed=seed, **kind)
        covered += ((found["low"] <= truth + 1e-12) & (truth <= found["high"] + 1e-12)).to_numpy()
        assert (found["low"] <= found["miss_ratio"]).all()
        assert (found["miss_ratio"] <= found["high"]).all()
    return covered / seeds


@pytest.mark.parametrize("kind", [{"rate": 0.1}, {"rate": 0.02}, {"size": 1000}], ids=str)
def test_error_bars_cover_the_exact_curve(zipf, kind):
    """At each size, in at least 90 % of 40 seeds (95 % are promised; 36 of 40 leaves room for chance)."""
    assert coverage(zipf, *evenly(zipf, 40), 40, "shards", **kind).min() >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("name", ["balloon-workload", "three-vms"])
def test_error_bars_cover_real_curves_at_every_rate(name, rate):
    """At each size, in at least 95 of 100 seeds."""
    trace = committed(name)
    assert coverage(trace, *evenly(trace), 100, "shards", rate=rate).min() >= 0.95


def test_shards_of_all_pages_is_exact(zipf):
    sizes = [1, 2, 3, 10, 100, 500]  # bins are one page wide
    exact, found = curves(zipf, sizes=sizes), curves(zipf, "shards", rate=1.0, sizes=sizes)
    for name in ("miss_ratio", "low", "high"):
        assert found[name].to_numpy() == pytest.approx(exact["miss_ratio"].to_numpy(), abs=1e-12)
    assert found["sampled"][0] == found["accesses"][0] == 300_000


def test_fixed_size_is_the_rate_it_comes_to(zipf):
    """A sample that is never full is that of the fixed rate; a full one ends at about size ÷ pages."""
    assert curves(zipf, "shards", size=10_000).equals(curves(zipf, "shards", rate=1.0))
    found = curves(zipf, "shards", size=500, sizes=[100])
    assert 0.02 < found["sampled"][0] / found["accesses"][0] < 0.3


def test_nothing_sampled_says_nothing(tmp_path):
    found = curves(save(tmp_path, [("a", 1)] * 9), "shards", rate=1e-9, sizes=[1])
    assert found.select("miss_ratio", "low", "high", "sampled").row(0) == (None, 0.0, 1.0, 0)


def test_aet_is_close_where_accesses_are_independent(zipf):
    """Within 0.01 everywhere and 0.002 on average: AET's model holds for independent accesses."""
    exact, found = curves(zipf), curves(zipf, "aet")
    errors = (found["miss_ratio"] - exact["miss_ratio"]).abs()
    assert errors.max() < 0.01
    assert errors.mean() < 0.002


@pytest.mark.parametrize("seed", range(4))
def test_aet_is_its_formula(tmp_path, seed):
    """P(t): share of accesses whose page was not used within the t before; T: the sum of P up to it is the memory's size."""
    rng = np.random.default_rng(seed)
    pages = rng.integers(0, 30, 250).tolist()
    before = [next((back for back in range(1, i + 1) if pages[i - back] == page), 1 << 40) for i, page in enumerate(pages)]
    later = [sum(reuse > t for reuse in before) / len(pages) for t in range(len(pages) + 1)]
    found = curves(save(tmp_path, [("a", page) for page in pages], {"a": 30}), "aet", sizes=list(range(1, 31)))
    for size, ratio in found.select("frames", "miss_ratio").iter_rows():
        time = next((t for t in range(len(pages)) if sum(later[:t]) >= size - 1e-9), len(pages))
        assert later[time] - 1e-9 <= ratio <= later[time - 1] + 1e-9


@pytest.mark.parametrize("kind", [{"method": "exact"}, {"method": "aet"}, {"method": "shards"}, {"method": "shards", "size": 300}], ids=str)
def test_neither_chunks_nor_runs_matter(zipf, kind):
    found = curves(zipf, **kind)
    assert found.equals(curves(zipf, chunk=9_973, **kind))
    assert found.equals(curves(zipf, **kind))
    if kind["method"] == "shards":
        assert not found.equals(curves(zipf, seed=1, **kind))


def test_bins_hold_what_lies_between_their_edges():
    at = edges()
    for value in [0, 1, 511, 512, 513, 1023, 1024, 10**6, 2**42 - 1, 2**42]:
        number = bin_of_compiled(value)
        assert at[number] <= value < at[number + 1]
    assert bin_of_compiled(1 << 60) == BINS - 1
    counts = np.zeros(BINS)
    counts[bin_of_compiled(2000)] = 4  # 2000 … 2003
    assert below(counts, np.array([0, 2000, 2001, 2004, 2.0**60])).tolist() == [0, 0, 1, 4, 4]


@entry
def bin_of_compiled(value):
    return bin_of(value)


# ---------------------------------------------------------------------------------------------------- miniatures


def replayed(name, policy, frames):
    """Misses by frames of full replays."""
    settings = [f"paging.module={policy}", f"paging.frames={','.join(map(str, frames))}"]
    results = tracekit.replay(captured(name), preset="paging", settings=settings)
    params = results.params("paging.frames")
    counted = results.faults.group_by("variant").agg(misses=(pl.col("cold") + pl.col("major")).sum()).join(params, on="variant")
    return dict(counted.select(pl.col("paging.frames").cast(pl.Int64), "misses").collect().iter_rows())


@pytest.mark.parametrize("policy", ["lru", "random", "optimal"])
def test_a_miniature_at_rate_one_is_the_replay(policy):
    frames = [1, 100, 9000, 17_000]
    found = curves(committed("balloon-workload"), "mini", policy=policy, rate=1.0, sizes=frames)
    assert misses(found) == replayed("balloon-workload", policy, frames)
    assert found["low"].equals(found["miss_ratio"].alias("low"))
    assert found["high"].equals(found["miss_ratio"].alias("high"))
    assert found["sampled"][0] == found["accesses"][0]


def test_miniatures_of_each_vm_are_replays_of_it_alone(tmp_path):
    rng = np.random.default_rng(3)
    steps = [(("a", "c")[one], int(page)) for one, page in zip(rng.integers(0, 2, 300), rng.integers(0, 4, 300), strict=True)]
    found = curves(save(tmp_path, steps), "mini", policy="lru", rate=1.0, per_vm=True, sizes=[1, 2, 3, 4])
    for vm in "ac":
        assert misses(found, vm) == {size: lru_misses([step for step in steps if step[0] == vm], size) for size in (1, 2, 3, 4)}


@pytest.mark.parametrize("seeds", [6, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.parametrize("policy", ["lru", "arc"])
def test_miniatures_cover_the_replay(policy, seeds):
    """On the real loop, on average over sizes in 95 % of the seeds, and in most at each size."""
    trace = committed("balloon-workload")
    frames = [9000, 16_000, 17_500, 30_000]
    truth = curves(trace, "mini", policy=policy, rate=1.0, sizes=frames)["miss_ratio"]
    covered = coverage(trace, frames, truth, seeds, "mini", policy=policy, rate=0.1)
    assert covered.mean() >= 0.95 - 1 / (4 * seeds)
    assert covered.min() >= 0.8


def test_miniatures_of_memory_for_everything_miss_first_uses_only():
    trace = committed("balloon-workload")
    footprint = curves(trace)["frames"].max()
    found = curves(trace, "mini", policy="fifo", rate=0.05, sizes=[footprint])
    assert found["miss_ratio"][0] == pytest.approx(footprint / found["accesses"][0])


def test_default_sizes_of_miniatures_begin_where_groups_have_a_page():
    found = curves(committed("balloon-workload"), "mini", policy="fifo", rate=0.1)
    assert found["frames"][0] == 60
    assert found["policy"].unique().to_list() == ["fifo"]


# ---------------------------------------------------------------------------------------------------- partition


def curve_of(ratios):
    """A curve of 100 accesses with these miss ratios at 1, 2, … pages."""
    ratios = np.array(ratios)
    return Curve("x", len(ratios), 100, 100, lambda sizes: (ratios[np.minimum(sizes, len(ratios)) - 1], None, None))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=8), min_size=1, max_size=4), st.integers(4, 20))
def test_utility_has_the_fewest_misses_of_all_divisions(falls, memory):
    """Also over cliffs, which a greedy choice falls off."""
    found = [curve_of(np.maximum(1.0 - np.cumsum(mine) / 100, 0.0)) for mine in falls]
    frames = by_utility(found, memory)
    assert frames.sum() <= memory

    def missed(parts):
        return sum(100 * (curve.at(np.array([part]))[0][0] if part else 1.0) for curve, part in zip(found, parts, strict=True))

    every = (parts for parts in itertools.product(range(memory + 1), repeat=len(found) - 1) if sum(parts) <= memory)
    assert missed(frames.tolist()) == pytest.approx(min(missed([*parts, memory - sum(parts)]) for parts in every))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 1000)), min_size=1, max_size=6), st.integers(1, 3000))
def test_proportions_use_all_memory_within_the_sizes(vms, memory):
    weights, most = (np.array(column) for column in zip(*vms, strict=True))
    frames = in_proportion(memory, weights, most)
    assert frames.sum() == min(memory, most.sum())
    assert (frames <= most).all()
    free = frames < most
    level = frames / weights
    if free.any():  # whoever is not at its size has as much a share as anybody, to within a page
        assert (level[free].max() - level[free].min()) <= 2 / weights[free].min()
        assert ((frames[~free] - 1) / weights[~free] <= level[free].max() + 1 / weights[free].min()).all()


def test_partition_of_real_vms():
    """Utility misses least, the sums are sums, and misses are those of the curves."""
    trace = committed("three-vms")
    found = partition(trace, 25_600, shares={"*": 1, "redis": 2})
    total = {row["rule"]: row["misses"] for row in found.filter(vm="*").iter_rows(named=True)}
    assert list(total) == [*RULES, "undivided"]
    assert total["utility"] == min(total[rule] for rule in RULES)
    each = found.filter(pl.col("vm") != "*")
    assert (each.group_by("rule", maintain_order=True).agg(pl.col("frames").sum())["frames"] <= 25_600).all()
    for rule in RULES:
        assert each.filter(rule=rule)["misses"].sum() == total[rule]
    shares = dict(each.filter(rule="shares").select("vm", "frames").iter_rows())
    assert shares == {"nginx": 6400, "redis": 12_800, "postgres": 6400}
    exact = curves(trace, per_vm=True, sizes=[6400]).filter(vm="nginx")
    assert each.filter(rule="shares", vm="nginx")["miss_ratio"][0] == pytest.approx(exact["miss_ratio"][0])


# ---------------------------------------------------------------------------------------------------- command


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    rng = np.random.default_rng(1)
    steps = [("a" if one else "b", int(page)) for one, page in zip(rng.integers(0, 2, 400), rng.integers(0, 16, 400), strict=True)]
    folder = tmp_path_factory.mktemp("small")
    save(folder, steps, {"a": 16, "b": 16})
    return folder / "x.access.parquet"


@pytest.mark.parametrize("method", METHODS)
def test_formats_say_the_same(small, method):
    sampled = {"rate": 1.0} if method == "mini" else {}
    arguments = ("mrc", small, "--method", method, "--per-vm", "--sizes", "4,2,8", *(("--rate", 1.0) if sampled else ()))
    rows = json.loads(run(*arguments, "--format", "json").out)
    assert [(row["vm"], row["frames"]) for row in rows] == [(vm, size) for vm in rows_of_vms(rows) for size in (2, 4, 8)]
    expected = curves(open_trace(small), method, per_vm=True, sizes=[2, 4, 8], **sampled)
    assert rows == expected.to_dicts()
    assert run(*arguments, "--format", "csv").out == expected.write_csv()
    assert pl.read_parquet(io.BytesIO(run(*arguments, "--format", "parquet").raw)).equals(expected)


def rows_of_vms(rows):
    return list(dict.fromkeys(row["vm"] for row in rows))


@pytest.mark.parametrize("method", METHODS)
def test_screen_is_a_plot_of_100_columns(method):
    done = run("mrc", *captured("three-vms"), "--method", method, "--per-vm")
    assert done.code == 0
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 100
    assert sum(line.startswith("three-vms  ") for line in lines) == 3
    assert any(line.endswith("█") for line in lines)
    assert ("95 % interval" in done.out) == (method in ("shards", "mini"))


@pytest.mark.parametrize(
    "arguments", [["--method", "magic"], ["--sizes", "few"], ["--sizes", ""], ["--format", "xml"], ["--rate", "much"], ["--size", "1.5"]]
)
def test_wrong_usage_is_exit_2(small, arguments):
    done = run("mrc", small, *arguments)
    assert (done.code, done.out) == (2, "")
    assert "Usage" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sizes", "0"], "sizes must be"), (["--method", "shards", "--rate", "0"], "rate is 0"),
        (["--method", "shards", "--rate", "nan"], "rate is nan"), (["--method", "shards", "--rate", "1.5"], "rate is 1.5"),
        (["--method", "shards", "--size", "0"], "size is 0"), (["--rate", "0.5"], "for shards"),
        (["--policy", "fifo"], "for fifo take --method mini"), (["--method", "mini", "--size", "9"], "takes no size"),
        (["--method", "mini", "--policy", "magic"], "no module 'magic'"),
        (["--method", "mini", "--rate", "0.1", "--sizes", "50,70"], "memory of 50 pages is too small"),
    ],
)  # fmt: skip
def test_wrong_values_are_exit_3_with_a_sentence(small, arguments, said):
    done = run("mrc", small, *arguments)
    assert (done.code, done.out) == (3, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_division_in_every_format(small):
    arguments = ("partition", small, "--memory", "40KiB", "--shares", "*=1,a=3")
    rows = json.loads(run(*arguments, "--format", "json").out)
    expected = partition(open_trace(small), 10, shares={"*": 1, "a": 3})
    assert rows == expected.to_dicts()
    assert {row["vm"]: row["frames"] for row in rows if row["rule"] == "shares"} == {"a": 8, "b": 2, "*": 10}
    assert tuple(rows[0]) == PARTITION.names
    lines = run(*arguments).out.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line.split()[0] for line in lines[3:6]] == ["a", "b", "all"]


@pytest.mark.parametrize(
    "arguments", [[], ["--memory", "much"], ["--memory", "1MiB", "--shares", "a:1"], ["--memory", "1MiB", "--method", "mini"]]
)
def test_wrong_usage_of_partition_is_exit_2(small, arguments):
    done = run("partition", small, *arguments)
    assert (done.code, done.out) == (2, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--memory", "4KiB"], "cannot be divided between 2 VMs"), (["--memory", "1MiB", "--shares", "z=1"], "match no VM"),
        (["--memory", "1MiB", "--shares", "a=1"], "b: no shares given"), (["--memory", "1MiB", "--shares", "*=0"], "must be positive"),
    ],
)  # fmt: skip
def test_wrong_divisions_are_exit_3_with_a_sentence(small, arguments, said):
    done = run("partition", small, *arguments)
    assert (done.code, done.out) == (3, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_trace_without_accesses_is_exit_3():
    done = run("mrc", *captured("ten-clones"))
    assert (done.code, done.out) == (3, "")
    assert "no access rows" in done.err


def test_unknown_method_in_python(zipf):
    with pytest.raises(TracekitError, match="no method 'magic'"):
        curves(zipf, "magic")
