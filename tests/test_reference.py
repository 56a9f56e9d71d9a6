"""The docs beside the code: the committed reference is what the code says, the site builds."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tracekit.cli import reference
from tracekit.schema import RESULTS

ROOT = Path(__file__).parent.parent
ZENSICAL = Path(sys.executable).parent / "zensical"


def test_the_reference_is_what_the_code_says():
    for name, text in reference.documents().items():
        assert (ROOT / "docs" / "reference" / name).read_text() == text, f"docs/reference/{name} has drifted: make docs writes it anew"
    assert all(f"\n## {name}\n" in reference.tables() for name in RESULTS)


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
