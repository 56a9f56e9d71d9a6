"""Tests for modules of one's own: ``tracekit.testing.check(MyPolicy)`` in a test is all it takes."""

import dataclasses
import inspect
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tracekit import engine, registry
from tracekit.host import Host
from tracekit.metadata import Metadata, VmInfo
from tracekit.module import Module, parse_param
from tracekit.modules.machine import defaults
from tracekit.modules.reclamation.replacement import Replacement
from tracekit.results import Results
from tracekit.tracewriter import TraceWriter

#: Two small VMs: size in pages.
_VMS = {"one": 60, "two": 40}
_ROWS = 4000


def check(cls: type[Module], **params: Any) -> None:
    """Raise AssertionError, with what is wrong in one sentence, unless the module keeps the rules.

    It is replayed over small awkward traces (ties, hot and cold pages, writes, changing contents, DMA in both
    directions, memory far too small) with the host's books audited after every chunk: names and parameters are
    described; nothing but its ``writes`` is written; results do not depend on chunks or on the run; a replacement
    policy misses no less than OPT and pages out only what it was given; sharing finds no more than there is.
    The module need not be registered.
    """
    _check_description(cls)
    registry.register(cls)
    with tempfile.TemporaryDirectory() as folder:
        traces, scenario = write_traces(Path(folder)), _scenario(cls, params)
        results = engine.replay(traces, scenario, auditing=True)
        again = engine.replay(traces, scenario, auditing=True)
        assert _figures(again) == _figures(results), f"{cls.__name__}: the same replay twice gives different results"
        for chunk in (1, 97):
            other = engine.replay(traces, scenario, chunk=chunk, auditing=True)
            assert _figures(other) == _figures(results), f"{cls.__name__}: results differ with chunks of {chunk} rows"
        _check_bounds(cls, traces, results)


def write_traces(folder: Path, seed: int = 1) -> list[Path]:
    """One small capture with all kinds of rows, written to ``folder``; every tenth of a second a burst of ties."""
    rng = np.random.default_rng(seed)
    size = np.array(list(_VMS.values()))
    t = np.sort(rng.integers(0, 400, _ROWS)) * 10**8
    vm = rng.integers(0, 2, _ROWS).astype(np.int32)
    ppn = (size[vm] * rng.random(_ROWS) ** 3).astype(np.uint32)
    # A loop over most of a VM, in the middle of it all: what defeats LRU.
    ppn[1500:2500] = (np.arange(1000) % 35).astype(np.uint32)
    seq = np.arange(_ROWS, dtype=np.uint64)
    names = tuple(_VMS)
    files = {
        "access": {"write": rng.random(_ROWS) < 0.3},
        "content": {"digest": rng.integers(0, 12, _ROWS).astype(np.uint64)},
        "io": {
            "device": (rng.integers(0, 2, _ROWS).astype(np.int32), ("nic", "disk")),
            "to_device": rng.random(_ROWS) < 0.5,
            "bytes": rng.integers(1, 4097, _ROWS).astype(np.uint32),
            "dma_mask": np.where(rng.random(_ROWS) < 0.5, 0xFFFF, (1 << 64) - 1).astype(np.uint64),
            "forced": rng.random(_ROWS) < 0.1,
        },
        "event": {"what": (np.zeros(_ROWS, np.int32), ("clock",)), "a": np.arange(_ROWS) * 1000, "b": np.zeros(_ROWS, np.int64)},
    }
    paths = []
    for kind, columns in files.items():
        given = {"t": t, "seq": seq, "vm": (vm, names)} | ({} if kind == "event" else {"ppn": ppn}) | columns
        capabilities = {"access": ("access", "exact", "writes"), "content": ("content", "digest64"), "io": ("io", "dma_masks")}
        vms = tuple(VmInfo(name, pages) for name, pages in _VMS.items())
        about = Metadata(kind, "testing", vms, capabilities.get(kind, ("event", "execution_clock")), synthetic=True)
        paths.append(folder / f"testing.{kind}.parquet")
        with TraceWriter(paths[-1], about, list(given)) as writer:
            writer.write(given)
    return paths


def _check_description(cls: type[Module]) -> None:
    name = cls.__name__
    assert isinstance(getattr(cls, "family", None), str), f"{name} has no family: the stage that it can fill"
    assert isinstance(getattr(cls, "name", None), str), f"{name} has no name: how a scenario chooses it"
    assert inspect.getdoc(cls), f"{name} has no docstring"
    unknown = set(cls.writes) - set(Host._fields)
    assert not unknown, f"{name}.writes names {', '.join(sorted(unknown))}, which no host array is called"
    for field in dataclasses.fields(cls.Params):
        assert field.metadata.get("prose"), f"{name}.Params.{field.name} does not say what it decides: make it with param()"
        parse_param(name, field, field.default)


def _scenario(cls: type[Module], params: dict[str, Any]) -> dict[str, Any]:
    """The module, and the other stages that make life hard for it."""
    tables: dict[str, Any] = {
        "sharing": {"module": "esx"},
        "balloon": {"module": "esx"},
        "paging": {"module": "random", "frames": "25"},
        "tax": {"module": "esx", "sample": "10", "period": "2s", "overhead": "0"},
        "remap": {"module": "hot", "threshold": "2"},
    }
    frames = {"frames": "25"} if cls.family == "paging" else {}
    return tables | {cls.family: {"module": cls.name, **frames, **params}}


def _figures(results: Results) -> dict[str, list[tuple[Any, ...]]]:
    """All result tables but ``runs``, which holds times."""
    return {name: results.table(name).collect().rows() for name in results.names if name != "runs"}


def _check_bounds(cls: type[Module], traces: list[Path], results: Results) -> None:
    savings = results.savings.collect()
    assert savings.filter(pl.col("reclaimed") > pl.col("possible_reclaimed")).is_empty(), f"{cls.__name__}: more was shared than is equal"
    if not issubclass(cls, Replacement) or cls.victim is defaults.victim:
        return
    for frames in ("1", "2", "10", "50", "100"):
        settings = [f"paging.module={cls.name},optimal", f"paging.frames={frames}"]
        both = engine.replay(traces, preset="paging", settings=settings, auditing=True)
        misses = (pl.col("cold") + pl.col("major")).sum()
        counted = both.faults.join(both.params("paging.module"), on="variant").group_by("paging.module").agg(misses=misses).collect()
        found = dict(counted.iter_rows())
        assert found[cls.name] >= found["optimal"], f"{cls.__name__} misses less than OPT with {frames} frames: it must cheat"
