"""A stranger's package, installed, stands beside the built-ins: found, swept, checked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "stranger"
TRACES = Path(__file__).parent.parent / "traces"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment in which the package is installed, entry points and all."""
    target = tmp_path_factory.mktemp("site")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(target),
        str(PACKAGE),
    ]
    subprocess.run(install, check=True, capture_output=True)
    return os.environ | {"PYTHONPATH": str(target)}


def run(environment, *command):
    """Standard output of a Python command in the environment."""
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_policy_is_swept_against_the_built_in_ones(environment):
    trace = str(TRACES / "balloon-workload.access.parquet")
    sweep = ["--preset", "paging", "--set", "paging.module=lru,mru,optimal", "--set", "paging.frames=9000", "--format", "json"]
    found = json.loads(run(environment, "-m", "tracekit.cli", "replay", trace, *sweep))
    module = {row["variant"]: row["value"] for row in found["variants"] if row["param"] == "module"}
    misses = {module[row["variant"]]: row["cold"] + row["major"] for row in found["tables"]["faults"]}
    assert set(misses) == {"lru", "mru", "optimal"}
    assert misses["optimal"] < min(misses["lru"], misses["mru"])
    assert misses["lru"] != misses["mru"]


def test_its_sharing_scheme_finds_the_zero_pages(environment):
    trace = str(TRACES / "six-vms.content.parquet")
    given = ["--preset", "sharing", "--set", "sharing.module=zero-only", "--format", "json", "--table", "savings"]
    host = [row for row in json.loads(run(environment, "-m", "tracekit.cli", "replay", trace, *given)) if row["vm"] == "*"][-1]
    assert host["shared"] == host["zero"] == 115875
    assert host["reclaimed"] == 115874


@pytest.mark.slow
def test_both_pass_the_check_for_modules_in_one_line_each(environment):
    code = "import stranger; from tracekit.testing import check; check(stranger.Mru); check(stranger.ZeroOnly); print('checked')"
    assert run(environment, "-c", code) == "checked\n"


def test_both_are_short():
    lines = (PACKAGE / "stranger.py").read_text().splitlines()
    assert len(lines) < 60  # two modules, each under 40 lines by far
