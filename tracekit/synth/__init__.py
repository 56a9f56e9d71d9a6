"""Recipes that make traces: a seed gives the same rows bit for bit, on any machine, with the truth beside them.

``synthesize("clones", "out", seed=7, vms=4)`` writes ``out/clones.content.parquet`` and ``out/clones.truth.json``. A recipe is
a file here with ``Params``, ``plan`` and ``generate``; it is imported only when it is used.
"""

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekit.errors import ScenarioError


@dataclass(frozen=True)
class Recipe:
    """A recipe by name; ``prose`` is one line for a listing."""

    name: str
    prose: str

    def load(self) -> Any:
        """The recipe's module: ``Params``, ``plan(params)``, ``generate(params, seed, out)``."""
        return importlib.import_module(f"tracekit.synth.{self.name}")

    def describe(self) -> dict[str, Any]:
        """Name, one line, the whole text, and the parameters: dicts of name, type, default, unit and prose."""
        from tracekit.synth import params

        module = self.load()
        return {"name": self.name, "prose": self.prose, "text": module.__doc__, "params": params.describe(module.Params)}


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("zipf", "accesses whose popularity follows Zipf's law, of one VM or several"),
        Recipe("scan", "a sequential sweep over the pages, again and again, with an optional hot set"),
        Recipe("toucher", "Figure 6: a program touches memory of changing size; zero-page spike on request"),
        Recipe("clones", "Figure 4: identical VMs that share two thirds of their pages; accesses on request"),
        Recipe("tax", "Figure 7: an idle and a busy VM of known active sets, for the idle memory tax"),
        Recipe("nic", "section 7: DMA above 4 GiB by a 32-bit card's ring, a 32-bit stream and a 64-bit device"),
        Recipe("stream", "section 7, where remapping does not pay: a 32-bit disk that streams through high memory"),
        Recipe("boot5", "Figure 8: five Windows VMs boot and zero their memory; one of them falls idle and comes back"),
    )
}


def synthesize(
    name: str,
    out_dir: str | os.PathLike[str],
    seed: int = 0,
    name_of_capture: str | None = None,
    given: Mapping[str, Any] | None = None,
    **params: Any,
) -> list[Path]:
    """Write the recipe's capture into ``out_dir`` and return the files: one trace file a kind, then the truth.

    Files are ``<capture>.<kind>.parquet`` and ``<capture>.truth.json``; the capture is named like the recipe unless told
    otherwise. Parameters are Python values or texts as on a command line. Raises ScenarioError on an unknown recipe or
    parameter and on impossible values; nothing is left behind then.
    """
    from tracekit.metadata import provenance
    from tracekit.synth.capture import open_capture, write_truth
    from tracekit.synth.params import plain, resolve

    recipe, capture = find(name).load(), _capture_name(name if name_of_capture is None else name_of_capture)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ScenarioError(f"seed = {seed!r} is not a whole number; give one such as 0")
    chosen = resolve(name, recipe.Params, {**(given or {}), **params})
    plan, parameters = recipe.plan(chosen), plain(chosen)
    directory = Path(out_dir)
    told = directory / f"{capture}.truth.json"
    try:
        with open_capture(directory, capture, plan, provenance(parameters, recipe=name, seed=seed)) as out:
            truth = recipe.generate(chosen, seed, out)
        write_truth(told, {"capture": capture, "recipe": name, "seed": seed, "parameters": parameters} | truth)
    except OSError as error:
        raise ScenarioError(f"{directory}: cannot be written to ({error.strerror}); name another directory") from None
    return [*(directory / f"{capture}.{kind}.parquet" for kind in plan.kinds), told]


def describe(name: str) -> dict[str, Any]:
    """What a listing needs to know of a recipe. Raises ScenarioError if there is none of that name."""
    return find(name).describe()


def find(name: str) -> Recipe:
    """The recipe of that name. Raises ScenarioError if there is none."""
    if name not in RECIPES:
        raise ScenarioError(f"there is no recipe {name!r}; the recipes are {', '.join(RECIPES)}")
    return RECIPES[name]


def _capture_name(name: str) -> str:
    if not name or name.startswith(".") or any(c in name for c in "/\\+\0"):
        raise ScenarioError(f"{name!r} cannot name a capture, which names files; use letters, digits, - and _")
    return name
