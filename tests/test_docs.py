"""What the docs show works: code runs, scenarios parse, commands exist, links lead somewhere."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from tracekit.cli import app
from tracekit.scenario import apply_settings, load_preset, variants

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "analyses" / "README.md"]


def blocks(page, language):
    """Code blocks of a language on a page."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def commands(page):
    """The commands of tracekit in a page's shell blocks, as lists of words."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = [*(word for word in shlex.split(line, comments=True) if word != "…"), "&&"]
            while words:
                end = next(i for i, word in enumerate(words) if word in ("&&", "|", ">"))
                if words[:1] == ["tracekit"]:
                    yield words[1:end]
                words = words[end + 1 :]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with the captures, to write into, as the current one."""
    for name in ("traces", "analyses"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python") and page.name != "modules.md"], ids=lambda page: page.name
)
def test_python_code_runs(page, workplace, capsys):
    for code in blocks(page, "python"):
        exec(compile(code, page.name, "exec"), {})
    if page.name == "README.md":
        assert "optimal" in capsys.readouterr().out
        (lines,) = [[line for line in code.splitlines() if line and not line.startswith("import")] for code in blocks(page, "python")]
        assert len(lines) < 10  # two policies over VMs


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_understood(page):
    """Arguments, options, and of replays the scenario. What captures or imports needs files that are not here."""
    for words in commands(page):
        group, name = typer.main.get_command(app), words[0]
        while isinstance(getattr(group, "commands", None), dict):
            command, words = group.commands.get(words[0]), words[1:]
            assert command is not None, f"{page.name} shows the command {name}"
            group = command
        given = group.make_context(name, words, resilient_parsing=False).params
        if name == "replay":
            assert variants(apply_settings(load_preset(given["preset"]), given["settings"] or ()))


RUN = ("README.md", "analyses/README.md", *(f"docs/{name}.md" for name in ("allocation", "analyses", "estimators", "scenarios", "synth")))


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_commands_run(page, workplace):
    """All blocks but those that need QEMU, make or files of the reader's own."""
    (workplace / "tracekit").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tracekit.cli "$@"\n')
    (workplace / "tracekit").chmod(0o755)
    shown = [block for block in blocks(ROOT / page, "sh") if block.startswith("tracekit") and "tracekit import" not in block]
    assert shown
    for block in shown:
        environment = os.environ | {"PATH": f"{workplace}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-ec", block], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


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
