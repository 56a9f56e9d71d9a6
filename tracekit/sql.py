"""SQL over result tables, by DuckDB in memory: it sees the tables and nothing else of this machine."""

from typing import TYPE_CHECKING

import polars as pl

from tracekit.errors import TracekitError

if TYPE_CHECKING:
    from tracekit.results import Results


def query(results: "Results", text: str) -> pl.DataFrame:
    """The answer to a query in which result tables are views. Raises TracekitError for a bad one, and without DuckDB."""
    try:
        import duckdb
    except ImportError:
        raise TracekitError("SQL needs DuckDB, which is not installed; get it with: pip install 'tracekit[sql]'") from None
    # Without external access a query reads and writes no file and loads no extension; without replacements it sees no variable of
    # this process. It cannot turn either back on.
    closed: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": "false",
        "python_enable_replacements": "false",
        "lock_configuration": "true",
    }
    with duckdb.connect(":memory:", config=closed) as connection:
        for name in results.names:
            if name in text:
                connection.register(name, results.table(name).collect().to_arrow())
        try:
            answer = connection.sql(text)
            if answer is None:
                raise TracekitError("this statement has no answer; ask with SELECT, such as: select * from runs")
            return pl.DataFrame(answer.to_arrow_table())
        except duckdb.Error as error:
            known = f"; tables are {', '.join(sorted(results.names))}" if isinstance(error, duckdb.CatalogException) else ""
            raise TracekitError(f"{str(error).splitlines()[0]}{known}") from None
