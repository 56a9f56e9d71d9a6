"""Copy-on-write storms, how long sharing lasts, and pages that guests name."""

import numpy as np
import pytest
from make_trace import write
from reference import save

import tracekit
from tracekit.errors import ScenarioError

pytestmark = pytest.mark.uncompiled

SECOND = 10**9
VMS = {"a": 30, "b": 30}


@pytest.fixture
def alike(tmp_path):
    """Two VMs, each content in both; it is touched, so that memory can be short; a last row after a minute."""
    n, end = 60, 60 * SECOND
    common = {"vm": [name for name in VMS for _ in range(30)] + ["a"], "ppn": [*range(30), *range(30), 0]}
    t = np.array([0] * n + [end])
    digest = np.array([*range(1, 31), *range(1, 31), 1], np.uint64)
    return [
        write(tmp_path / "t.content.parquet", "content", n + 1, VMS, "t", t=t, seq=2 * np.arange(n + 1), digest=digest, **common),
        write(tmp_path / "t.access.parquet", "access", n + 1, VMS, "t", t=t, seq=2 * np.arange(n + 1) + 1, **common),
    ]


def storm(files, frames, part, **more):
    tables = {"sharing": {"module": "share-everything"}, "storm": {"module": "write", "at": "5s", "within": "20s", "part": part}}
    results = tracekit.replay(files, tables | {"paging": {"module": "lru", "frames": frames}} | more, auditing=True)
    return results.table("storm").collect()


@pytest.mark.parametrize("part", [0.5, 1.0])
def test_a_storm_takes_back_what_sharing_saved_and_no_more(alike, part):
    """Of a pair the first write needs a frame, the second does not: as many frames as pairs were touched."""
    rows = storm(alike, 60, part)
    assert (rows["sharers"][0], rows["saved"][0], rows["written"][0], rows["written"][-1]) == (60, 30, 0, round(60 * part))
    assert (rows["saved"] + rows["breaks"] == 30).all()
    assert rows["breaks"][-1] == 30 if part == 1 else 15 <= rows["breaks"][-1] < 30
    assert rows["page_outs"][-1] == 0 and rows["free"][-1] == 30 - rows["breaks"][-1]
    assert (rows["t"][0], rows["t"][-1]) == (5 * SECOND, 25 * SECOND)


def test_without_a_reserve_it_pages_out_and_the_state_falls(alike):
    """Memory for what is shared and ten pages more: the storm needs thirty."""
    calm, short = storm(alike, 60, 1.0), storm(alike, 40, 1.0, tax={"module": "esx", "overhead": 0})
    assert calm["state"].is_null().all()
    assert short["page_outs"][-1] >= 20 and short["breaks"][-1] + short["major"][-1] >= 30
    assert short["state"][0] == "high" and {"hard", "low"} & set(short["state"])


def test_a_storm_without_sharing_is_refused(alike):
    with pytest.raises(ScenarioError, match="without a stage sharing"):
        tracekit.replay(alike, {"storm": {"module": "write"}})


# ------------------------------------------------------------------------------------------------- churn


def test_how_long_sharing_lasts_and_why_it_ends(tmp_path):
    """Four pages of one content: told anew, written, left alone, off with its VM; two of another, to the end. Reports each second."""
    content = {"kind": "content", "digest": 7, "block": 1}
    rows = [{"kind": "access", "vm": vm, "ppn": ppn, "t": 0} for vm, n in (("a", 6), ("b", 1)) for ppn in range(n)]
    rows += [content | {"vm": vm, "ppn": ppn, "t": 0} for vm, ppn in (("a", 0), ("a", 1), ("a", 2), ("b", 0))]
    rows += [content | {"vm": "a", "ppn": ppn, "digest": 8, "block": 2, "t": 0} for ppn in (3, 4)]
    rows += [content | {"vm": "a", "ppn": 0, "digest": 9, "block": 3, "t": 3 * SECOND}]
    rows += [{"kind": "access", "vm": "a", "ppn": 1, "write": True, "t": 5 * SECOND}]
    rows += [{"kind": "event", "vm": "b", "what": "power-off", "t": 8 * SECOND}]
    rows += [content | {"vm": "a", "ppn": 5, "digest": 10, "block": 4, "t": 10 * SECOND}]
    scenario = {"sharing": {"module": "disco"}, "paging": {"module": "fifo", "frames": 7}, "replay": {"report": "1s"}}
    results = tracekit.replay(save(tmp_path, rows, {"a": 6, "b": 1}), scenario, auditing=True)
    table = results.table("churn").collect().filter(vm="*")
    found = {row["why"]: (row["pages"], row["mean"]) for row in table.to_dicts()}
    # What happens at t is first seen by the report a second later, the beginning too.
    assert found == {"content": (1, 3.0), "write": (1, 5.0), "VM ended": (1, 8.0), "others": (1, 8.0), "still": (2, 9.0)}


# ------------------------------------------------------------------------------------------------- hints of the guest


def test_pages_that_the_guest_names_are_shared_and_no_others(tmp_path):
    content = write(
        tmp_path / "t.content.parquet", "content", 5, {"a": 4}, "t",
        t=np.array([0, 0, 0, 0, 9]), seq=np.arange(5), ppn=[0, 1, 2, 3, 2], digest=np.array([7, 7, 7, 7, 7], np.uint64),
    )  # fmt: skip
    event = {"t": np.array([1, 5]), "seq": np.array([10, 11]), "what": ["madvise"] * 2, "a": [0, 1], "b": [3, -1]}
    more = {"capabilities": ("event", "share_hints")}
    hints = write(tmp_path / "t.event.parquet", "event", 2, {"a": 4}, "t", more=more, **event)
    results = tracekit.replay([content, hints], {"sharing": {"module": "guest-hinted"}}, auditing=True)
    last = results.savings.filter(vm="a").collect().to_dicts()[-1]
    assert (last["shared"], last["possible_shared"], last["breaks"]) == (2, 4, 1)
