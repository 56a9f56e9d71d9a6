"""What columns and tables are."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Column:
    """One column. ``type`` is a name of the table in ``tracekit.tracefile.ARROW``; ``optional`` columns may be absent."""

    name: str
    type: str
    unit: str
    prose: str
    optional: bool = False
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A named list of columns: a trace kind, or a result table."""

    name: str
    prose: str
    columns: tuple[Column, ...] = field(default=())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)
