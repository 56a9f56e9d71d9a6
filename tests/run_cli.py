"""Runs the command line: in this process, which is quick, or in one of its own."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from tracekit import cli

TRACES = Path(__file__).parent.parent / "traces"


class Done(NamedTuple):
    """How a command ended: its exit code, and what it wrote."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()


def run(*arguments: object) -> Done:
    """Run a command in this process. An exception that is not handled stays one: the test fails by it."""
    out, err, code = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO(), 0
    with mock.patch.object(sys, "argv", ["tracekit", *map(str, arguments)]), redirect_stdout(out), redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    out.flush()
    return Done(code, out.buffer.getvalue(), err.getvalue())  # pyright: ignore[reportAttributeAccessIssue]


def start(*arguments: object, **environment: str) -> subprocess.Popen[bytes]:
    """Start a command in a process of its own."""
    command = [sys.executable, "-m", "tracekit.cli", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | environment)


def captured(name: str) -> list[Path]:
    """The files of a committed capture."""
    return sorted(TRACES.glob(f"{name}.*.parquet"))
