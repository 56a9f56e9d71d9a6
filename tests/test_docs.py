"""What the docs show works: code runs, scenarios parse, commands exist, links lead somewhere."""

import re
import tomllib
from pathlib import Path

import pytest

from tracekit.scenario import variants

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page, language):
    """Code blocks of a language on a page."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def test_the_readme_code_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    (code,) = blocks(ROOT / "README.md", "python")
    exec(compile(code, "README.md", "exec"), {})
    assert "optimal" in capsys.readouterr().out


def test_the_scenario_in_the_docs_is_six_variants():
    (text,) = blocks(ROOT / "docs" / "scenarios.md", "toml")
    assert len(variants(tomllib.loads(text))) == 6


def test_the_module_in_the_docs_is_the_one_that_is_tested():
    (code,) = blocks(ROOT / "docs" / "modules.md", "python")
    body = code.partition("class Mru")[2]
    assert body.strip() in (ROOT / "tests" / "stranger" / "stranger.py").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_named_in_the_docs_exist(page):
    for name in re.findall(r"`((?:tracekit|modules|tests|docs|analyses|benchmarks|traces)/[\w/.-]+\.\w+)`", page.read_text()):
        assert (ROOT / name).exists() or (ROOT / "tracekit" / name).exists() or "results/" in name, f"{page.name} names {name}"
