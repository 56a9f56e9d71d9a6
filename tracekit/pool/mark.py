"""Whether two machines that name the same folder mean the same one: a file in it says which it is."""

import uuid
from contextlib import suppress
from pathlib import Path

_NAME = ".sweep"


def mark_of(folder: Path | str) -> str:
    """What tells a folder from another of the same path on another machine; a new mark if it bears none."""
    try:
        return (Path(folder) / _NAME).read_text()
    except OSError:
        return uuid.uuid4().hex


def leave_mark(folder: Path | str, mark: str) -> None:
    """Have a folder bear a mark, unless it bears one."""
    with suppress(FileExistsError), open(Path(folder) / _NAME, "x") as file:
        file.write(mark)
