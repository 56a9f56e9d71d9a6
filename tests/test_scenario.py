"""Scenarios: what a file, a preset and settings resolve to."""

import dataclasses
import itertools

import numpy as np
import pytest
from make_trace import write

import tracekit as tk
from tracekit import registry
from tracekit.errors import ScenarioError
from tracekit.module import Duration, Size, parse_param
from tracekit.scenario import PRESETS, HostParams, ReplayParams, VmParams, apply_settings, load_preset, load_scenario, show, variants
from tracekit.trace import Vm

#: The id of the preset esx.
GOLDEN = "c6c26756"

CLASSES = {"host": HostParams, "replay": ReplayParams, "vm": VmParams} | {
    f"{family}.{name}": registry.load(family, name).Params for family in registry.families() for name in registry.names(family)
}
FIELDS = [(cls, field) for cls, params in CLASSES.items() for field in dataclasses.fields(params)]


def resolve(tables, *settings):
    """All variants, as dictionaries of ``stage.param``."""
    return [
        {f"{row['stage']}.{row['param']}": row["value"] for row in variant.rows()} for variant in variants(apply_settings(tables, settings))
    ]


# ---------------------------------------------------------------------------------------------------- variants


def test_variants_are_the_product_in_the_order_given():
    tables = {"paging": {"module": ["random", "lru"], "frames": [1, 2]}, "replay": {"seed": [0, 1]}}
    found = [(v["paging.module"], v["paging.frames"], v["replay.seed"]) for v in resolve(tables)]
    assert found == list(itertools.product(["random", "lru"], ["1", "2"], ["0", "1"]))


def test_settings_add_axes_and_replace_values():
    found = resolve(load_preset("paging"), "paging.frames=1, 2", "paging.module=lru", "host.memory=1GiB")
    assert [(v["paging.module"], v["paging.frames"], v["host.memory"]) for v in found] == [
        ("lru", "1", str(1 << 30)),
        ("lru", "2", str(1 << 30)),
    ]


def test_settings_leave_the_tables_as_they_were():
    tables = load_preset("paging")
    apply_settings(tables, ["paging.frames=1"])
    assert tables == load_preset("paging")


def test_equal_variants_are_one():
    assert len(variants({"paging": {"module": "lru", "frames": [4, "4", 4.0]}})) == 1
    assert len(variants({"host": {"memory": ["1GiB", "1024MiB", 1 << 30]}, "paging": {"module": "lru"}})) == 1


def test_a_parameter_of_some_of_the_modules_is_for_those_alone():
    found = resolve({"tax": {"module": ["esx", "shares"], "rate": [0, 0.5]}})
    assert [(v["tax.module"], v.get("tax.rate")) for v in found] == [("esx", "0"), ("esx", "0.5"), ("shares", None)]


def test_the_module_none_leaves_a_stage_out():
    assert resolve(load_preset("esx"), "sharing.module=none")[0].keys() & {"sharing.module", "sharing.rate"} == set()
    assert [v.get("remap.module") for v in resolve(load_preset("esx"), "remap.module=hot,none")] == ["hot", None]


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_resolve(preset):
    assert len(variants(load_preset(preset))) == 1


def test_too_large_a_sweep_is_refused_before_it_is_made():
    with pytest.raises(ScenarioError, match="make 1000000000000 variants"):
        variants({"paging": {"module": "lru", "frames": list(range(10**6)), "poll": [f"{i}s" for i in range(10**6)]}})


# ---------------------------------------------------------------------------------------------------- ids


def test_ids_are_those_of_earlier_versions():
    """A change here makes every kept replay run again: add the new id only when a parameter is added on purpose."""
    (variant,) = variants(load_preset("esx"))
    assert variant.id == GOLDEN


def test_an_id_is_that_of_the_resolved_parameters():
    (plain,) = variants(load_preset("paging"))
    (spelled,) = variants({"paging": {"module": "random", "frames": 0, "poll": "1000ms"}, "host": {"memory": 0}})
    assert plain.id == spelled.id
    others = variants(apply_settings(load_preset("paging"), ["paging.frames=1,2", "replay.seed=0,1"]))
    assert len({variant.id for variant in others} | {plain.id}) == 5


def test_an_id_tells_numbers_apart_that_look_alike():
    assert len(variants({"tax": {"module": "esx", "rate": [0.75, 0.7500000001, 0.999999]}})) == 3


# ---------------------------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(("owner", "field"), FIELDS, ids=lambda value: getattr(value, "name", value))
def test_every_default_is_shown_as_it_is_read(owner, field):
    stage = owner.partition(".")[0]
    assert field.metadata["prose"]
    again = parse_param(stage, field, show(field.default))
    assert again == field.default
    assert type(again) is type(field.default) is field.type
    assert parse_param(stage, field, field.default) == field.default


@pytest.mark.parametrize(
    ("wanted", "text", "value"),
    [
        (Size, "512MiB", 512 << 20), (Size, "1.5KiB", 1536), (Size, 4096, 4096), (Size, "4096", 4096), (Duration, "1.5s", 1_500_000_000),
        (Duration, "10min", 600 * 10**9), (Duration, 1000, 1000), (int, "7", 7), (int, 7.0, 7), (float, "0.5", 0.5), (float, 1, 1.0),
        (bool, "true", True), (bool, False, False), (str, "lru", "lru"),
    ],
)  # fmt: skip
def test_values_are_read_from_toml_and_settings(wanted, text, value):
    params = dataclasses.make_dataclass("Params", [("x", wanted)])
    assert parse_param("stage", dataclasses.fields(params)[0], text) == value


# ---------------------------------------------------------------------------------------------------- hosts and VMs


VMS = [Vm(name, pages, 0, frozenset({"access"})) for name, pages in (("web-1", 512), ("web-2", 1024), ("db", 2048))]


def options(*tables):
    return variants({"vm": list(tables), "paging": {"module": "lru"}})[0].vm_options(VMS)


def test_vms_have_defaults_by_their_size():
    found = options()
    assert found["max"].tolist() == [512, 1024, 2048]
    assert found["min"].tolist() == found["place"].tolist() == [0, 0, 0]
    assert found["shares"].tolist() == [20, 40, 80]  # ten a MiB
    assert found["swap"].tolist() == [-1]


def test_patterns_name_vms():
    found = options({"name": "web-*", "shares": 7, "min": "1MiB"}, {"name": "d?", "max": "4MiB", "place": "4GiB"})
    assert found["shares"].tolist() == [7, 7, 80]
    assert found["min"].tolist() == [256, 256, 0]
    assert found["max"].tolist() == [512, 1024, 1024]
    assert found["place"].tolist() == [0, 0, 1 << 20]


def test_no_vm_may_hold_more_than_its_size():
    assert options({"name": "*", "max": "1TiB"})["max"].tolist() == [512, 1024, 2048]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"name": "nobody"}, "the trace has web-1, web-2, db"),
        ({"name": "web-1", "min": "4MiB"}, "min is larger than max or than the size of VM 'web-1'"),
        ({"name": "db", "min": "2MiB", "max": "1MiB"}, "min is larger"),
        ({"name": "db", "sharez": 1}, "did you mean shares?"),
    ],
)
def test_options_that_cannot_be(table, said):
    with pytest.raises(ScenarioError, match="vm") as refused:
        options(table)
    assert said in str(refused.value).replace("\\", "")


@pytest.mark.uncompiled
def test_host_and_replay_sections_do_what_they_say(tmp_path):
    trace = write(tmp_path / "x.access.parquet", "access", 64, {"a": 64}, t=np.arange(64) * 10**9, ppn=np.arange(64))
    file = tmp_path / "s.toml"
    file.write_text('[host]\nmemory = "64KiB"\n[replay]\nuntil = "31s"\nreport = "10s"\nseed = 9\n[paging]\nmodule = "lru"\n')
    results = tk.replay(trace, file)
    assert results.runs.collect()["memory"].to_list() == [65536]
    assert results.runs.collect()["seed"].to_list() == [9]
    assert results.vm.collect()["t"].to_list() == [10 * 10**9, 20 * 10**9, 30 * 10**9, 31 * 10**9]
    assert results.vm.collect()["resident"].to_list() == [10, 16, 16, 16]
    assert load_scenario(file)["host"] == {"memory": "64KiB"}


def test_what_options_give_overrides_the_file(tmp_path):
    trace = write(tmp_path / "x.access.parquet", "access", 64, {"a": 64}, ppn=np.arange(64))
    tables = {"host": {"memory": "64KiB"}, "replay": {"seed": 1}, "paging": {"module": "lru"}}
    results = tk.replay(trace, tables, memory="128KiB", seed=2, settings=["paging.poll=2s"])
    assert results.runs.collect().select("memory", "seed").row(0) == (131072, 2)
    assert tables["host"] == {"memory": "64KiB"}


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"pagin": {"module": "lru"}}, "did you mean paging?"),
        ({"paging": {"module": "lur"}}, "did you mean lru?"),
        ({"paging": {"module": "lru", "frame": 1}}, "did you mean frames?"),
        ({"paging": {"module": "lru"}, "host": {"memori": 1}}, "did you mean memory?"),
        ({"paging": {"module": "lru"}, "replay": {"sead": 1}}, "did you mean seed?"),
    ],
)
def test_did_you_mean(tables, said):
    with pytest.raises(ScenarioError) as refused:
        variants(tables)
    assert said in str(refused.value)
