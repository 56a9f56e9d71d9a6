"""The listing of synthesis recipes, and the page of one."""

from rich import box
from rich.console import Console
from rich.table import Table

from tracekit import synth


def show(name: str | None, console: Console) -> None:
    """List all recipes, or explain one and its parameters."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    if name is None:
        table.add_column("recipe")
        table.add_column("what it makes")
        for recipe in synth.built_in().values():
            table.add_row(recipe.name, recipe.prose)
        console.print(table)
        console.print("tracekit synth clones explains one; tracekit synth clones -o DIR -p vms=4 makes it")
        console.print("tracekit synth clones --toml > mine.toml copies one to change; tracekit synth mine.toml -o DIR makes that")
        return
    about = synth.describe(name)
    console.print(about["text"], markup=False)
    for column in ("parameter", "default", "unit", "what it decides"):
        table.add_column(column)
    for param in about["params"]:
        table.add_row(param["name"], str(param["default"]), param["unit"], param["prose"])
    console.print(table)
    console.print(f"make it with: tracekit synth {name} -o DIR -p KEY=VALUE --seed 0")
