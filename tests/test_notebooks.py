"""Every notebook runs from top to bottom on the committed captures."""

import importlib.util
import sys
from pathlib import Path

import pytest

pytest.importorskip("marimo")
FOLDER = Path(__file__).parent.parent / "notebooks"


@pytest.mark.parametrize("name", ["tour", "planner", "researcher"])
def test_it_runs_and_shows_something(name, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    notebook = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, notebook)
    spec.loader.exec_module(notebook)
    outputs, _ = notebook.app.run()
    assert sum(output is not None for output in outputs) >= 6
