"""The docs beside the code: the committed reference is what the code says, commands in the docs exist, the site builds."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tracekit.cli import app, reference
from tracekit.schema import RESULTS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ZENSICAL = Path(sys.executable).parent / "zensical"


def test_the_reference_is_what_the_code_says():
    for name, text in reference.documents().items():
        assert (ROOT / "docs" / "reference" / name).read_text() == text, f"docs/reference/{name} has drifted: make docs writes it anew"
    assert all(f"\n## {name}\n" in reference.tables() for name in RESULTS)


def commands(page):
    """The commands of tracekit that a page shows, as lists of words."""
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|", line.partition(" #")[0]):
                words = shlex.split(part.partition(" > ")[0])
                if words[:1] == ["tracekit"]:
                    yield words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_docs_exist_and_know_their_options(page):
    for words in commands(page):
        command, rest = typer.main.get_command(app), words[1:]
        while getattr(command, "commands", None) and rest and not rest[0].startswith("-"):
            assert rest[0] in command.commands, f"{page.name}: tracekit has no command {rest[0]}"
            command, rest = command.commands[rest[0]], rest[1:]
        known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help", "--version"}
        for word in rest:
            if re.match(r"-[a-zA-Z-]", word):
                assert word.partition("=")[0] in known, f"{page.name}: {' '.join(words[:2])} has no option {word}"


@pytest.mark.skipif(not ZENSICAL.exists(), reason="zensical is not installed: pip install 'tracekit[docs]'")
def test_the_site_builds_with_whole_links_and_without_a_request(tmp_path):
    """A copy, so that nothing is written into the checkout; --strict refuses a link that leads nowhere."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    done = subprocess.run([ZENSICAL, "build", "--strict"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        fetched = re.findall(r'<(?:script|img|iframe|source)[^>]*src="([^"]+)"|<link[^>]*href="([^"]+)"', page.read_text())
        assert not [link for pair in fetched for link in pair if link.startswith(("http", "//"))], page.name
