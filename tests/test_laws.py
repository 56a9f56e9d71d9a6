"""What no result may depend on: chunks, threads, compilation; what no module may do; and the random streams that all rest on.

Run as a script (``python test_laws.py figures FOLDER CHOICE``) it prints the figures of one replay as JSON, for another
process to compare.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xxhash
from make_trace import ZERO_DIGEST, write

import tracekit
from tracekit import registry, rng
from tracekit.kernel import jit
from tracekit.module import Module

SECOND = 10**9
VMS = {"a": 60, "b": 40, "c": 20}  # c has contents only
PRESSURE = {"host": {"memory": 56 * 4096}, "vm": [{"name": "a", "shares": 300, "min": 4 * 4096}]}
TAX = {"overhead": 0, "sample": 10, "period": "2s", "reallocate": "3s"}
CHOICES = {
    "esx": {
        "sharing": {"module": "esx", "rate": 40, "total": 100},
        "balloon": {"module": "esx", "inflate": 8 * 4096, "deflate": 4 * 4096, "cap": 0.3, "zeroing": 2, "load": "2s"},
        "paging": {"module": "random"},
        "tax": {"module": "esx", "rate": [0, 0.75]} | TAX,
        "remap": {"module": "hot", "threshold": 1, "low": 3 * 4096, "evict": "random", "place": "random", "pool": "256KiB"},
        "tier": {"module": "tpp", "near": 20 * 4096, "scan_period": "2s", "scan_size": 20 * 4096},
        "replay": {"seed": [0, 1], "until": "45s", "report": "700ms"},
    }
    | PRESSURE,
    "bounds": {
        "sharing": {"module": "share-everything"},
        "paging": {"module": "optimal"},
        "tax": {"module": "exact", "rate": [0.5, 0.75]} | TAX,
        "remap": {"module": "remap-all"},
        "tier": {"module": "clairvoyant", "near": 20 * 4096},
    }
    | PRESSURE,
}


def write_everything(folder: Path) -> list[Path]:
    """A capture of all four kinds of rows, in bursts of equal t, with (t, seq) mixed over the kinds."""
    draw = np.random.default_rng(11)
    rows = {"event": 60, "content": 240, "io": 80, "access": 520}
    kinds = draw.permutation(np.repeat(list(rows), list(rows.values())))
    when = np.sort(draw.integers(0, 120, len(kinds))) * (SECOND // 4)
    files = []
    for kind, n in rows.items():
        (seq,) = np.nonzero(kinds == kind)
        names = list(VMS) if kind == "content" else list(VMS)[:2]
        vm = draw.choice(names, n)
        ppn = (np.array([VMS[name] for name in vm]) * draw.random(n) ** 2).astype(np.uint32)
        own = {
            "event": {"what": ["clock"] * n, "a": np.arange(n) * 1000},
            "content": {"ppn": ppn, "digest": draw.choice(np.array([ZERO_DIGEST, *range(2, 14)], np.uint64), n)},
            "io": {"ppn": ppn, "dma_mask": draw.choice(np.array([0, 0xFFFF, 2**64 - 1], np.uint64), n), "forced": draw.random(n) < 0.1}
            | {"device": draw.choice(["nic", "disk"], n).tolist(), "to_device": [(True, False, None)[i] for i in draw.integers(0, 3, n)]},
            "access": {"ppn": ppn, "write": draw.random(n) < 0.3},
        }[kind]
        vms = {name: VMS[name] for name in names}
        files.append(write(folder / f"everything.{kind}.parquet", kind, n, vms, "everything", t=when[seq], seq=seq, vm=vm.tolist(), **own))
    return files


def figures(files, choice, **how):
    """All tables of a replay but for what it cost."""
    results = tracekit.replay(files, CHOICES[choice], auditing=True, **how)
    cost = ("elapsed", "peak_rss", "created")
    return {name: results.table(name).drop(cost, strict=False).collect().to_dicts() for name in sorted(results.names)}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_everything(tmp_path_factory.mktemp("everything"))


@pytest.fixture(scope="module", params=list(CHOICES))
def choice(request):
    return request.param


@pytest.fixture(scope="module")
def expected(files, choice):
    return figures(files, choice, jobs=1)


def test_everything_happens_in_the_trace(expected, choice):
    """Or else the laws below would say little."""
    last = {name: pl.DataFrame(rows).sum() for name, rows in expected.items()}
    happens = {
        "faults": ["cold", "major", "minor", "page_outs"],
        "copies": ["bounced", "remapped", "forced_bytes"] + ["evicted"] * (choice == "esx"),
        "tiers": ["near", "far", "promoted", "demoted"] + ["faults"] * (choice == "esx"),
        "sampling": ["touched"],
    }
    happens["savings"] = ["shared", "reclaimed", "breaks", "scanned"]
    happens["vm"] = ["swapped"] + ["ballooned"] * (choice == "esx")
    if choice == "esx":
        happens["faults"] += ["shared_out", "double_paged", "guest_major", "guest_page_outs"]
    missing = [f"{table}.{name}" for table, names in happens.items() for name in names if not last[table][name].item() > 0]
    assert not missing
    if choice == "esx":
        assert {row["state"] for row in expected["allocation"]} >= {"high", "soft", "low"}


@pytest.mark.parametrize(
    "how", [{"chunk": 1}, {"chunk": 1000}, {"chunk": 1_000_000}, {"chunk": 7}, {"jobs": 2}, {"chunk": 7, "jobs": 2}], ids=str
)
def test_results_do_not_depend_on_chunks_or_threads(files, choice, expected, how):
    assert figures(files, choice, **({"jobs": 1} | how)) == expected


def test_results_do_not_depend_on_compilation(files, choice, expected):
    assert uncompiled("figures", files[0].parent, choice) == json.loads(json.dumps(expected))


def test_the_seed_decides(files, choice, expected):
    if choice == "esx":
        params = pl.DataFrame(expected["variants"]).filter((pl.col("stage") == "replay") & (pl.col("param") == "seed"))
        scanned = {}
        for variant, seed in params.select("variant", "value").iter_rows():
            scanned.setdefault(seed, [row for row in expected["sampling"] if row["variant"] == variant])
        assert [row["touched"] for row in scanned["0"]] != [row["touched"] for row in scanned["1"]]
    assert figures(files, choice) == expected


# ------------------------------------------------------------------------------------------------- declared writes


class Sneaky(Module):
    """Writes a host array in a hook that it did not declare."""

    family = "sneaky"
    name = "hook"

    @staticmethod
    @jit
    def on_access(h, vm, page):
        h.target[vm] = page


class Declared(Sneaky):
    """Writes the same array, and says so."""

    name = "declared"
    writes = ("target",)


class SneakyControl(Module):
    """Writes a host array in its control that it did not declare."""

    family = "sneaky"
    name = "control"

    @staticmethod
    @jit
    def on_access(h, vm, page):
        h.target[vm]

    def clocks(self):
        return {"tick": SECOND}

    def control(self, now, due, out):
        self.site.host.target[0] = 0


def try_to_write(files, name):
    """What comes of it: ok, or the error's last line."""
    for cls in (Sneaky, Declared, SneakyControl):
        registry.register(cls)
    try:
        tracekit.replay(files, {"sneaky": {"module": name}})
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "ok"


@pytest.mark.parametrize("name", ["hook", "control"])
@pytest.mark.parametrize("compiled", [True, False])
def test_a_module_that_writes_what_it_did_not_declare_fails(files, name, compiled):
    said = try_to_write(files, name) if compiled else uncompiled("try", files[0].parent, name)
    assert "read-only" in said or "readonly" in said


@pytest.mark.parametrize("compiled", [True, False])
def test_a_module_that_declares_its_writes_may(files, compiled):
    assert (try_to_write(files, "declared") if compiled else uncompiled("try", files[0].parent, "declared")) == "ok"


# ------------------------------------------------------------------------------------------------- random streams


def splitmix64(key, counter):
    """The published generator, on Python's integers."""
    z = (key + counter * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def test_streams_are_splitmix64_under_a_digest_of_their_name():
    assert splitmix64(0, 1) == 0xE220A8397B1DCDAF  # the reference implementation's first output for seed 0
    for name in [(0, "sharing", "scan", 0), (7, "paging", "victim", 1)]:
        stream = rng.stream(*name)
        key = xxhash.xxh3_64_intdigest(repr(name).encode())
        assert [int(rng.bits(stream)) for _ in range(100)] == [splitmix64(key, i) for i in range(1, 101)]


def test_golden_values():
    """Results of every seed hang on these: they must never change."""
    stream = rng.stream(0, "sharing", "scan", 0)
    assert stream.tolist() == [11690519595174942530, 0]
    assert [int(rng.bits(stream)) for _ in range(3)] == [16438869289012195891, 3213910512739881648, 381369853745786683]
    stream = rng.streams(2, 7, "paging", "victim")[1]
    assert [int(rng.bits(stream)) for _ in range(3)] == [4328057075897492461, 647963949337061495, 12491767447183385333]
    assert [int(rng.below(stream, 100)) for _ in range(8)] == [88, 90, 75, 40, 96, 49, 38, 11]
    assert rng.sample(rng.stream(0, "tax", "sample", 0), 1000, 5).tolist() == [545, 198, 742, 877, 432]


def test_below_and_sample_are_uniform():
    stream = rng.stream("uniform")
    counts = np.bincount([rng.below(stream, 10) for _ in range(20_000)], minlength=10)
    assert len(counts) == 10 and np.abs(counts - 2000).max() < 5 * np.sqrt(1800)
    chosen = [rng.sample(stream, 20, 5) for _ in range(4000)]
    assert all(len(set(sample.tolist())) == 5 for sample in chosen)
    assert np.abs(np.bincount(np.concatenate(chosen), minlength=20) - 1000).max() < 5 * np.sqrt(750)
    assert sorted(rng.sample(stream, 7, 100).tolist()) == list(range(7))


# ------------------------------------------------------------------------------------------------- another process


def uncompiled(what, folder, choice):
    """The answer of this file, run as a script with kernels that are not compiled."""
    command = [sys.executable, __file__, what, str(folder), choice]
    done = subprocess.run(command, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


if __name__ == "__main__":
    what, folder, chosen = sys.argv[1:]
    traces = sorted(Path(folder).glob("*.parquet"))
    print(json.dumps(figures(traces, chosen) if what == "figures" else try_to_write(traces, chosen)))
