"""Results: tidy tables in memory, or in a directory of Parquet files, one folder a trace and variant.

``DIR/<trace>.<variant>/<table>.parquet`` appears by one rename when that replay has ended: a killed run leaves whole
folders or none. ``open_results(DIR)`` and the object that ``replay`` returns answer to the same names.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from tracekit.errors import TracekitError
from tracekit.schema import Table

_POLARS: dict[str, Any] = {
    "int64": pl.Int64, "uint64": pl.UInt64, "uint32": pl.UInt32, "uint16": pl.UInt16, "float64": pl.Float64, "bool": pl.Boolean,
    "string": pl.String, "dictionary": pl.String,
}  # fmt: skip

Rows = Mapping[str, tuple[Table, list[dict[str, Any]]]]


class Results:
    """Result tables as LazyFrames: ``results.savings``, ``results.table("savings")``, ``results.names``."""

    def __init__(self) -> None:
        self._frames: dict[str, list[pl.LazyFrame]] = {}

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
        for name, (table, rows) in tables.items():
            frame = to_frame(table, rows)
            if name == "variants" and name in self._frames:
                known = self.table(name).select("variant").unique().collect().to_series()
                frame = frame.filter(~pl.col("variant").is_in(known.implode()))
            self._frames.setdefault(name, []).append(frame.lazy())

    def add_cell(self, folder: Path | str, trace: str, variant: str) -> None:
        """Add the tables of a replay that was kept in a directory."""
        cell = _cell(folder, trace, variant)
        for path in sorted(cell.glob("*.parquet")):
            self._frames.setdefault(path.stem, []).append(pl.scan_parquet(path))


def open_results(folder: Path | str) -> Results:
    """Open a directory of results. Raises TracekitError if it is none."""
    results = Results()
    cells = sorted(path.parent for path in Path(folder).glob("*/runs.parquet"))
    if not cells:
        raise TracekitError(f"{folder}: holds no results; make some with: tracekit replay TRACES -o {folder}")
    seen: set[str] = set()
    for cell in cells:
        variant = cell.name.rpartition(".")[2]
        for path in sorted(cell.glob("*.parquet")):
            if path.stem != "variants" or variant not in seen:
                results._frames.setdefault(path.stem, []).append(pl.scan_parquet(path))
        seen.add(variant)
    return results


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


def write_cell(folder: Path | str, trace: str, variant: str, tables: Rows) -> None:
    """Keep the tables of one replay in a directory, all at once."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
    except OSError as error:
        raise TracekitError(f"{folder}: results cannot be kept there ({error.strerror}); choose another directory with -o") from None
    try:
        for name, (table, rows) in tables.items():
            to_frame(table, rows).write_parquet(temporary / f"{name}.parquet")
        cell = _cell(folder, trace, variant)
        if cell.exists():  # of other trace files under the same name
            shutil.rmtree(cell)
        os.replace(temporary, cell)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _cell(folder: Path | str, trace: str, variant: str) -> Path:
    return Path(folder) / f"{trace.replace(os.sep, '_')}.{variant}"
