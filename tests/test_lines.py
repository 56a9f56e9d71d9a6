"""The kernels that all readers share, against Python: patterns of lines against regular expressions, splits into pages by hand."""

import re

import numpy as np
import pytest
from foreign import pieces
from hypothesis import given, settings
from hypothesis import strategies as st

from tracekit.formats import lines as lines_module
from tracekit.formats.contents import Contents
from tracekit.formats.lines import Patterns
from tracekit.formats.pages import split
from tracekit.formats.source import Source

FIELDS = {
    "dec": r"(\d+)",
    "hex": r"([0-9a-fA-F]+)",
    "int": r"(-?\d+)",
    "seconds": r"(\d+(?:\.\d*)?)",
    "char": r"(\S)",
    "word": r"([^ \t]+?)",
}


def as_regex(pattern):
    """The pattern as a regular expression, and what its fields are."""
    out, kinds = "", []
    for star, _, kind, blanks, literal in lines_module._PIECES.findall(pattern):
        if star or kind == "span":
            out += "(.*?)" if kind else ".*?"
        elif blanks:
            out += r"[ \t]+"
        else:
            out += FIELDS[kind] if kind else re.escape(literal.replace("{{", "{"))
        kinds += [kind] if kind else []
    return re.compile(out), kinds


def value(kind, text):
    """What a field is as a number."""
    if kind == "seconds":
        whole, _, part = text.partition(".")
        return int(whole) * 10**9 + int(part[:9].ljust(9, "0"))
    return {"dec": int, "int": int, "hex": lambda t: int(t, 16), "char": ord}.get(kind, str)(text)


PATTERNS = {
    "plain": "{a:char} {b:hex},{c:dec}",
    "event": "{*}[{a:dec}] {b:word} {c:seconds}: name: {d:word} x={e:hex}{*}",
    "signed": "{a:int}:{b:span} end {c:dec}",
}
PARTS = st.sampled_from(
    ["[12]", "[x]", "a-b", "12", "3.25:", "name:", "x=ff", "x=fg", "S", "ff,8", "0,1", "-5:", "-5:q", "end", " ", "\t", ":", "7", "é"]
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(PATTERNS)), st.lists(st.lists(PARTS, max_size=9).map(" ".join), max_size=6))
def test_patterns_match_what_regular_expressions_match(name, texts):
    texts = [*texts, "S ff,8", " c 1 [7] abc 12.5: name: d x=1f rest", "-3:some thing end 9"]
    pattern, (regex, kinds) = Patterns({"it": PATTERNS[name]}), as_regex(PATTERNS[name])
    found = pattern.parse(np.frombuffer("".join(text + "\n" for text in texts).encode(), np.uint8))
    expected = [match.groups() for text in texts if (match := regex.fullmatch(text.strip(" \t")))]
    assert len(found) == len(expected)
    assert int(found.counts[-1]) == len([text for text in texts if text.strip(" \t")]) - len(expected)
    for column, kind in zip("abcde", kinds, strict=False):
        told = [value(kind, row["abcde".index(column)]) for row in expected]
        if kind in ("word", "span"):
            codes, names = found.texts(column) if kind == "word" else (None, None)
            begin, end = found.spans(column)
            assert [found._block[b:e].tobytes().decode() for b, e in zip(begin, end, strict=True)] == told
            assert codes is None or [names[code] for code in codes] == told
        else:
            assert (found.signed(column) if kind == "int" else found[column]).tolist() == told


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, (1 << 64) - 1), st.integers(0, 20_000)), max_size=8))
def test_records_are_split_into_pages(records):
    records = [(address, size) for address, size in records if address + size < 1 << 64]
    address, size = (np.array([record[i] for record in records], np.uint64) for i in (0, 1))
    made = [(int(r), int(p), int(n)) for part in split(address, size) for r, p, n in zip(*part, strict=True)]
    assert made == [(i, page, moved) for i, record in enumerate(records) for page, moved in pieces(*record)]


@given(st.lists(st.lists(st.integers(0, (1 << 64) - 1) | st.just(-1), max_size=6), max_size=5))
@settings(max_examples=100, deadline=None)
def test_lists_of_numbers(rows):
    """−1 stands for something that is no number, which spoils the list."""
    text = "".join("l {" + ",".join("zz" if n < 0 else f"0x{n:x}" for n in row) + "} e\n" for row in rows)
    counts, numbers = Patterns({"it": "l {{{list:span}} e"}).parse(np.frombuffer(text.encode(), np.uint8)).hex_lists("list")
    good = [row for row in rows if -1 not in row]
    assert counts.tolist() == [-1 if -1 in row else len(row) for row in rows]
    assert numbers.tolist() == [n for row in good for n in row]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(st.integers(0, 200_000), st.integers(0, 2), max_size=6), max_size=6))
def test_contents_tell_what_changed(snapshots):
    known, contents = {}, Contents()
    for snapshot in snapshots:
        page, digest = np.array(list(snapshot), np.uint64), np.array(list(snapshot.values()), np.uint64)
        assert contents.changed(page, digest).tolist() == [known.get(p) != d for p, d in snapshot.items()]
        known |= snapshot


@pytest.mark.parametrize("block", [7, 16, 1 << 22])
def test_lines_do_not_depend_on_blocks(block, tmp_path, monkeypatch):
    """Lines longer than a block are dropped, and the last one, which has no end."""
    monkeypatch.setattr(lines_module, "BLOCK_BYTES", block)

    class Tally:
        dropped = 0

        def drop(self, reason, count):
            self.dropped += count

    texts = [f"S {i:x},8" for i in range(40)]
    (tmp_path / "x").write_text("\n".join(texts))
    tally = Tally()
    with Source(tmp_path / "x").open() as stream:
        found = [int(b) for parsed in Patterns({"it": PATTERNS["plain"]}).read(stream, tally) for b in parsed["b"]]
    assert found == list(range(39))
    assert tally.dropped == 1
