"""Results: tidy tables in memory, or in a directory of Parquet files, one folder a trace and variant.

``DIR/<trace>.<variant>/<table>.parquet`` appears by one rename when that replay has ended: a killed run leaves whole
folders or none. ``open_results(DIR)`` and the object that ``replay`` returns answer to the same names.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import polars as pl

from tracekit.errors import TracekitError
from tracekit.schema import Table

_POLARS: dict[str, Any] = {
    "int64": pl.Int64, "uint64": pl.UInt64, "uint32": pl.UInt32, "uint16": pl.UInt16, "float64": pl.Float64, "bool": pl.Boolean,
    "string": pl.String, "dictionary": pl.String,
}  # fmt: skip

#: Names of folders that are no cells yet begin with this.
_UNFINISHED = ".unfinished-"

Rows = Mapping[str, tuple[Table, list[dict[str, Any]]]]


class Results:
    """Result tables as LazyFrames: ``results.savings``, ``results.table("savings")``, ``results.names``."""

    def __init__(self) -> None:
        self._frames: dict[str, list[pl.LazyFrame]] = {}
        #: Why traces could not be replayed at all, or by one of the variants, where others could.
        self.refused: list[str] = []
        self._variants: set[str] = set()  # whose parameters are in table variants

    @property
    def names(self) -> list[str]:
        """Names of the tables that there are."""
        return list(self._frames)

    def table(self, name: str) -> pl.LazyFrame:
        """One table over all traces and variants. Raises TracekitError if there is none of that name."""
        if name not in self._frames:
            raise TracekitError(f"no table {name!r} in these results; there are {', '.join(sorted(self._frames)) or 'none'}")
        return pl.concat(self._frames[name], how="diagonal")

    def __getattr__(self, name: str) -> pl.LazyFrame:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self.table(name)
        except TracekitError as error:
            raise AttributeError(str(error)) from None

    def params(self, *names: str) -> pl.LazyFrame:
        """One row a variant with the named parameters (``"tax.rate"``) as columns: join it to any table on ``variant``."""
        key = (pl.col("stage") + "." + pl.col("param")).alias("key")
        wide = self.table("variants").with_columns(key).filter(pl.col("key").is_in(list(names))).collect()
        return wide.pivot("key", index="variant", values="value").lazy()

    def add(self, tables: Rows) -> None:
        """Add the tables of one replay."""
        variant = tables["runs"][1][0]["variant"]
        for name, (table, rows) in tables.items():
            self._add(name, variant, to_frame(table, rows).lazy())

    def add_cell(self, folder: Path | str, trace: str, variant: str) -> None:
        """Add the tables of a replay that was kept in a directory."""
        for path in sorted(_cell(folder, trace, variant).glob("*.parquet")):
            self._add(path.stem, variant, pl.scan_parquet(path))

    def _add(self, name: str, variant: str, frame: pl.LazyFrame) -> None:
        if name == "variants":
            if variant in self._variants:
                return
            self._variants.add(variant)
        self._frames.setdefault(name, []).append(frame)


def open_results(folder: Path | str) -> Results:
    """Open a directory of results. Raises TracekitError if it is none."""
    results = Results()
    cells = cells_of(folder)
    if not cells:
        raise TracekitError(f"{folder}: holds no results; make some with: tracekit replay TRACES -o {folder}")
    for cell in cells:
        trace, _, variant = cell.name.rpartition(".")
        results.add_cell(folder, trace, variant)
    return results


def cells_of(folder: Path | str) -> list[Path]:
    """The folders of finished replays in a directory of results."""
    return sorted(path.parent for path in Path(folder).glob("*/runs.parquet") if not path.parent.name.startswith(_UNFINISHED))


def to_frame(table: Table, rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """Rows as a frame with the table's columns and types."""
    schema = {column.name: _POLARS[column.type] for column in table.columns}
    return pl.DataFrame(list(rows), schema=schema, orient="row", strict=True)


def cell_done(folder: Path | str, trace: Any, variant: Any) -> bool:
    """Whether the directory holds this replay: same variant, and the same trace files."""
    runs = _cell(folder, trace.name, variant.id) / "runs.parquet"
    try:
        return pl.read_parquet(runs, columns=["source"])["source"].to_list() == [trace.digest]
    except (OSError, pl.exceptions.PolarsError):
        return False


def check_folder(folder: Path | str) -> None:
    """Raise TracekitError unless results can be kept in a directory, before the work is done for nothing."""
    folder = Path(folder).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        said = "may not be written" if there.is_dir() else "is a file"
        raise TracekitError(f"{folder}: results cannot be kept there ({there} {said}); choose another directory with -o")


def write_cell(folder: Path | str, trace: str, variant: str, tables: Rows) -> None:
    """Keep the tables of one replay in a directory, all at once."""
    with _making(folder, trace, variant) as unfinished:
        for name, (table, rows) in tables.items():
            to_frame(table, rows).write_parquet(unfinished / f"{name}.parquet")


def read_cell(folder: Path | str, trace: str, variant: str) -> dict[str, bytes]:
    """The files of a cell, to be carried to another machine."""
    return {path.name: path.read_bytes() for path in sorted(_cell(folder, trace, variant).iterdir())}


def copy_cell(folder: Path | str, trace: str, variant: str, files: Mapping[str, bytes]) -> None:
    """Keep the files of a cell that another machine has made, all at once."""
    with _making(folder, trace, variant) as unfinished:
        for name, content in files.items():
            (unfinished / name).write_bytes(content)


@contextmanager
def _making(folder: Path | str, trace: str, variant: str) -> Iterator[Path]:
    """A folder that becomes the cell of a replay when it is complete. Raises TracekitError if it cannot be written."""
    folder = Path(folder)
    temporary = handle = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
        handle = os.open(temporary, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_SH)  # until this process ends its work or its life: see sweep_up
        yield temporary
        _put(temporary, _cell(folder, trace, variant))
    except OSError as error:
        raise TracekitError(
            f"{folder}: results cannot be kept there ({error.strerror or error}); choose another directory with -o"
        ) from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def sweep_up(folder: Path | str) -> None:
    """Remove what killed processes left unfinished in a directory of results; who is still at work there holds a lock."""
    for left in Path(folder).glob(f"{_UNFINISHED}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime < 60:  # perhaps its maker has not come to lock it yet
                continue
            handle = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left)
            finally:
                os.close(handle)


def _put(temporary: Path, cell: Path) -> None:
    """Rename a folder to a cell, in place of an older one: of other trace files, or of another process at this moment.

    An older one is renamed out of the way first, so that a killed process leaves a whole cell or none, not half of one.
    """
    for last in (False, False, False, True):
        try:
            os.replace(temporary, cell)
            return
        except OSError:
            if last or not cell.exists():
                raise
            with suppress(OSError), tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=cell.parent) as aside:
                os.replace(cell, Path(aside) / cell.name)


def _cell(folder: Path | str, trace: str, variant: str) -> Path:
    return Path(folder) / f"{trace.replace(os.sep, '_')}.{variant}"
