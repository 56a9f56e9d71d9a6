"""The reference, written out of the code: commands, modules and their parameters, tables and their columns, as Markdown.

``python -m tracekit.cli.reference docs/reference`` writes it; a test holds the committed pages to what the code says.
"""

import dataclasses
import inspect
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer

from tracekit import registry
from tracekit.cli import app
from tracekit.module import Module, describe_param, show_param
from tracekit.scenario import HostParams, ReplayParams, VmParams
from tracekit.schema import CAPABILITIES, EVENTS, KINDS, MRC, PARTITION, RESULTS, TRUTH, Table

_KINDS = {Path: "PATH", int: "N", float: "X"}
_MADE = "<!-- Written by tracekit/cli/reference.py: change the code, then make docs. -->\n"


def documents() -> dict[str, str]:
    """The pages by file name."""
    return {"commands.md": commands(), "modules.md": modules(), "scenario.md": scenario(), "tables.md": tables(), "traces.md": traces()}


def commands() -> str:
    """Every command with its arguments and options."""
    group = typer.main.get_command(app)
    said = [
        _MADE,
        "# Commands\n",
        f"{group.help}\n",
        "Exit codes: 0 done, 1 a check found a problem, 2 usage, 3 bad trace or scenario, 130 interrupted.\n",
    ]
    found = sorted(_commands(group, "tracekit"), key=lambda pair: pair[0])
    for name, command in found:
        said += [f"## {name}\n", f"{inspect.cleandoc(command.help or '').strip()}\n"]
        rows = [_option(param) for param in command.params if param.name != "help"]
        said.append(_table(("argument or option", "what it does", "default"), rows))
    return "\n".join(said)


def _commands(command: Any, name: str) -> Iterable[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for called, inner in below.items():
        yield from _commands(inner, f"{name} {called}")


def _option(param: Any) -> tuple[str, str, str]:
    if param.param_type_name == "argument":
        name = f"{(param.metavar or param.name or '').upper()}{'…' if param.nargs == -1 else ''}"
        return f"`{name}`", param.help or "", "" if param.required or param.default is None else f"`{param.default}`"
    kind = param.metavar or _KINDS.get(param.type_descriptor.annotation, "TEXT")
    name = ", ".join([*param.opts, *param.secondary_opts]) + ("" if param.is_flag else f" {kind}")
    default = "" if param.default in (None, False, (), []) or callable(param.default) else f"`{param.default}`"
    return f"`{name}`", param.help or "", default


def modules() -> str:
    """Every module that is installed here, by stage: what it is, needs, fills, and its parameters."""
    said = [_MADE, "# Modules\n", "`tracekit modules NAME` prints the same. Choose one with `--set STAGE.module=NAME`.\n"]
    for family, names in registry.available().items():  # without what only this process has registered
        said.append(f"## {family}\n")
        for name in names:
            said += _module(family, registry.load(family, name))
    return "\n".join(said)


def _module(family: str, cls: type[Module]) -> list[str]:
    about = inspect.getdoc(cls) or ""
    filled = ", ".join(f"[`{table.name}`](tables.md#{table.name})" for table in cls.tables) or "none of its own"
    needs = ", ".join(sorted(cls.needs)) or "nothing"
    rows = [
        (
            f"`{family}.{field.name}`",
            f"{field.metadata['prose']}; {describe_param(field)}",
            _unit(field),
            f"`{show_param(field, field.default)}`",
        )
        for field in dataclasses.fields(cls.Params)
    ]
    said = [f"### {family}.{cls.name}\n", f"{about}\n", f"Needs of a trace: {needs}. Tables: {filled}.\n"]
    return [*said, _table(("parameter", "what it decides", "unit", "default"), rows)] if rows else said


def _unit(field: dataclasses.Field) -> str:
    return field.metadata["unit"]


def scenario() -> str:
    """The parameters of a scenario that belong to no module."""
    said = [_MADE, "# Host, replay and VMs\n", "What a scenario says besides its stages; see [scenarios](../scenarios.md).\n"]
    for name, cls in (("host", HostParams), ("replay", ReplayParams), ("vm", VmParams)):
        rows = [
            (
                f"`{name}.{field.name}`",
                f"{field.metadata['prose']}; {describe_param(field)}",
                _unit(field),
                f"`{show_param(field, field.default)}`",
            )
            for field in dataclasses.fields(cls)
        ]
        said += [f"## {name}\n", f"{inspect.getdoc(cls)}\n", _table(("parameter", "what it decides", "unit", "default"), rows)]
    return "\n".join(said)


def tables() -> str:
    """Every result table and its columns."""
    said = [
        _MADE,
        "# Result tables\n",
        "`tracekit.open(DIR).NAME`, or `DIR/*/NAME.parquet`. What each cannot tell: [reading the numbers](../reading.md).\n",
    ]
    return "\n".join([*said, *map(_columns, (*RESULTS.values(), MRC, PARTITION))])


def traces() -> str:
    """The trace kinds, events, capabilities, and the truth beside a synthetic trace."""
    said = [
        _MADE,
        "# Trace columns\n",
        "Files of [traces](../traces.md) are Parquet, sorted by t, then seq.\n",
        *map(_columns, KINDS.values()),
    ]
    said += ["## Events\n", f"`what` of an event row that modules understand: {', '.join(f'`{name}`' for name in EVENTS)}.\n"]
    said += [
        "## Capabilities\n",
        _table(("capability", "what it says of a trace"), [(f"`{name}`", text) for name, text in CAPABILITIES.items()]),
    ]
    return "\n".join([*said, _columns(TRUTH)])


def _columns(table: Table) -> str:
    rows = [
        (f"`{column.name}`", column.type, column.unit, column.prose + (" (optional)" if column.optional else ""))
        for column in table.columns
    ]
    return "\n".join(
        [f"## {table.name}\n", f"{table.prose[:1].upper()}{table.prose[1:]}.\n", _table(("column", "type", "unit", "what it says"), rows)]
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [" | ".join(columns), "|".join("---" for _ in columns)]
    lines += [" | ".join(" ".join(str(cell).split()).replace("|", "\\|").replace("<", "&lt;") for cell in row) for row in rows]
    return "".join(f"| {line} |\n" for line in lines)


def write(folder: Path) -> None:
    """Write the pages into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
