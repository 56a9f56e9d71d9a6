"""Recipes that make traces: a seed gives the same rows bit for bit, on any machine, with the truth beside them.

``synthesize("clones", "out", seed=7, vms=4)`` writes ``out/clones.content.parquet`` and ``out/clones.truth.parquet``. Recipes
are TOML files, those of ``synth/recipes/`` by name, any other by path; docs/synth.md tells what may stand in them.
"""

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tracekit.errors import ScenarioError
from tracekit.synth.recipe import Recipe, built_in, find

__all__ = ["Recipe", "built_in", "describe", "find", "synthesize"]


def synthesize(
    recipe: str,
    out_dir: str | os.PathLike[str],
    seed: int = 0,
    name_of_capture: str | None = None,
    given: Mapping[str, Any] | None = None,
    **params: Any,
) -> list[Path]:
    """Write the recipe's capture into ``out_dir`` and return the files: one trace file a kind, then the truth.

    Files are ``<capture>.<kind>.parquet`` and ``<capture>.truth.parquet``; the capture is named like the recipe unless told
    otherwise. Parameters are Python values or texts as on a command line. Raises ScenarioError on an unknown recipe or
    parameter and on impossible values; nothing is left behind then.
    """
    from tracekit.metadata import provenance
    from tracekit.schema import METADATA_KEY, TRUTH_SUFFIX
    from tracekit.synth.capture import open_capture
    from tracekit.synth.generate import generate, plan

    made = find(recipe)
    capture = _capture_name(made.name if name_of_capture is None else name_of_capture)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ScenarioError(f"seed = {seed!r} is not a whole number; give one such as 0")
    setup, parameters = made.set_up({**(given or {}), **params})
    planned, directory = plan(setup), Path(out_dir)
    if not planned.kinds:
        raise ScenarioError(f"{made.where}: it makes no rows at all; give a VM a block, or the capture snapshots")
    about = provenance(parameters, recipe=made.name, recipe_text=made.text, seed=seed)
    told = directory / f"{capture}{TRUTH_SUFFIX}"
    of = {"kind": "truth", "capture": capture, "synthetic": True, "provenance": about}
    try:
        with ExitStack() as stack:
            out = stack.enter_context(open_capture(directory, capture, planned, about))
            truth = generate(setup, seed, out)
            out.finish()
            stack.enter_context(truth.written(told, {METADATA_KEY: json.dumps(of, sort_keys=True).encode()}))
    except OSError as error:
        raise ScenarioError(f"{directory}: cannot be written to ({error.strerror}); name another directory") from None
    return [*(directory / f"{capture}.{kind}.parquet" for kind in planned.kinds), told]


def describe(name: str) -> dict[str, Any]:
    """What a listing needs to know of a recipe. Raises ScenarioError if there is none of that name."""
    return find(name).describe()


def _capture_name(name: str) -> str:
    if not name or name.startswith(".") or any(c in name for c in "/\\+\0"):
        raise ScenarioError(f"{name!r} cannot name a capture, which names files; use letters, digits, - and _")
    return name
