"""Lines of text parsed by patterns: what all readers of text formats share, at the speed of compiled code.

A pattern is a line with fields in braces::

    {*}[{cpu:dec}] {flags:word} {t:seconds}: swiotlb_bounced: dev_name: {device:word} dma_mask={mask:hex} {*}

``dec``, ``hex`` (no ``0x``), ``int`` (may be negative) and ``char`` are numbers; ``seconds`` is a decimal number as ns;
``word`` ends at a blank, or where the pattern goes on; ``span`` takes everything up to where the pattern goes on; ``{*}``
likewise, without keeping it (at the end: the rest of the line); ``{{`` is a brace. A blank matches any number of blanks, at
least one; around the line they do not count. Where what follows the last ``{*}`` or ``span`` so far does not match, it is
tried further on.

Patterns are compiled to a table that one kernel interprets; of several the first that matches counts. Every line that
matches none is counted, and nothing else happens to it. A last line without an end is never taken: it cannot be told
from one that was cut off.
"""

import os
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from tracekit.formats.source import BLOCK_BYTES, Stream
from tracekit.kernel import entry, jit

_LITERAL, _BLANKS, _FIND, _REST, _WORD, _CHAR, _SECONDS, _HEX, _DEC, _INT, _END = range(11)
_NUMBERS = {"hex": _HEX, "dec": _DEC, "int": _INT, "char": _CHAR, "seconds": _SECONDS}
_PIECES = re.compile(r"\{(\*)\}|\{(\w+):(\w+)\}|( +)|((?:\{\{|[^{ ])+)")
_MOST_SECONDS = 9 * 10**9
_ZERO, _NINE, _DOT, _MINUS, _NEWLINE, _RETURN, _BLANK, _TAB = (np.uint8(ord(c)) for c in "09.-\n\r \t")
_FNV, _TENTH = np.uint64(0x100000001B3), np.uint64(((1 << 64) - 1) // 10)


class Patterns:
    """Patterns by name, several of one name if there are several ways to write it.

    Those in ``skipped`` make no rows; lines that match are counted under the name, unless it begins with #.
    """

    def __init__(self, patterns: Mapping[str, str | Sequence[str]], skipped: Mapping[str, str | Sequence[str]] | None = None):
        self.names = [*patterns, *(skipped or {})]
        self._kept = len(patterns)
        self._columns: dict[str, int] = {}
        self._width = 0
        literals, ops, starts, groups = bytearray(), [], [0], []
        for group, texts in enumerate([*patterns.values(), *(skipped or {}).values()]):
            for text in (texts,) if isinstance(texts, str) else texts:
                ops += self._compile(text, literals)
                starts.append(len(ops))
                groups.append(group)
        self._literals = np.frombuffer(bytes(literals) + b"\0", np.uint8)
        self._ops, self._starts, self._groups = (np.array(made, np.int64) for made in (ops, starts, groups))

    def _compile(self, text: str, literals: bytearray) -> list[tuple[int, int, int, int]]:
        """One row (operation, begin and end of its literal, column) for each piece of the pattern."""
        pieces = list(_PIECES.finditer(text.strip(" ")))
        ops: list[tuple[int, int, int, int]] = []
        for piece, following in zip(pieces, [*pieces[1:], None]):
            star, name, kind, blanks, literal = piece.groups()
            onward = (" " if following[4] else (following[5] or "").replace("{{", "{")) if following else ""
            begin = len(literals)
            if star or kind == "span":
                literals += onward.encode()
                place = self._place(name, 2) if kind == "span" else -1
                ops.append((_FIND if onward else _REST, begin, len(literals), place))
            elif blanks:
                ops.append((_BLANKS, 0, 0, -1))
            elif literal:
                literals += literal.replace("{{", "{").encode()
                ops.append((_LITERAL, begin, len(literals), -1))
            elif kind == "word":
                ops.append((_WORD, ord(onward[0]) if onward else 0, 0, self._place(name, 2)))
            else:
                ops.append((_NUMBERS[kind], 0, 0, self._place(name, 1)))
        return [*ops, (_END, 0, 0, -1)]

    def _place(self, name: str, width: int) -> int:
        if name not in self._columns:
            self._columns[name] = self._width
            self._width += width
        return self._columns[name]

    def parse(self, block: np.ndarray) -> "Parsed":
        """Parse a block of whole lines."""
        lines = int(np.count_nonzero(block == _NEWLINE))
        which, values = np.empty(lines, np.int16), np.zeros((lines, max(self._width, 1)), np.uint64)
        counts = np.zeros(len(self.names) + 1, np.int64)
        rows = _parse(block, self._literals, self._ops, self._starts, self._groups, self._kept, which, values, counts)
        return Parsed(block, self, which[:rows], values[:rows], counts)

    def read(self, stream: Stream, tally: Any) -> Iterator["Parsed"]:
        """Parse what is left of a stream, some blocks at once; ``tally.drop(reason, lines)`` hears of what makes no rows."""
        workers = min(4, len(os.sched_getaffinity(0)))
        with ThreadPoolExecutor(workers) as pool:
            ahead: deque[Future[Parsed]] = deque()
            for block in whole_lines(stream, tally):
                ahead.append(pool.submit(self.parse, block))
                if len(ahead) > workers:
                    yield self._counted(ahead.popleft().result(), tally)
            while ahead:
                yield self._counted(ahead.popleft().result(), tally)

    def _counted(self, parsed: "Parsed", tally: Any) -> "Parsed":
        for name, count in zip([*self.names[self._kept :], "line not understood"], parsed.counts[self._kept :].tolist()):
            if count and not name.startswith("#"):
                tally.drop(name, count)
        return parsed


class Parsed:
    """Rows of a block: which pattern each line matched, and its fields."""

    def __init__(self, block: np.ndarray, patterns: Patterns, which: np.ndarray, values: np.ndarray, counts: np.ndarray):
        self._block, self._patterns, self.which, self._values, self.counts = block, patterns, which, values, counts

    def __len__(self) -> int:
        return len(self.which)

    def of(self, *names: str) -> "Parsed":
        """The rows that matched one of these patterns."""
        kept = np.isin(self.which, [self._patterns.names.index(name) for name in names])
        return self.where(kept)

    def where(self, kept: np.ndarray) -> "Parsed":
        """Some of the rows (bool by row)."""
        return self if kept.all() else Parsed(self._block, self._patterns, self.which[kept], self._values[kept], self.counts)

    def part(self, begin: int, end: int) -> "Parsed":
        """Rows ``begin`` … ``end − 1``."""
        return Parsed(self._block, self._patterns, self.which[begin:end], self._values[begin:end], self.counts)

    def __getitem__(self, name: str) -> np.ndarray:
        """A number by row (uint64; ``int`` and ``seconds`` are to be viewed as int64); 0 where the pattern has no such field."""
        return np.ascontiguousarray(self._values[:, self._patterns._columns[name]])

    def signed(self, name: str) -> np.ndarray:
        """A number by row as int64."""
        return self[name].view(np.int64)

    def texts(self, name: str) -> tuple[np.ndarray, list[str]]:
        """A word or span by row, as codes (int32) and the texts they stand for. Told apart by 64-bit hashes."""
        place = self._patterns._columns[name]
        encoded: Any = pa.array(self[name]).dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        first = np.zeros(len(encoded.dictionary), np.int64)
        first[codes[::-1]] = np.arange(len(codes))[::-1]
        spans = self._values[first, place + 1] if len(codes) else np.empty(0, np.uint64)
        return codes, [self._text(int(span)) for span in spans]

    def spans(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Begin and end in the block of a word or span by row (int64 each)."""
        both = np.ascontiguousarray(self._values[:, self._patterns._columns[name] + 1])
        begin = (both >> np.uint64(32)).astype(np.int64)
        return begin, begin + (both & np.uint64(0xFFFFFFFF)).astype(np.int64)

    def hex_lists(self, name: str, most: int = 1 << 16) -> tuple[np.ndarray, np.ndarray]:
        """Spans such as ``0x1000,0x2000``: how many numbers by row (−1: no such list), and all numbers (uint64)."""
        begin, end = self.spans(name)
        counts = np.empty(len(begin), np.int64)
        numbers = np.empty(int((end - begin).sum()) // 2 + len(begin) + 1, np.uint64)
        found = _hex_lists(self._block, begin, end, most, counts, numbers)
        return counts, numbers[:found]

    def _text(self, span: int) -> str:
        begin, length = span >> 32, min(span & 0xFFFFFFFF, 200)
        return self._block[begin : begin + length].tobytes().decode(errors="replace")


def whole_lines(stream: Stream, tally: Any) -> Iterator[np.ndarray]:
    """Blocks of whole lines; a last one without an end, and any of more than ``BLOCK_BYTES``, are dropped."""
    rest = b""
    overlong = False
    while piece := stream.read(BLOCK_BYTES):
        cut = piece.rfind(b"\n") + 1
        if not cut:
            overlong = overlong or len(rest) + len(piece) > BLOCK_BYTES
            rest = b"" if overlong else rest + piece
            continue
        if overlong:
            tally.drop("line too long", 1)
            begin = piece.find(b"\n") + 1
            rest, piece, cut, overlong = b"", piece[begin:], cut - begin, False
        block = rest + piece[:cut] if rest else piece[:cut]
        rest = piece[cut:]
        if block:
            yield np.frombuffer(block, np.uint8)
    if rest.strip() or overlong:
        tally.drop("last line without an end", 1)


@jit
def _digit(byte):
    """The value of a hexadecimal digit, 16 for any other byte."""
    if byte >= _ZERO and byte <= _NINE:
        return np.int64(byte) - 48
    lower = byte | np.uint8(32)
    if lower >= np.uint8(97) and lower <= np.uint8(102):
        return np.int64(lower) - 87
    return np.int64(16)


@jit
def _number(data, at, end, base, most):
    """A number of at most ``most`` digits: its value, and where it ends (where it began if it is none)."""
    value, begin = np.uint64(0), at
    while at < end:
        digit = _digit(data[at])
        if digit >= base or at - begin == most:
            break
        if at - begin == 19 and base == 10 and (value > _TENTH or (value == _TENTH and digit > 5)):
            return value, begin  # beyond 64 bits
        value = value * np.uint64(base) + np.uint64(digit)
        at += 1
    if at < end and _digit(data[at]) < base:
        return value, begin
    return value, at


@jit
def _is_blank(byte):
    return (byte == _BLANK) | (byte == _TAB)


@jit
def _is_at(data, at, end, literals, begin, stop):
    """Whether a literal stands here."""
    if at + stop - begin > end:
        return False
    for k in range(stop - begin):
        if data[at + k] != literals[begin + k]:
            return False
    return True


@entry
def _parse(data, literals, ops, starts, groups, kept, which, values, counts):
    """Match every line. Returns rows; ``counts`` are lines by pattern, and last those that match none."""
    rows, at = 0, 0
    while at < data.size and rows < which.size:
        end = at
        while data[end] != _NEWLINE:
            end += 1
        following = end + 1
        while end > at and (_is_blank(data[end - 1]) or data[end - 1] == _RETURN):
            end -= 1
        while at < end and _is_blank(data[at]):
            at += 1
        matched = -1
        if at < end:
            for pattern in range(starts.size - 1):
                for column in range(values.shape[1]):
                    values[rows, column] = np.uint64(0)
                if _matches(data, at, end, literals, ops, starts[pattern], values, rows):
                    matched = groups[pattern]
                    break
            if matched < 0:
                counts[counts.size - 1] += 1
            else:
                counts[matched] += 1
        if matched >= 0 and matched < kept:
            which[rows] = matched
            rows += 1
        at = following
    return rows


@jit
def _matches(data, begin, end, literals, ops, op, values, row):
    """Whether a line matches the pattern whose operations begin at ``op``; its fields go to ``values[row]``."""
    at, start = begin, begin
    again, again_at = -1, -1  # where to go on if what follows a {*} does not match
    while True:
        code, first, last, column = ops[op, 0], ops[op, 1], ops[op, 2], ops[op, 3]
        ok = True
        if code == _END:
            if at == end:
                return True
            ok = False
        elif code == _REST:
            if column >= 0:
                values[row, column + 1] = np.uint64(at) << np.uint64(32) | np.uint64(end - at)
            return True
        elif code == _LITERAL:
            ok = _is_at(data, at, end, literals, first, last)
            at += last - first
        elif code == _BLANKS:
            ok = at < end and _is_blank(data[at])
            while at < end and _is_blank(data[at]):
                at += 1
        elif code == _FIND:
            if again == op:
                at = again_at
            else:
                start = at
            blank = literals[first] == _BLANK
            while at + last - first <= end:
                if (blank and _is_blank(data[at])) or (not blank and _is_at(data, at, end, literals, first, last)):
                    break
                at += 1
            ok = at + last - first <= end
            if not ok:
                return False
            again, again_at = op, at + 1
            while blank and again_at < end and _is_blank(data[again_at]):
                again_at += 1
            if column >= 0:
                values[row, column + 1] = np.uint64(start) << np.uint64(32) | np.uint64(at - start)
        elif code == _WORD:
            word, mixed = at, np.uint64(0xCBF29CE484222325)
            while at < end and not _is_blank(data[at]) and data[at] != np.uint8(first):
                mixed = (mixed ^ np.uint64(data[at])) * _FNV
                at += 1
            ok = at > word
            values[row, column] = mixed ^ (mixed >> np.uint64(32))
            values[row, column + 1] = np.uint64(word) << np.uint64(32) | np.uint64(at - word)
        elif code == _CHAR:
            ok = at < end
            if ok:
                values[row, column] = np.uint64(data[at])
                at += 1
        elif code == _SECONDS:
            whole, stop = _number(data, at, end, 10, 19)
            ok = stop > at and whole <= np.uint64(_MOST_SECONDS)
            at = stop
            part, scale = np.uint64(0), np.uint64(10**9)
            if ok and at < end and data[at] == _DOT:
                at += 1
                while at < end and data[at] >= _ZERO and data[at] <= _NINE:
                    if scale > np.uint64(1):
                        scale = scale // np.uint64(10)
                        part += scale * np.uint64(_digit(data[at]))
                    at += 1
            values[row, column] = whole * np.uint64(10**9) + part
        else:
            negative = code == _INT and at < end and data[at] == _MINUS
            if negative:
                at += 1
            value, stop = _number(data, at, end, 16 if code == _HEX else 10, 16 if code == _HEX else 18 if code == _INT else 20)
            ok = stop > at
            at = stop
            values[row, column] = np.uint64(0) - value if negative else value
        if ok:
            op += 1
        elif again >= 0:
            op = again
        else:
            return False


@entry
def _hex_lists(data, begin, end, most, counts, numbers):
    """Parse lists of hexadecimal numbers, with or without 0x, parted by commas. Returns how many numbers there are."""
    found = 0
    for row in range(begin.size):
        at, stop, first = begin[row], end[row], found
        while at < stop:
            if at + 2 < stop and data[at] == _ZERO and data[at + 1] == np.uint8(120):
                at += 2
            value, after = _number(data, at, stop, 16, 16)
            if after == at or (after < stop and data[after] != np.uint8(44)) or found - first == most:
                found = first
                break
            numbers[found] = value
            found += 1
            at = after + 1
        counts[row] = -1 if found == first and stop > begin[row] else found - first
    return found
