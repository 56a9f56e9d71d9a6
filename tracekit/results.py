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
from typing import TYPE_CHECKING, Any

import polars as pl

from tracekit.compare.comparison import Comparison
from tracekit.compare.swept import numbers, swept
from tracekit.display import Description, html, html_table
from tracekit.errors import ScenarioError, TracekitError, nearest
from tracekit.registry import load
from tracekit.schema import RESULTS, Table
from tracekit.sql import query
from tracekit.tables import Tables

_POLARS: dict[str, Any] = {
    "int64": pl.Int64, "uint64": pl.UInt64, "uint32": pl.UInt32, "uint16": pl.UInt16, "float64": pl.Float64, "bool": pl.Boolean,
    "string": pl.String, "dictionary": pl.String,
}  # fmt: skip

#: Replays that the HTML of results lists.
_SHOWN = 8
#: Names of folders that are no cells yet begin with this.
_UNFINISHED = ".unfinished-"

Rows = Mapping[str, tuple[Table, list[dict[str, Any]]]]


class NoTable(TracekitError, AttributeError):
    """Results have no table of that name, nor the attribute."""


class Results(Tables):
    """Result tables as LazyFrames: ``results.savings``, ``results.table("savings")``, ``results.names``.

    ``results.describe()`` says which tables there are, ``results.describe("savings")`` what their columns mean.
    """

    def __init__(self) -> None:
        self._cells: dict[tuple[str, str], dict[str, pl.LazyFrame]] = {}  # (trace, variant) → its tables
        #: Why traces could not be replayed at all, or by one of the variants, where others could.
        self.refused: list[str] = []

    @property
    def names(self) -> list[str]:
        """Names of the tables that there are."""
        return list(dict.fromkeys(name for tables in self._cells.values() for name in tables))

    def table(self, name: str) -> pl.LazyFrame:
        """One table over all traces and variants. Raises NoTable if there is none of that name."""
        frames, seen = [], set()
        for (_, variant), tables in self._cells.items():
            if name in tables and (name != "variants" or variant not in seen):  # parameters are the same on every trace
                frames.append(tables[name])
            seen.add(variant)
        if not frames:
            raise NoTable(f"no table {name!r} in these results; there are {', '.join(sorted(self.names)) or 'none'}")
        return pl.concat(frames, how="diagonal")

    if not TYPE_CHECKING:  # tables of a stranger's modules; a misspelt name is the type checker's to find

        def __getattr__(self, name: str) -> pl.LazyFrame:
            if name.startswith("_"):
                raise AttributeError(name)
            return self.table(name)

    def __dir__(self) -> Iterable[str]:
        return [*(name for name in super().__dir__() if name not in RESULTS), *self.names]

    def params(self, *names: str) -> pl.LazyFrame:
        """One row a variant with the named parameters (``"tax.rate"``) as columns: join it to any table on ``variant``.

        A parameter whose values are all numbers is a column of numbers; all others are as ``--set`` would take them. Without
        names it has the parameters in which the variants differ. Raises ScenarioError for a name that no variant has.
        """
        key = (pl.col("stage") + "." + pl.col("param")).alias("key")
        long = self.table("variants").with_columns(key).collect()
        known = long["key"].unique(maintain_order=True)
        wanted = list(names) or swept(self).columns[1:]
        for name in names:
            if name not in known:
                raise ScenarioError(f"no parameter {name!r} in these results{nearest(name, known)}")
        wide = long.filter(pl.col("key").is_in(wanted)).pivot("key", index="variant", values="value")
        every = long.select(pl.col("variant").unique(maintain_order=True)).join(wide, on="variant", how="left", maintain_order="left")
        return every.select("variant", *(numbers(every[name]) for name in wanted)).lazy()

    def compare(self, by: str | None = None, metric: str | None = None, baseline: Any = None) -> Comparison:
        """Variants side by side on the same trace: differences from a baseline, intervals, the Pareto front, best and worst.

        ``by`` is the parameter that is compared, all others averaged over; without it, the first module that varies, or parameter,
        with all others equal. ``metric`` is one figure, such as ``"misses"``. ``baseline`` is a value of ``by``, or
        ``"paging.module=lru"``; without it what the paper chose, else the first in order. Raises ScenarioError.
        """
        return Comparison(self, by, metric, baseline)

    def sql(self, text: str) -> pl.DataFrame:
        """The answer to a query in SQL in which each table is a view; needs the extra ``sql`` (DuckDB)."""
        return query(self, text)

    def describe(self, name: str | None = None) -> Description:
        """What the columns of a table say: name, type, unit, prose. Without a name, which tables there are and their rows."""
        if name is not None:
            frame, schema = self.table(name), self._schemas().get(name)
            columns = {column.name: column for column in schema.columns} if schema else {}
            rows = [
                (column, str(kind), columns[column].unit if column in columns else "", columns[column].prose if column in columns else "")
                for column, kind in frame.collect_schema().items()
            ]
            about = pl.DataFrame(rows, schema=dict.fromkeys(("column", "type", "unit", "says"), pl.String), orient="row")
            return Description(f"{name}: {schema.prose}" if schema else name, about)
        schemas, counts = self._schemas(), pl.collect_all([self.table(name).select(pl.len()) for name in self.names])
        rows = [(name, count.item(), schemas[name].prose if name in schemas else "") for name, count in zip(self.names, counts)]
        return Description(
            self._heading(), pl.DataFrame(rows, schema={"table": pl.String, "rows": pl.Int64, "holds": pl.String}, orient="row")
        )

    def _schemas(self) -> dict[str, Table]:
        """Schemas by table, also those that a stranger's modules declare where these are installed."""
        used = self.table("variants").filter(pl.col("param") == "module").select("stage", "value").unique().collect()
        schemas = dict(RESULTS)
        for stage, module in used.iter_rows():
            try:
                schemas |= {table.name: table for table in load(stage.partition("_")[0], module).tables}
            except ScenarioError:
                continue
        return schemas

    def save(self, folder: Path | str) -> None:
        """Keep all tables in a directory, as ``replay(…, out=folder)`` does; ``open_results`` opens it. What else is there stays."""
        check_folder(folder)
        for (trace, variant), tables in self._cells.items():
            with _making(folder, trace, variant) as unfinished:
                for name, frame in zip(tables, pl.collect_all(list(tables.values()))):
                    frame.write_parquet(unfinished / f"{name}.parquet")

    def _heading(self) -> str:
        traces, variants = (len({cell[i] for cell in self._cells}) for i in (0, 1))
        return f"Results of {traces} trace{'s' * (traces != 1)} × {variants} variant{'s' * (variants != 1)}"

    def __repr__(self) -> str:
        return repr(self.describe()) if self._cells else self._heading()

    def _repr_html_(self) -> str:
        if not self._cells:
            return html(self._heading(), [])
        runs = (
            self.runs.select("trace", "variant", "synthetic", "kinds", "rows")
            .join(self.params(), on="variant", maintain_order="left")
            .collect()
        )
        parts = [html_table(self.describe().frame), html_table(runs.head(_SHOWN))]
        if runs.height > _SHOWN:
            parts.append(f'<p class="dim">… and {runs.height - _SHOWN} more</p>')
        return html(self._heading(), parts, "as attributes; .describe(NAME) explains a table's columns")

    def add(self, tables: Rows) -> None:
        """Add the tables of one replay."""
        run = tables["runs"][1][0]
        self._cells[run["trace"], run["variant"]] = {name: to_frame(table, rows).lazy() for name, (table, rows) in tables.items()}

    def add_cell(self, folder: Path | str, trace: str, variant: str) -> None:
        """Add the tables of a replay that was kept in a directory."""
        files = sorted(_cell(folder, trace, variant).glob("*.parquet"))
        self._cells[trace, variant] = {path.stem: pl.scan_parquet(path) for path in files}


def open_results(*folders: Path | str) -> Results:
    """Open directories of results, several as one. Raises TracekitError for one that is none."""
    results = Results()
    for folder in folders:
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
