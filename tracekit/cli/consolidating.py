"""The command that puts more VMs on one host than were captured: consolidate."""

from pathlib import Path
from typing import Annotated

import typer

from tracekit.cli.options import Traces

app = typer.Typer()


@app.command()
def consolidate(
    traces: Traces,
    out: Annotated[Path, typer.Option("-o", "--out", help="Directory to write the captures to.", show_default=False)],
    vms: Annotated[str, typer.Option(metavar="N[,N…]", help="How many VMs; a capture is written for each number.")],
    seed: Annotated[str, typer.Option(metavar="N[,N…]", help="Seeds of when each copy begins; a capture for each.")] = "0",
) -> None:
    """Put copies of a capture's VMs on one host, each turned round in time, to see how many fit."""
    from tracekit.tools.consolidate import consolidate as run
    from tracekit.trace import open_trace

    trace = open_trace(*traces)
    for count in _numbers(vms, "--vms"):
        for number in _numbers(seed, "--seed"):
            for path in run(trace, count, out, seed=number):
                print(path)


def _numbers(text: str, option: str) -> list[int]:
    try:
        return [int(item) for item in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a list of numbers such as 2,4,8", param_hint=option) from None
