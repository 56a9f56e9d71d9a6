"""The truth beside a capture: rows of quantities gathered while its rows are made, and the file they go to."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tracekit.schema import QUANTITIES, TRUTH
from tracekit.tracewriter import arrow_schema


class Truth:
    """Rows of the table ``truth``, in the order in which they become known."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, str, int, str, int, str, float]] = []

    def tell(self, t: int, until: int, vm: str, quantities: dict[str, Any], block: str = "", phase: int = 0, vms: int = 1) -> None:
        """Add what is so from ``t`` to ``until``, by quantity."""
        for name, value in quantities.items():
            assert name in QUANTITIES, name
            self.rows.append((t, until, vm, vms, block, phase, name, float(value)))

    @contextmanager
    def written(self, path: Path, metadata: dict[bytes, bytes]) -> Iterator[None]:
        """Write the table to ``path``; it appears there when the block has ended, and not at all if it fails."""
        schema = arrow_schema(TRUTH, TRUTH.names, metadata)
        columns = zip(*self.rows) if self.rows else [[] for _ in TRUTH.names]
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        try:
            table = pa.table([pa.array(list(column), field.type) for column, field in zip(columns, schema)], schema=schema)
            pq.write_table(table, temporary, compression="zstd")
            yield
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)


class Touched:
    """Counts accesses, writes and distinct pages of a stretch after another."""

    def __init__(self, pages: int):
        self._seen = np.zeros(pages, np.bool_)
        self.accesses = self.writes = 0

    def add(self, page: np.ndarray, write: np.ndarray) -> None:
        """Accesses to these pages."""
        self._seen[page] = True
        self.accesses += len(page)
        self.writes += int(np.count_nonzero(write))

    def end(self) -> dict[str, int]:
        """What the stretch had; the next one begins."""
        found = {"active": int(np.count_nonzero(self._seen)), "accesses": self.accesses, "writes": self.writes}
        self._seen[:] = False
        self.accesses = self.writes = 0
        return found
