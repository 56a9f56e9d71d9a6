"""Spatial sampling: the hash is stratified and fair, and a part of a trace holds the rows of its pages."""

import numpy as np
import polars as pl
import pytest

import tracekit
from tracekit.engine import advance
from tracekit.errors import TraceError
from tracekit.part import Part
from tracekit.run import Run
from tracekit.scenario import load_preset, variants
from tracekit.spatial import ALL, hashes, limit
from tracekit.stream import KIND_ORDER
from tracekit.testing import write_traces
from tracekit.trace import open_trace


@pytest.mark.parametrize("seed", range(3))
def test_each_block_has_one_page_in_each_slice_of_the_hashes(seed):
    found = hashes(1 << 12, seed)
    for k in range(13):
        slices = (found >> np.uint64(64 - k)) if k else np.zeros_like(found)
        assert (np.sort(slices.reshape(-1, 1 << k), axis=1) == np.arange(1 << k)).all()


def test_no_two_pages_have_the_same_hash():
    assert len(np.unique(hashes(100_000, 0))) == 100_000


def test_seeds_differ_and_repeat():
    assert (hashes(100, 1) == hashes(100, 1)).all()
    assert (hashes(100, 1) != hashes(100, 2)).all()


@pytest.mark.parametrize("stride", [1, 2, 3, 8, 64, 100, 1024])
@pytest.mark.parametrize("rate", [0.1, 0.01])
def test_a_sample_is_fair_and_errs_no_more_than_chance(stride, rate):
    """Over seeds: the mean is the rate's, and the variance no more than the binomial's (300 seeds: ± 25 % at three sigmas)."""
    pages = np.arange(1000) * stride + 7
    counts = [int((hashes(int(pages[-1]) + 1, seed)[pages] <= limit(rate)).sum()) for seed in range(300)]
    binomial = 1000 * rate * (1 - rate)
    assert abs(np.mean(counts) - 1000 * rate) < 4 * np.sqrt(binomial / 300)
    assert np.var(counts) < 1.25 * binomial
    if stride == 1:
        assert np.var(counts) < 0.1 * binomial


def test_limits():
    assert limit(1.0) == 2**64 - 1
    assert limit(0.5) == ALL / 2


# ---------------------------------------------------------------------------------------------------- parts of a trace


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return open_trace(*write_traces(tmp_path_factory.mktemp("testing")))


def listed(trace, chunk):
    """All rows in replay order: kind, t, VM and page."""
    wanted = {kind: ["t", "vm"] if kind == "event" else ["t", "vm", "page"] for kind in trace.kinds}
    rows = []
    for piece in trace.chunks(wanted, chunk):
        for kind, first, end in piece.runs.tolist():
            columns = piece.columns[KIND_ORDER[kind]]
            pages = columns["page"][first:end].tolist() if "page" in columns else [None] * (end - first)
            rows += list(
                zip([kind] * (end - first), columns["t"][first:end].tolist(), columns["vm"][first:end].tolist(), pages, strict=True)
            )
    return rows


@pytest.mark.parametrize("chunk", [13, 1 << 18])
def test_a_part_has_the_rows_of_its_pages(whole, chunk):
    kept = hashes(whole.pages, 3) <= limit(0.3)
    part = Part(whole, kept)
    number = {int(page): i for i, page in enumerate(np.flatnonzero(kept))}
    expected = [
        (kind, t, vm, None if page is None else number[page]) for kind, t, vm, page in listed(whole, 999) if page is None or page in number
    ]
    assert listed(part, chunk) == expected
    assert [vm.pages for vm in part.vms] == [int(kept[vm.base : vm.base + vm.pages].sum()) for vm in whole.vms]
    assert part.digest != whole.digest


def test_a_part_replays_beside_its_whole(whole):
    """One decode feeds both, and each finds what it finds alone."""
    part = Part(whole, hashes(whole.pages, 3) <= limit(0.4))
    (variant,) = variants(load_preset("paging") | {"paging": {"module": "lru", "frames": 10}})
    runs = [Run(whole, variant), Run(part, variant)]
    advance(whole, runs, 1000, 2, lambda *_: None)
    for run, trace in zip(runs, (whole, part), strict=True):
        alone = tracekit.replay(trace, preset="paging", settings=["paging.module=lru", "paging.frames=10"]).faults.collect()
        assert pl.DataFrame(run.tables()["faults"][1])["major"].to_list() == alone["major"].to_list()
        assert alone["accesses"].sum() < trace.rows["access"] + 1


def test_a_part_of_everything_is_the_whole(whole):
    every = Part(whole, np.ones(whole.pages, np.bool_))
    assert listed(every, 100) == listed(whole, 100)


def test_a_part_without_pages_is_refused(whole):
    with pytest.raises(TraceError, match="without pages"):
        Part(whole, np.zeros(whole.pages, np.bool_))
