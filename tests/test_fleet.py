"""Sharing over a fleet and who should share a host, against counting and trying everything on small fleets."""

import itertools
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from make_trace import ZERO_DIGEST, write
from polars.testing import assert_frame_equal
from run_cli import captured, run
from sweep_cells import Here

from tracekit.errors import TraceError, TracekitError
from tracekit.fleet import placement
from tracekit.fleet.dedup import dedup
from tracekit.inspect import inspect_trace
from tracekit.trace import open_trace

PAGES = 12  # of a VM, at most


def write_fleet(folder, fleet):
    """Captures of contents: ``fleet`` has digests of pages by VM, by capture."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for capture, vms in fleet.items():
        rows = [(vm, ppn, digest) for vm, digests in vms.items() for ppn, digest in enumerate(digests)]
        columns = {name: [row[i] for row in rows] for i, name in enumerate(("vm", "ppn", "digest"))}
        columns["digest"] = np.array(columns["digest"], np.uint64)
        sizes = {vm: max(len(digests), 1) for vm, digests in vms.items()}
        path = folder / f"{capture}.content.parquet"
        paths.append(write(path, "content", len(rows), sizes, capture, t=np.zeros(len(rows), np.int64), **columns))
    return paths


def counted(vms):
    """What sharing within one group of VMs (digests by VM) adds up to, one page after the other."""
    everything = [(vm, digest) for vm, digests in enumerate(vms) for digest in digests]
    total = Counter(digest for _, digest in everything)
    found = {"pages": len(everything), "zero": total[ZERO_DIGEST], "distinct": len(total)}
    found["shared"] = sum(count for count in total.values() if count > 1)
    found["reclaimed"] = found["pages"] - found["distinct"]
    found["reclaimed_zero"] = max(total[ZERO_DIGEST] - 1, 0)
    alone = [set(digests) - {ZERO_DIGEST} for digests in vms]
    found["reclaimed_within"] = sum(sum(d != ZERO_DIGEST for d in digests) - len(own) for digests, own in zip(vms, alone))
    found["reclaimed_between"] = sum(map(len, alone)) - len(set().union(*alone))
    return found


digests = st.lists(st.sampled_from([ZERO_DIGEST, *range(1, 9), 2**64 - 1, 2**63]), min_size=1, max_size=PAGES)
fleets = st.dictionaries(
    st.sampled_from(["p", "q", "r"]), st.dictionaries(st.sampled_from("abc"), digests, min_size=1, max_size=3), min_size=1, max_size=3
)
LIGHT = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    numbers = itertools.count()
    return lambda: tmp_path_factory.mktemp("fleet") / str(next(numbers))


@LIGHT
@given(fleet=fleets, workers=st.integers(1, 5))
def test_sharing_is_what_counting_says(folder, fleet, workers):
    here = folder()
    tables = dedup(write_fleet(here, fleet), pool=Here(workers=workers), folder=here / "counted")
    rows = {(row["by"], row["group"]): row for row in tables["sharing"].to_dicts()}
    everyone = [vm for vms in fleet.values() for vm in vms.values()]
    groups = {("fleet", "*"): everyone, ("tenant", ""): everyone}
    groups |= {("host", capture): list(vms.values()) for capture, vms in fleet.items()}
    groups |= {("vm", f"{capture}/{vm}"): [held] for capture, vms in fleet.items() for vm, held in vms.items()}
    for group, vms in groups.items():
        assert rows[group] == {"by": group[0], "group": group[1], "vms": len(vms)} | counted(vms)


@LIGHT
@given(fleet=fleets, room=st.integers(PAGES, 3 * PAGES), seed=st.integers(0, 3))
def test_placements_lie_between_chance_and_the_bound(folder, fleet, room, seed):
    here = folder()
    vms = [held for _, vms in sorted(fleet.items()) for held in vms.values()]
    sizes = [len(held) for held in vms]
    tables = dedup(write_fleet(here, fleet), pool=Here(), folder=here / "counted", capacity=room, seed=seed)
    rows = {row["placement"]: row for row in tables["placements"].to_dicts()}
    hosts, placed = rows["bound"]["hosts"], tables["placed"].to_dicts()
    saved = {}
    for choice in itertools.product(range(hosts), repeat=len(vms)):
        if all(sum(size for size, h in zip(sizes, choice) if h == host) <= room for host in range(hosts)):
            held = [set().union(*(vms[i] for i in range(len(vms)) if choice[i] == host)) for host in range(hosts)]
            saved[choice] = sum(len(set(held)) for held in vms) - sum(map(len, held))
    names = [f"{capture}/{vm}" for capture, own in sorted(fleet.items()) for vm in own]
    host = {row["vm"]: row["host"] for row in placed}
    assert saved[tuple(host[name] for name in names)] == rows["chosen"]["between"] == rows["chosen"]["estimate"]
    assert rows["greedy"]["between"] <= rows["chosen"]["between"] <= max(saved.values()) <= rows["bound"]["between"]
    assert max(saved.values()) <= rows["pair bound"]["estimate"] + 1e-9
    if "random" in rows:
        assert min(saved.values()) - 1 <= rows["random"]["between"] <= max(saved.values())


def test_local_search_finds_the_pairs_that_share():
    """Six images of two VMs each, hosts of two VMs: nothing but the pairs will do; greedy by itself is held to less."""
    rng = np.random.default_rng(1)
    own = rng.integers(0, 2**63, (6, 40), np.uint64)
    vms = np.concatenate([own, own])[rng.permutation(12)]
    content, vm = np.sort(vms.ravel()), np.repeat(np.arange(12), 40)[np.argsort(vms.ravel(), kind="stable")]
    sketch = placement.make_sketch(content, vm, 12, 1.0)
    sizes = np.full(12, 40)
    assert placement.estimate(sketch, placement.greedy(sketch, sizes, 80, 6)) == (240, 0)
    start = placement.at_random(sizes, 80, 6, 0, 0)
    assert placement.estimate(sketch, start)[0] < 240
    assert placement.estimate(sketch, placement.improve(sketch, sizes, 80, 6, start)) == (240, 0)


def test_sketches_tell_within_their_error():
    """Over 200 rates' worth of random contents, the 95 % interval holds the truth about that often."""
    rng, hit = np.random.default_rng(2), 0
    host = np.array([0, 0, 0, 1, 1, 1], np.int32)
    for _ in range(200):
        held = rng.random((6, 2000)) < rng.uniform(0.1, 0.5, (6, 1))
        exact = sum(int(np.maximum(held[host == h].sum(0) - 1, 0).sum()) for h in (0, 1))
        sampled = held[:, rng.random(2000) < 0.125]
        content, vm = np.nonzero(sampled.T)
        value, error = placement.estimate(placement.make_sketch(content, vm, 6, 0.125), host)
        hit += abs(value - exact) <= 1.96 * error
    assert 176 <= hit <= 200


@pytest.fixture(scope="module")
def real():
    return [path for name in ("six-vms", "ten-clones") for path in captured(name) if ".content." in path.name]


def test_real_captures_by_processes(real, tmp_path):
    """Equal to what ``inspect`` says of each; counted anew only where something is missing; labels from a file."""
    labels = tmp_path / "labels.csv"
    labels.write_text("vm,tenant,rack\n*,us,1\nten-clones/*,them,\nnginx-*,us,2\n")
    arguments = ("dedup", *real, "--labels", labels, "--host-memory", "600MiB", "-o", tmp_path / "out", "--format", "json", "--jobs", 1)
    first = run(*arguments)
    assert first.code == 0, first.err
    sharing = pl.read_parquet(tmp_path / "out" / "sharing.parquet")
    columns = [name for name in sharing.columns if name not in ("by", "group", "vms")]
    for path in real:
        trace = open_trace(path)
        whole = inspect_trace(trace)["sharing"].filter(pl.col("vm") == "*").select(columns)
        found = sharing.filter(pl.col("by") == "host", pl.col("group") == trace.name).select(columns)
        assert_frame_equal(found, whole)
    by = {label: sharing.filter(pl.col("by") == label).sort("group") for label in ("tenant", "rack")}
    assert by["tenant"].select("group", "vms").rows() == [("them", 10), ("us", 6)]
    assert by["rack"].select("group", "vms").rows() == [("1", 14), ("2", 2)]
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "counted").iterdir() if path.name != ".sweep"}
    missing = sorted(kept)[::3]
    for path in missing:
        path.unlink()
    assert run(*arguments).raw == first.raw
    assert all(path.stat().st_mtime_ns == kept[path] for path in kept.keys() - set(missing))


def test_the_moment_looked_at(tmp_path):
    path = write(tmp_path / "x.content.parquet", "content", 4, {"a": 2}, "x", t=[0, 0, 10, 20], ppn=[0, 1, 0, 1], digest=[5, 6, 7, 7])
    for until, distinct in ((None, 1), (0, 2), (10, 2), (20, 1)):
        tables = dedup([path], pool=Here(), folder=tmp_path / "counted", until=until)
        assert tables["sharing"]["distinct"][0] == distinct


def test_what_cannot_be_counted(real, tmp_path):
    ok = write(tmp_path / "ok.content.parquet", "content", 4, {"a": 4}, "ok", ppn=range(4))
    narrow = write(
        tmp_path / "n.content.parquet", "content", 4, {"a": 4}, "n", ppn=range(4), more={"capabilities": ("content",), "digest": "crc32"}
    )
    keyed = write(tmp_path / "k.content.parquet", "content", 4, {"a": 4}, "k", ppn=range(4), more={"keyed": True})
    access = write(tmp_path / "acc.access.parquet", "access", 4, {"a": 4}, "acc", ppn=range(4))
    (tmp_path / "none.csv").write_text("vm,tenant\nnobody,x\n")
    (tmp_path / "wrong.csv").write_text("name,tenant\na,x\n")
    for files, more, said in (
        ([narrow], {}, "its digests are of 32 bits"),
        ([ok, keyed], {}, "made in different ways"),
        ([access], {}, "has access only"),
        ([ok], {"labels": tmp_path / "none.csv"}, "matches no VM"),
        ([ok], {"labels": tmp_path / "wrong.csv"}, "first column is vm"),
        ([ok], {"labels": tmp_path / "missing.csv"}, "cannot be read"),
        ([ok], {"capacity": 3}, "fits on no host"),
        ([ok, *real], {"capacity": 60_000, "hosts": 2}, "do not fit on 2 hosts"),
    ):
        with pytest.raises((TraceError, TracekitError), match=said):
            dedup(files, pool=Here(), folder=tmp_path / "counted", **more)
    done = run("dedup", narrow)
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert run("dedup", ok, "--hosts", 3).code == 2
