"""The analyses of sharing against tables that were looked at once and are kept in golden/."""

import polars as pl
import pytest
from run_analysis import ROOT, load
from run_analysis import check as golden

import tracekit as tk
from tracekit.synth import synthesize

TRACES = ROOT / "traces"


def check(frame, name):
    """A table without its variants' ids is the golden one."""
    golden(frame.drop("variant", strict=False), name)


@pytest.fixture(scope="module")
def clones(tmp_path_factory):
    return synthesize("clones", tmp_path_factory.mktemp("clones"))[0]


def test_figure_4_from_the_recipe_and_beside_it_the_real_clones(clones):
    analysis = load("sharing_by_vms")
    real, made = (analysis.table(tk.open_trace(path)).collect() for path in (TRACES / "ten-clones.content.parquet", clones))
    one, ten = made.row(0, named=True), made.row(-1, named=True)
    assert made["synthetic"].all()
    assert not real["synthetic"].any()
    assert ten["shared_part"] == pytest.approx(0.67, abs=0.02)
    assert ten["reclaimed_part"] == pytest.approx(0.60, abs=0.02)
    assert one["reclaimed"] * (1 << 20) / 1e6 == pytest.approx(5, abs=0.2)
    assert one["zero_part"] == pytest.approx(0.55, abs=0.02)
    assert made["reclaimed"].diff()[1:].to_list() == pytest.approx([26.04] * 9, abs=0.01)  # linear after the second VM
    without_zero = ((real["reclaimed"] - real["zero"]) / (real["memory"] - real["zero"]))[1:]
    assert (without_zero.diff().drop_nulls() > -0.01).all()
    check(pl.concat([real, made]), "sharing_by_vms")
    assert "synthetic" in str(analysis.chart(made).to_dict())


@pytest.mark.parametrize("name", ["sharing_collapse", "hash_width"])
def test_what_contents_alone_decide(name):
    analysis = load(name)
    frame = analysis.table(tk.open_trace(TRACES / "six-vms.content.parquet")).collect()
    if name == "sharing_collapse":
        assert frame["reserve"].is_sorted()
        assert frame["reserve"][-1] == frame["saved"][-1]  # all of them write: everything saved is needed back
    else:
        assert frame["pairs"][:4].to_list() == pytest.approx(frame["expected"][:4].to_list(), rel=0.1)
    check(frame, name)
    assert analysis.chart(frame).to_dict()["facet"]


def test_production_and_domains():
    trace = TRACES / "six-vms.content.parquet"
    salts = [{"name": "nginx-*", "salt": "web"}]
    results = tk.replay(trace, {"sharing": {"module": "share-everything", "domain": ["host", "salted", "vm"]}, "vm": salts})
    for name in ("sharing_in_production", "domains", "savings_over_time"):
        analysis = load(name)
        frame = analysis.table(results).collect()
        if name == "domains":
            assert frame["domain"].to_list() == ["host", "salted", "vm"]
            assert frame["lost"].is_sorted()
        elif name == "savings_over_time":
            assert frame["part"].max() == 1.0
        else:
            frame = frame.head(1)
            assert frame["reclaimed"].item() == pytest.approx(frame.select("zero", "within", "between").sum_horizontal().item())
        check(frame, name)
        assert analysis.chart(frame).to_dict()
    analysis = load("sharing_churn")
    frame = analysis.table(results).collect()
    still = frame.filter((pl.col("why") == "still") & (pl.col("variant") == frame["variant"][0]))
    shared = results.savings.filter(pl.col("variant") == frame["variant"][0]).group_by("vm").last().collect()
    assert still["pages"].sum() == shared.filter(pl.col("vm") == "*")["shared"].item()
    check(frame, "sharing_churn")
    assert analysis.chart(frame).to_dict()["facet"]


@pytest.mark.slow
def test_discovery_and_scan_orders(tmp_path):
    trace = synthesize("clones", tmp_path, vms=3, memory="2MiB", change=0.2, every="20s", snapshots=4)[0]
    results = tk.replay(trace, {"sharing": {"module": ["esx", "sequential"], "rate": [5, 50]}})
    for name in ("scan_policies", "discovery_time"):
        analysis = load(name)
        frame = analysis.table(results).collect()
        if name == "scan_policies":
            assert frame.height == 4
            assert frame.filter(pl.col("rate") == 50)["found"].min() > frame.filter(pl.col("rate") == 5)["found"].max()
        check(frame, name)
        assert analysis.chart(frame).to_dict()
