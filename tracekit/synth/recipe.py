"""Recipes as files: those in this package and one's own, and their parameters."""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from tracekit.errors import ScenarioError, nearest
from tracekit.synth import params
from tracekit.synth.expressions import FUNCTIONS
from tracekit.synth.setup import Setup, set_up

#: The paper's figures by the recipes that make their set-ups.
FIGURES = {
    "fig2": "dbench", "fig4": "clones", "fig5a": "mix-a", "fig5b": "mix-b", "fig5c": "mix-c", "fig6": "toucher", "fig7": "tax",
    "fig8": "boot5",
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """A recipe as it stands in a file: ``prose`` is one line for a listing, ``about`` what more is to say."""

    name: str
    where: str
    text: str
    prose: str
    about: str
    Params: type[Any]
    body: Mapping[str, Any]

    def describe(self) -> dict[str, Any]:
        """Name, one line, the whole text, and the parameters: dicts of name, kind, default, unit and prose."""
        return {"name": self.name, "prose": self.prose, "text": self.about, "params": params.describe(self.Params)}

    def set_up(self, given: Mapping[str, Any]) -> tuple[Setup, dict[str, Any]]:
        """What it makes with the parameters ``given``, and all of its parameters as JSON. Raises ScenarioError."""
        chosen = params.plain(params.resolve(self.where, self.Params, given))
        return set_up(self.where, self.body, chosen), chosen


@cache
def built_in() -> dict[str, Recipe]:
    """The recipes of this package by name."""
    found = sorted(files("tracekit.synth").joinpath("recipes").iterdir(), key=lambda file: file.name)
    texts = {file.name.removesuffix(".toml"): file.read_text(encoding="utf-8") for file in found if file.name.endswith(".toml")}
    return {name: _read(name, f"{name}.toml", text) for name, text in texts.items()}


def find(name: str) -> Recipe:
    """The recipe of that name, of that figure of the paper, or in that TOML file. Raises ScenarioError."""
    if name.endswith(".toml"):
        try:
            return _read(Path(name).name.removesuffix(".toml"), name, Path(name).read_text(encoding="utf-8"))
        except OSError as error:
            raise ScenarioError(f"{name}: cannot be read ({error.strerror}); name a TOML file, or one of {', '.join(built_in())}") from None
        except UnicodeDecodeError:
            raise ScenarioError(f"{name}: it is no text in UTF-8; name a TOML file") from None
    known = built_in()
    found = FIGURES.get(name, name)
    if found not in known:
        raise ScenarioError(
            f"there is no recipe {name!r}{nearest(name, known)}; the recipes are {', '.join(known)}; a file's name ends in .toml"
        )
    return known[found]


def _read(name: str, where: str, text: str) -> Recipe:
    try:
        body = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{where}: it is not valid TOML ({error}); correct it") from None
    prose, about = (_text(where, body, key) for key in ("about", "text"))
    declared = body.pop("params", {})
    if not isinstance(declared, dict):
        raise ScenarioError(f"{where}: params = {declared!r:.60} is no table; write [params]")
    made = [(key, Any, _parameter(where, key, value)) for key, value in declared.items()]
    return Recipe(name, where, text, prose, about or prose, dataclasses.make_dataclass("Params", made, frozen=True), body)


def _text(where: str, body: dict[str, Any], key: str) -> str:
    found = body.pop(key, "")
    if not isinstance(found, str):
        raise ScenarioError(f"{where}: {key} = {found!r:.60} is no text; give one")
    return found.strip()


def _parameter(where: str, name: str, told: Any) -> Any:
    """A field of the recipe's parameters, of ``{default, about, low, high}``. Raises ScenarioError."""
    form = '{default = "64MiB", about = "size of the VM"}, perhaps with low and high'
    if not isinstance(told, dict) or not told.keys() <= {"default", "about", "low", "high"} or "default" not in told:
        raise ScenarioError(f"{where}: params.{name} = {told!r:.60} does not declare a parameter; write {name} = {form}")
    if not name.isidentifier() or name == "vm" or name in FUNCTIONS:
        raise ScenarioError(
            f"{where}: params.{name}: expressions cannot use this name; give it one of letters, digits and _, not vm or min"
        )
    try:
        return params.field_like(told["default"], str(told.get("about", "")), told.get("low"), told.get("high"))
    except (ValueError, TypeError) as error:
        raise ScenarioError(f"{where}: params.{name} = {told!r:.60} cannot be taken ({error}); write {name} = {form}") from None
