"""Reproductions: nothing in them is a number of the paper passed off as measured, and each says what it is."""

from html.parser import HTMLParser

import pytest
from run_cli import TRACES, run

from tracekit import repro
from tracekit.errors import ScenarioError
from tracekit.repro import fig4, fig7, sec7, shown
from tracekit.repro.figure import Bench, Row

#: Figures that are quick when small, a parameter of their replay, and another value of it.
SMALL = {
    fig4: ({"memory": "1MiB", "until": "30s"}, "sharing.rate=1"),
    fig7: ({"scale": 64, "duration": "120s"}, "tax.period=10s"),
    sec7: ({"transfers": 3000}, "remap.low=8KiB"),
}


def small(figure, folder, seed=0, settings=(), captures=None):
    return figure.reproduce(Bench(folder / f"{figure.__name__}-{seed}-{len(settings)}", seed, captures, settings), **SMALL[figure][0])


def numbers(outcome):
    return [row.measured for row in outcome.rows]


@pytest.mark.parametrize("figure", SMALL, ids=lambda figure: figure.__name__.rpartition(".")[2])
def test_measured_numbers_move_with_the_seed_and_with_a_parameter(figure, tmp_path):
    first = small(figure, tmp_path)
    assert numbers(first) == numbers(small(figure, tmp_path / "again"))
    assert numbers(first) != numbers(small(figure, tmp_path, seed=1))
    setting = SMALL[figure][1]
    assert numbers(first) != numbers(small(figure, tmp_path, settings=(setting,)))
    assert all(row.synthetic for row in first.rows)  # there is no checkout for this bench


def test_a_deviation_is_in_points_of_per_cent_and_else_relative():
    assert Row("", 64.0, "%", 67.0).deviation == -3.0
    assert Row("", 30.0, "MB", 40.0).deviation == -0.25
    assert Row("", 3.0, "MB", None, "some").deviation is None
    assert shown.deviation(Row("", 30.0, "MB", 40.0)) == "−25 %" and shown.published(Row("", 1.0, "%", None, "words")) == "words"
    assert (
        shown.kind(Row("", 1.0, "%", synthetic=False)) == "real" and shown.kind(Row("", 1.0, "%", built_in=True)) == "synthetic, built in"
    )


def test_a_page_holds_every_figure_and_its_deviations(tmp_path):
    outcomes = [small(fig4, tmp_path), small(sec7, tmp_path)]
    text = shown.page(outcomes, 0, 1.0)
    assert "default-src 'none'" in text and "http" not in text.replace("http-equiv", "")
    HTMLParser().feed(text)
    for outcome in outcomes:
        assert outcome.title in text and f'id="{outcome.name}"' in text
        for row in outcome.rows:
            assert shown.measured(row) in text and shown.deviation(row) in text
    assert "synthetic, built in" in text


def test_what_cannot_be_reproduced_is_said(tmp_path):
    done = run("repro", "fig3")
    assert done.code == 3 and "there is no figure 'fig3'" in done.err and "sec7 and all" in done.err
    done = run("repro", "fig4", "--traces", tmp_path)
    assert done.code == 3 and "holds no traces" in done.err
    with pytest.raises(ScenarioError, match="name one figure"):
        repro.reproduce(["all"], settings=["tax.rate=0"])
    assert repro.captures(TRACES) == TRACES


def test_without_a_checkout_synthetic_traces_take_the_place_of_real_ones_and_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(repro, "captures", lambda given=None: None)
    monkeypatch.setattr(repro, "reproduce", lambda *given: [small(sec7, tmp_path)])
    done = run("repro", "sec7", "--format", "csv")
    assert done.code == 0 and "no real captures here" in done.err
    assert done.out.startswith("figure,quantity,unit,measured,paper,deviation") and "(real)" not in done.out


@pytest.mark.slow
def test_all_figures_in_minutes(tmp_path):
    done = run("repro", "all", "--format", "json", "-o", tmp_path / "repro.html")
    assert done.code == 0
    assert all(f'id="{name}"' in (tmp_path / "repro.html").read_text() for name in repro.FIGURES)
