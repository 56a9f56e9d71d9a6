import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekit.units import format_bytes, format_count, format_duration, format_pages, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("4096", 4096), ("512MiB", 512 << 20), ("1.5GiB", 3 << 29), (" 2 kB ", 2000), ("3T", 3 << 40), ("0.1kB", 100)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "ns"), [("1ns", 1), ("30s", 30 * 10**9), ("10min", 600 * 10**9), ("0.1s", 10**8), ("1.5h", 5400 * 10**9)])
def test_durations_are_read(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "x", "-1MiB", "1 mib", "1e3", "MiB", "1.MiB", "1,5GiB", "9999999999TiB", "inf", "1MiB2"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a size|too large a size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["10", "10 minutes", "", "-1s", "s", "99999999999d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a duration|too large a duration"):
        parse_duration(text)


@given(st.integers(0, (1 << 61) - 1))
def test_a_bare_number_is_bytes(size: int) -> None:
    assert parse_size(str(size)) == size


def test_quantities_are_written_for_people() -> None:
    assert [format_bytes(x) for x in (640, 12 << 20, 3 << 29, 1024, 200 << 30)] == ["640 B", "12.0 MiB", "1.50 GiB", "1.00 KiB", "200 GiB"]
    assert format_pages(256) == "1.00 MiB"
    spans = [format_duration(x) for x in (5, 2e3, 120e6, 64.3e9, 555e9, 3900e9)]
    assert spans == ["5 ns", "2 us", "120 ms", "64.3 s", "9 min 15 s", "1 h 05 min"]
    assert format_count(35_899_275).split() == ["35", "899", "275"]
