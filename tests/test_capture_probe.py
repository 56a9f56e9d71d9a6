import json

import pytest
from real_vm import HAS_QEMU
from run_cli import run

from tracekit.capture import plugin, probe
from tracekit.errors import CaptureError


def test_what_is_not_there_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "QEMU", "no-such-qemu")
    monkeypatch.setattr(plugin.find_api, "__defaults__", ("no-such-qemu",))
    done = run("capture", "probe", "--format", "json")
    assert done.code == 0
    found = {row["what"]: row for row in json.loads(done.out)}
    for what in ("QEMU", "a VM under TCG", "a VM under KVM", "access plugin"):
        assert not found[what]["works"] and "no-such-qemu is not installed" in found[what]["found"] and found[what]["advice"]
    assert len(found) == 10 and all(row["found"] and row["advice"] for row in found.values())


@pytest.mark.skipif(not HAS_QEMU, reason="qemu-system-x86_64 is not installed")
def test_a_vm_is_really_booted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < probe._boot("tcg") < 30
    monkeypatch.setattr(probe, "_BOOT", bytes(512))  # no boot sector: the firmware finds nothing to start
    monkeypatch.setattr(probe.subprocess, "run", timed_out_soon(probe.subprocess.run))
    with pytest.raises(CaptureError, match="does not boot within"):
        probe._boot("tcg")
    with pytest.raises(CaptureError, match="does not boot"):
        probe._boot("no-such-accelerator")


def timed_out_soon(run):
    return lambda *args, **options: run(*args, **(options | {"timeout": min(options.get("timeout", 3), 3)}))


def test_kvm_that_is_slower_than_tcg_is_not_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_boot", {"kvm": 13.0, "tcg": 0.3}.__getitem__)
    ability = probe._ability("a VM under KVM", probe._kvm, "kvm", "tcg")
    assert (ability.works, ability.advice) == (False, "tcg") and "13.0 s, under TCG in 0.3 s" in ability.found


@pytest.mark.parametrize(("after", "works"), [([False, True], True), ([False, False], False), ([True, True], False)])
def test_soft_dirty_is_tried_and_not_asked(monkeypatch: pytest.MonkeyPatch, after: list[bool], works: bool) -> None:
    answers = iter([[False, False], after])
    monkeypatch.setattr(probe, "_soft_dirty_bits", lambda address, pages: next(answers))
    assert probe._ability("bits", probe._soft_dirty, "", "").works == works
