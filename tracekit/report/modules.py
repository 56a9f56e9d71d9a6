"""The listing of modules, and the page of one: what it decides, needs, and takes as parameters."""

import dataclasses
import inspect

from rich import box
from rich.console import Console
from rich.table import Table

from tracekit import registry
from tracekit.errors import ScenarioError
from tracekit.module import Module, describe_param, show_param


def show(name: str | None, console: Console) -> None:
    """List all modules, those of a stage, or explain ``stage.module``."""
    stages = registry.families()
    if name is not None and name not in stages:
        stage, _, module = name.partition(".")
        if not module:
            raise ScenarioError(f"no stage or module {name!r}; stages are {', '.join(stages)}, a module is named like paging.lru")
        _explain(stage, registry.load(stage, module), console)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("module", "needs", "what it is"):
        table.add_column(column)
    for stage in stages:
        for module in registry.names(stage) if name in (None, stage) else ():
            cls = registry.load(stage, module)
            table.add_row(f"{stage}.{module}", ", ".join(sorted(cls.needs)), _first_line(cls))
    console.print(table)
    if name is None:
        console.print(
            "tracekit modules paging.lru explains one; --set paging.module=lru chooses it, --set paging.module=none leaves it out"
        )


def _first_line(cls: type[Module]) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def _explain(stage: str, cls: type[Module], console: Console) -> None:
    console.print(f"{stage}.{cls.name}", style="bold")
    console.print(inspect.getdoc(cls) or "", markup=False)
    source = inspect.getdoc(inspect.getmodule(cls)) or ""
    console.print(f"\n{source}\n", markup=False, style="dim")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("parameter", "default", "unit", "what it decides", "accepts"):
        table.add_column(column)
    for field in dataclasses.fields(cls.Params):
        default = show_param(field, field.default)
        table.add_row(f"{stage}.{field.name}", default, field.metadata["unit"], field.metadata["prose"], describe_param(field))
    console.print(table)
    filled = ", ".join(table.name for table in cls.tables) or "none"
    console.print(f"needs of a trace: {', '.join(sorted(cls.needs)) or 'nothing'} · fills tables: {filled}", markup=False)
