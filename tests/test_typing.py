"""The type checker knows the result tables, as an editor does."""

import json
import subprocess
import sys

import pytest
from run_analysis import ROOT

pytest.importorskip("pyright")
SCRIPT = """
import tracekit as tk

results = tk.replay("x", paging=["lru", "arc"], tax={"rate": [0, 0.5]}, sharing=None, memory=["1GiB"], seed=range(3))
reveal_type(results.savings)
reveal_type(results.compare(metric="misses").differences)
results.saving
"""


@pytest.mark.slow
def test_tables_are_known_and_a_misspelt_one_is_found(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    settings = {"extraPaths": [str(ROOT)], "pythonVersion": "3.11", "reportUnusedExpression": False}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = [(found["severity"], found["message"]) for found in json.loads(done.stdout)["generalDiagnostics"]]
    assert [message for severity, message in said if severity == "information"] == [
        'Type of "results.savings" is "LazyFrame"',
        'Type of "results.compare(metric="misses").differences" is "DataFrame"',
    ]
    (error,) = [message for severity, message in said if severity == "error"]
    assert error.startswith('Cannot access attribute "saving"')
