"""Import plain Parquet whose columns go by other names, in other units."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from tracekit.errors import TraceError, first_line
from tracekit.formats.clock import Clock
from tracekit.formats.mapping import Source, resolve
from tracekit.formats.numbering import Numbering
from tracekit.formats.source import text_of
from tracekit.metadata import MAX_PPN, Metadata, VmInfo, infer_capabilities, provenance
from tracekit.schema import KINDS, Column
from tracekit.tracefile import ARROW
from tracekit.tracewriter import TraceWriter

BATCH_ROWS = 1 << 20


@dataclass
class Imported:
    """What an import wrote: rows, those dropped by reason, and what was changed on the way."""

    path: Path
    kind: str
    rows: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def import_parquet(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    mapping: Mapping[str, str],
    kind: str | None = None,
    vm: str | None = None,
    capture: str | None = None,
    sort: bool = False,
    called: Path | None = None,
    lost: Mapping[str, int] | None = None,
) -> Imported:
    """Write ``source`` (named ``called`` in what is said of it) as the trace ``out``.

    ``mapping`` is that of ``tracekit.formats.mapping.parse_mapping``; ``lost`` is what was dropped on the way to ``source``.

    ``kind`` is inferred from the mapped columns, ``vm`` names the one VM of a source that has no such column,
    ``capture`` defaults to the name of ``out``. Times become ns since the first row; timestamps need no scaling. Page
    ids that are no page numbers (texts, negative, 2³¹ and beyond) are numbered by first touch in their VM. Rows with a
    null where the schema allows none are dropped and counted. The source must be in order of t (and seq, where
    mapped) unless ``sort``, which sorts it in memory. Reads the source two or three times, in bounded memory.

    Raises TraceError, and then writes nothing.
    """
    source, out = Path(source), Path(out)
    try:
        parquet = pq.ParquetFile(source)
        if vm is not None:
            mapping = {**mapping, "vm": f"'{vm}'"}
        kind, sources = resolve(mapping, parquet.schema_arrow.names, kind, called or source)
        importer = _Importer(called or source, parquet, kind, sources, sort, lost or {})
        importer.survey()
        return importer.write(out, capture or text_of(out.name).removesuffix(".parquet").removesuffix(f".{kind}"), mapping)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise TraceError(
            f"{called or source}: cannot be read as Parquet ({first_line(error)}); is it there, whole, and of this format?"
        ) from None


class _Importer:
    def __init__(self, path: Path, parquet: pq.ParquetFile, kind: str, sources: Mapping[str, Source], sort: bool, lost: Mapping[str, int]):
        self._path, self._parquet, self._kind, self._sources, self._sort = path, parquet, kind, sources, sort
        self._columns = [column for column in KINDS[kind].columns if column.name in sources]
        self._clock = Clock(path)
        self._numbering: Numbering | None = None
        self._texts: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._devices: dict[str, None] = {}
        self._dropped = dict(lost)

    def survey(self) -> None:
        """First pass: the first time, each VM's size, whether page ids fit, and whether rows are in order."""
        fits, rows = True, 0
        last: tuple[int, int] | None = None
        for batch in self._batches():
            usable, dropped = self._usable(batch)
            for reason, count in dropped.items():
                self._dropped[reason] = self._dropped.get(reason, 0) + count
            if not usable.num_rows:
                rows += batch.num_rows
                continue
            t = self._times(usable)
            seq = self._values(usable, "seq").to_numpy(zero_copy_only=False) if "seq" in self._sources else None
            self._refuse_disorder(t, seq, last, rows)
            last = int(t[-1]), 0 if seq is None else int(seq[-1])
            vms = self._values(usable, "vm").dictionary_encode()
            fits = self._measure(usable, vms) and fits
            if self._kind == "io":
                self._devices.update(dict.fromkeys(self._values(usable, "device").unique().to_pylist()))
            rows += batch.num_rows
        if last is None:
            raise TraceError(f"{self._path}: holds no row that has a value in every column that a {self._kind} trace needs")
        if not fits:
            self._number_pages()

    def write(self, out: Path, capture: str, mapping: Mapping[str, str]) -> Imported:
        """Second pass: write the rows."""
        done = Imported(out, self._kind, dropped=self._dropped)
        if self._numbering is not None:
            done.notes.append("page ids are no page numbers: pages are numbered in the order of first touch in their VM")
        names = list(dict.fromkeys(["t", "seq", *(column.name for column in self._columns)]))
        with TraceWriter(out, self._metadata(capture, mapping, done, names), names) as writer:
            for batch in self._batches():
                usable, _ = self._usable(batch)
                if usable.num_rows:
                    writer.write(self._columns_of(usable, writer.rows))
            done.rows = writer.rows
        return done

    def _metadata(self, capture: str, mapping: Mapping[str, str], done: Imported, names: list[str]) -> Metadata:
        return Metadata(
            kind=self._kind,
            capture=capture,
            vms=tuple(VmInfo(name, max(pages, 1)) for name, pages in self._sizes.items()),
            capabilities=tuple(sorted(self._capabilities(names))),
            devices=tuple(self._devices),
            digest="as in the source",
            provenance=provenance(
                {"map": dict(mapping), "sort": self._sort},
                source={"file": text_of(self._path.name), "xxh3_64": _digest_of(self._path)},
                first_t=str(self._clock.origin),
                rows_dropped=done.dropped,
                notes=[*done.notes, "VM sizes are the largest page + 1"],
            ),
        )

    def _capabilities(self, names: list[str]) -> set[str]:
        found = infer_capabilities(self._kind, names)
        digest = self._sources.get("digest")
        if digest and digest.constant is None and self._parquet.schema_arrow.field(digest.column).type in (pa.int32(), pa.uint32()):
            found.discard("digest64")
        return found

    def _batches(self) -> Iterator[pa.RecordBatch]:
        wanted = list(dict.fromkeys(source.column for source in self._sources.values() if source.constant is None))
        if not self._sort:
            yield from self._parquet.iter_batches(BATCH_ROWS, columns=wanted)
            return
        keys = [self._sources[name].column for name in ("t", "seq") if name in self._sources]
        frame = pl.DataFrame(self._parquet.read(columns=wanted))
        yield from frame.sort(keys, maintain_order=True).to_arrow().to_batches(BATCH_ROWS)

    def _usable(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, dict[str, int]]:
        """Rows without a null where none may be, and how many others there are by reason."""
        dropped: dict[str, int] = {}
        good = np.ones(batch.num_rows, np.bool_)
        for column in self._columns:
            source = self._sources[column.name]
            if column.nullable or source.constant is not None:
                continue
            absent = batch.column(source.column).is_null(nan_is_null=True).to_numpy(zero_copy_only=False) & good
            if absent.any():
                dropped[f"null in {source.column}"] = int(np.count_nonzero(absent))
                good &= ~absent
        return (batch if good.all() else batch.filter(pa.array(good))), dropped

    def _values(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        """A trace column but ``t`` and ``ppn``, scaled and cast."""
        source = self._sources[name]
        wanted = next(column for column in self._columns if column.name == name)
        target = pa.string() if wanted.type == "dictionary" else ARROW[wanted.type]
        if source.constant is not None:
            return self._cast(pa.array([source.constant] * batch.num_rows, pa.string()), target, wanted, "a constant")
        return self._cast(self._scaled(batch, name), target, wanted, f"column {source.column!r}")

    def _cast(self, array: pa.Array, target: pa.DataType, wanted: Column, what: str) -> pa.Array:
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()  # pyright: ignore[reportAttributeAccessIssue]
        try:
            return array.cast(target)
        except pa.ArrowException:
            raise TraceError(
                f"{self._path}: {what} ({array.type}) cannot be {wanted.name!r}, which is {wanted.type} ({wanted.prose}); convert it first"
            ) from None

    def _scaled(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        source = self._sources[name]
        array = batch.column(source.column)
        if source.times == source.over == 1:
            return array
        if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
            raise TraceError(f"{self._path}: column {source.column!r} is {array.type}, so it cannot be scaled; expected numbers")
        if pa.types.is_integer(array.type):
            array = array.cast(pa.uint64() if pa.types.is_unsigned_integer(array.type) else pa.int64())
        try:
            if source.over == 1:
                return pc.call_function("multiply_checked", [array, pa.scalar(source.times, array.type)])
            return pc.call_function("divide", [array, pa.scalar(source.over, array.type)])
        except pa.ArrowException:
            raise TraceError(f"{self._path}: column {source.column!r} times {source.times} exceeds 64 bits; scale by less") from None

    def _times(self, batch: pa.RecordBatch) -> np.ndarray:
        source = self._sources["t"]
        if source.constant is not None:
            raise TraceError("column map: t cannot be a constant; map a column of times")
        return self._clock.since_first(batch.column(source.column), source)

    def _refuse_disorder(self, t: np.ndarray, seq: np.ndarray | None, last: tuple[int, int] | None, first_row: int) -> None:
        last_t, last_seq = last or (int(t[0]), -1)
        before = np.concatenate([[last_t], t[:-1]])
        falls = t < before
        if seq is not None:
            rises = np.concatenate([[int(seq[0]) > last_seq], seq[1:] > seq[:-1]])
            falls |= (t == before) & ~rises
        if falls.any():
            i = int(np.argmax(falls))
            said = f"{self._path}, near row {first_row + i}: out of order ({t[i]} ns after {before[i]} ns since the first row)"
            many = ", and no seq twice at one time" if seq is not None else ""
            raise TraceError(f"{said}; expected rows in order of time{many}: --sort (sort=True) sorts them in memory")

    def _measure(self, batch: pa.RecordBatch, vms: pa.Array) -> bool:
        """Take in the VMs' largest pages; False once a page id is no page number."""
        names = vms.dictionary.to_pylist()  # pyright: ignore[reportAttributeAccessIssue]
        code = vms.indices.to_numpy(zero_copy_only=False)  # pyright: ignore[reportAttributeAccessIssue]
        for name in names:
            self._sizes.setdefault(name, 0)
        if "ppn" not in self._sources:
            return True
        ids = self._page_ids(batch)
        if not pa.types.is_integer(ids.type):
            return False
        known = ids.is_valid().to_numpy(zero_copy_only=False)
        page = ids.fill_null(0).to_numpy(zero_copy_only=False)
        if ((page < 0) | (page >= MAX_PPN)).any():
            return False
        for i, name in enumerate(names):
            mine = page[known & (code == i)]
            self._sizes[name] = max(self._sizes[name], int(mine.max(initial=0)) + 1 if len(mine) else 0)
        return True

    def _page_ids(self, batch: pa.RecordBatch) -> pa.Array:
        source = self._sources["ppn"]
        if source.constant is not None:
            raise TraceError("column map: ppn cannot be a constant; map a column of pages")
        ids = self._scaled(batch, "ppn")
        if pa.types.is_dictionary(ids.type):
            ids = ids.dictionary_decode()  # pyright: ignore[reportAttributeAccessIssue]
        if not (pa.types.is_integer(ids.type) or pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type)):
            raise TraceError(f"{self._path}: column {source.column!r} is {ids.type}, expected page numbers, or integers or texts to number")
        return ids

    def _number_pages(self) -> None:
        """Number the page ids of every VM in the order of first touch."""
        self._numbering = Numbering(len(self._sizes))
        for batch in self._batches():
            usable, _ = self._usable(batch)
            if usable.num_rows:
                self._numbered(usable)
        self._sizes = dict(zip(self._sizes, self._numbering.counts.tolist()))

    def _numbered(self, batch: pa.RecordBatch) -> pa.Array:
        """Page numbers of ids of any kind; texts are told apart by when they first appeared."""
        assert self._numbering is not None
        ids, vms = self._page_ids(batch), self._values(batch, "vm").dictionary_encode()
        code = {name: i for i, name in enumerate(self._sizes)}
        vm = np.array([code[name] for name in vms.dictionary.to_pylist()], np.int32)[vms.indices.to_numpy()]  # pyright: ignore[reportAttributeAccessIssue]
        known = ids.is_valid().to_numpy(zero_copy_only=False)
        if pa.types.is_integer(ids.type):
            wide = ids.fill_null(0).cast(pa.uint64() if pa.types.is_unsigned_integer(ids.type) else pa.int64()).to_numpy()
        else:
            texts = ids.fill_null("").dictionary_encode()
            own = [self._texts.setdefault(text, len(self._texts)) for text in texts.dictionary.to_pylist()]
            wide = np.array(own, np.int64)[texts.indices.to_numpy()]
        page = np.zeros(len(wide), np.uint32)
        page[known] = self._numbering.number(wide.view(np.uint64)[known], vm[known])
        return pa.array(page, mask=~known)

    def _pages(self, batch: pa.RecordBatch) -> pa.Array:
        return self._page_ids(batch).cast(pa.uint32()) if self._numbering is None else self._numbered(batch)

    def _columns_of(self, batch: pa.RecordBatch, first: int) -> dict[str, object]:
        columns: dict[str, object] = {"t": self._times(batch), "seq": np.arange(first, first + batch.num_rows, dtype=np.uint64)}
        for column in self._columns:
            if column.name == "ppn":
                columns["ppn"] = self._pages(batch)
            elif column.name != "t":
                columns[column.name] = self._values(batch, column.name)
        return columns


def _digest_of(path: Path) -> str:
    digest = xxhash.xxh3_64()
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
