"""The command line. Heavy imports stand inside the commands, so that --help is quick.

Exit codes: 0 done, 1 a check found a problem, 2 usage, 3 bad trace or scenario, 130 interrupted.
"""

import io
import sys
from typing import Annotated

import typer

from tracekit import __version__
from tracekit.cli import (
    analyzing,
    capturing,
    comparing,
    consolidating,
    curves,
    fleet,
    importing,
    replaying,
    reporting,
    reproducing,
    sweeping,
    tools,
    traces,
)
from tracekit.errors import TracekitError

app = typer.Typer(
    name="tracekit",
    help="Replay virtual-machine memory traces: sharing, ballooning and paging, idle tax, I/O remapping, on one clock.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog="Start with: tracekit replay traces/\\*.parquet",
)
_GROUPS = (
    replaying, sweeping, fleet, reporting, comparing, analyzing, reproducing, traces, curves, capturing, importing, tools, consolidating,
)  # fmt: skip
for group in _GROUPS:
    app.add_typer(group.app)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tracekit {__version__}")
        raise typer.Exit()


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; what the user did wrong is one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except TracekitError as error:
        print(f"tracekit: {' '.join(str(error).splitlines())}", file=sys.stderr)
        sys.exit(3)
    except KeyboardInterrupt:
        print("tracekit: interrupted; what was finished is kept", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
