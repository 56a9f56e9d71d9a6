"""Writes ``tracekit/tables.py`` from the schema: ``python -m tracekit.schema.attributes``. A test holds the file to it."""

import textwrap
from pathlib import Path

from tracekit.schema import RESULTS
from tracekit.schema.table import Column, Table

_HEAD = '''"""The result tables as attributes, with every column explained. Written by ``python -m tracekit.schema.attributes``."""

import polars as pl


class Tables:
    """What ``Results`` has besides methods: one LazyFrame a table, over all traces and variants."""

    def table(self, name: str) -> pl.LazyFrame:
        """One table by its name. Raises NoTable if there is none of that name."""
        raise NotImplementedError
'''


def source() -> str:
    """The text of ``tracekit/tables.py``."""
    return _HEAD + "".join(_property(table) for table in RESULTS.values())


def _property(table: Table) -> str:
    prose = table.prose[0].upper() + table.prose[1:] + "."
    lines = textwrap.wrap(prose, 120)
    lines += ["", *(line for column in table.columns for line in _column(column))]
    text = "\n".join(f"        {line}".rstrip() for line in lines).lstrip()
    head = f"\n    @property\n    def {table.name}(self) -> pl.LazyFrame:\n"
    return f'{head}        """{text}\n        """\n        return self.table("{table.name}")\n'


def _column(column: Column) -> list[str]:
    unit = f" ({column.unit})" if column.unit else ""
    return textwrap.wrap(f"- ``{column.name}``{unit}: {column.prose}", 120, subsequent_indent="  ", break_on_hyphens=False)


if __name__ == "__main__":
    Path(__file__).parent.parent.joinpath("tables.py").write_text(source())
