"""Scenarios: TOML, presets and ``--set`` → variants. A list is a sweep axis; a variant is one choice from each.

A scenario has tables ``[host]``, ``[replay]``, ``[[vm]]`` and one a stage, in the order of the stages::

    [host]
    memory = "512MiB"

    [[vm]]
    name = "postgres*"
    shares = 2000

    [paging]
    module = ["random", "lru"]

Observers (``estimate``, ``watch``) may stand beside each other, each under a label: ``[estimate_damon]``, ``[estimate_esx]``.
The id of a variant is a digest of its resolved parameters.
"""

import dataclasses
import itertools
import json
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from tracekit import registry
from tracekit.errors import ScenarioError, nearest
from tracekit.module import Duration, Module, Size, pages_of, param, parse_param
from tracekit.trace import Vm
from tracekit.units import format_pages, parse_schedule

#: More variants than this would not fit into memory together.
MAX_VARIANTS = 10_000
PRESETS = ("esx", "sharing", "paging", "balloon", "swap", "tax", "remap", "tier", "working-set", "estimators", "esxi")
#: Families of observers: a scenario may have several modules of one beside each other, as stages ``family_label``.
BESIDE = ("estimate", "watch")
#: The highest tax rate τ, and why it is not 1 (paper section 5.2).
MOST_TAX = 1 - 2**-20
NOT_ALL = "at τ = 1 an idle page would be infinitely dear, k = 1/(1 − τ), and a VM could lose all that it does not touch at once"
#: Most shares of a VM, so that sums of them fit 64 bits.
MOST_SHARES = 1 << 40
#: ``stage.module = "none"`` leaves a stage out.
NO_MODULE = "none"


@dataclass(frozen=True)
class HostParams:
    """The machine."""

    memory: Size = param(Size(0), "machine memory; 0: sized from the trace", "byte", low=0, high=1 << 44)
    swap: Size = param(Size(0), "host swap space; 0: without limit", "byte", low=0, high=1 << 50)


@dataclass(frozen=True)
class ReplayParams:
    """The replay."""

    seed: int = param(0, "seed of every random choice", low=0, high=(1 << 62) - 1)
    report: Duration = param(
        Duration(0), "trace time between rows that show how things stand; 0: 5 s, more where that would be over 2000 of them", "ns", low=0
    )
    until: Duration = param(Duration(0), "trace time at which the replay ends, from the first row; 0: with the last row", "ns", low=0)


@dataclass(frozen=True)
class VmParams:
    """Options of the VMs whose name matches the pattern ``name``."""

    name: str = param("*", "VM name or pattern with * and ?")
    min: Size = param(Size(0), "guaranteed memory", "byte", low=0, high=1 << 44)
    max: Size = param(Size(0), "most memory that the VM may hold, even where there is more; 0: its size", "byte", low=0, high=1 << 44)
    shares: int = param(0, "shares; 0: ten a MiB of its size", low=0, high=MOST_SHARES)
    place: Size = param(Size(0), "machine address of its page 0, for remapping", "byte", low=0, high=1 << 43)
    node: int = param(0, "NUMA node that its memory lies on", low=0, high=1023)
    tax: float = param(-1.0, "its own tax rate τ, for tax.per-vm; −1: tax.rate", low=-1.0, high=MOST_TAX, why=NOT_ALL)
    arrive: Duration = param(
        Duration(0),
        "when it is powered on, from the first row; rows before are ignored. 0: it is there, or its boot event says",
        "ns",
        low=0,
    )
    depart: Duration = param(Duration(0), "when it is powered off for good; rows after are ignored. 0: when its events say", "ns", low=0)
    reshare: str = param("", "when it gets other shares: '60s=2000 120s=500'; empty: never")
    sharing: bool = param(True, "its pages may be shared")
    scan_rate: float = param(
        -1.0, "its own rate of scanning for sharing, which sharing.total limits too; −1: sharing.rate", "page/s", low=-1.0, high=1e9
    )
    salt: str = param("", "VMs of the same salt may share where sharing.domain is salted")


_SECTIONS: dict[str, Any] = {"host": HostParams, "replay": ReplayParams}


@dataclass(frozen=True)
class Variant:
    """One resolved choice: everything that decides a replay, besides the trace."""

    host: HostParams
    replay: ReplayParams
    vms: tuple[VmParams, ...]
    stages: Mapping[str, tuple[type[Module], Any]]  # stage → module class and its Params

    def rows(self) -> list[dict[str, str]]:
        """The parameters as rows (stage, param, value) of the table ``variants``."""
        rows = [_row(name, getattr(self, name)) for name in _SECTIONS]
        rows += [_row(f"vm {vm.name}", vm) for vm in self.vms]
        for stage, (cls, params) in self.stages.items():
            rows.append([{"stage": stage, "param": "module", "value": cls.name}])
            rows.append(_row(stage, params))
        return [row for group in rows for row in group]

    @property
    def id(self) -> str:
        """Eight hex digits that name the variant."""
        rows = json.dumps(self.rows(), sort_keys=True)
        return xxhash.xxh3_64_hexdigest(rows.encode())[:8]

    def make_modules(self) -> dict[str, Module]:
        """Fresh module instances by stage."""
        return {stage: cls(params) for stage, (cls, params) in self.stages.items()}

    def vm_options(self, vms: Sequence[Vm]) -> dict[str, np.ndarray]:
        """Per-VM arrays: min, max (pages), shares, place (page), node, sharing, salt (0: none), scan_rate, tax (−1: as the others),
        arrive and depart (ns, 0: not by the scenario), reshare (a list of (ns, shares) each); and swap (pages, −1 without limit)."""
        size = np.array([vm.pages for vm in vms], np.int64)
        options = {name: np.zeros_like(size) for name in ("min", "place", "node", "arrive", "depart")}
        options |= {"tax": np.full(len(vms), -1.0), "scan_rate": np.full(len(vms), -1.0), "reshare": np.empty(len(vms), object)}
        options["reshare"][:] = [[] for _ in vms]
        options |= {"max": size.copy(), "shares": np.maximum(size * 10 // 256, 1), "salt": np.zeros(len(vms), np.uint64)}
        options["sharing"] = np.ones(len(vms), np.bool_)
        for given in self.vms:
            matching = [i for i, vm in enumerate(vms) if fnmatchcase(vm.name, given.name)]
            if not matching:
                raise ScenarioError(f"[[vm]] name = {given.name!r} matches no VM; the trace has {', '.join(vm.name for vm in vms)}")
            for i in matching:
                options["min"][i] = pages_of(given.min)
                options["max"][i] = min(pages_of(given.max) or size[i], size[i])
                options["shares"][i] = given.shares or options["shares"][i]
                options["place"][i] = pages_of(given.place)
                options["node"][i], options["sharing"][i] = given.node, given.sharing
                options["scan_rate"][i] = given.scan_rate
                options["arrive"][i], options["depart"][i] = given.arrive, given.depart
                options["tax"][i], options["reshare"][i] = given.tax, _schedule(given)
                options["salt"][i] = xxhash.xxh3_64_intdigest(given.salt.encode()) if given.salt else 0
                if options["min"][i] > options["max"][i]:
                    raise ScenarioError(
                        f"[[vm]] name = {given.name!r}: min is larger than max or than the size of VM {vms[i].name!r}: "
                        f"{format_pages(options['min'][i])} of {format_pages(options['max'][i])}"
                    )
                if 0 < given.depart <= given.arrive:
                    raise ScenarioError(f"[[vm]] name = {given.name!r}: it departs no later than it arrives")
        return options | {"swap": np.array([pages_of(self.host.swap) if self.host.swap else -1], np.int64)}


def _schedule(vm: VmParams) -> list[tuple[int, int]]:
    try:
        steps = parse_schedule(vm.reshare, int)
        if any(not 0 < shares <= MOST_SHARES for _, shares in steps):
            raise ValueError(f"shares must be positive, and no more than {MOST_SHARES}")
    except ValueError as error:
        raise ScenarioError(f"[[vm]] reshare = {vm.reshare!r}: {error}; expected steps such as '60s=2000 120s=500'") from None
    return steps


def _row(stage: str, params: Any) -> list[dict[str, str]]:
    return [{"stage": stage, "param": f.name, "value": show(getattr(params, f.name))} for f in dataclasses.fields(params)]


def show(value: Any) -> str:
    """A parameter's value as ``--set`` would take it."""
    if isinstance(value, Duration):
        return f"{value}ns"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def load_scenario(path: Path | str) -> dict[str, Any]:
    """The tables of a scenario file."""
    try:
        with open(path, "rb") as handle:
            return tomllib.load(handle)
    except FileNotFoundError:
        raise ScenarioError(f"{path}: no such scenario file; presets are {', '.join(PRESETS)} (--preset)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read as a scenario ({error})") from None
    except (ValueError, RecursionError) as error:
        raise ScenarioError(f"{path}: not valid TOML ({error})") from None


def load_preset(name: str) -> dict[str, Any]:
    """The tables of a preset."""
    if name not in PRESETS:
        raise ScenarioError(f"unknown preset {name!r}{nearest(name, PRESETS)}; expected one of {', '.join(PRESETS)}")
    return tomllib.loads(files("tracekit.presets").joinpath(f"{name}.toml").read_text())


def apply_settings(tables: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """``tables`` with settings ``stage.parameter=value[,value…]`` put in."""
    changed = {name: dict(table) if isinstance(table, dict) else table for name, table in tables.items()}
    for setting in settings:
        key, equals, text = setting.partition("=")
        stage, dot, name = key.strip().partition(".")
        if not equals or not dot or not name or not text.strip():
            raise ScenarioError(f"--set {setting!r} is not of the form stage.parameter=value[,value…], such as tax.rate=0,0.75")
        values = [value.strip() for value in text.split(",")]
        changed.setdefault(stage, {})[name] = values if len(values) > 1 else values[0]
    return changed


def apply_keywords(tables: Mapping[str, Any], stages: Mapping[str, Any]) -> dict[str, Any]:
    """``tables`` with stages put in as Python writes them: ``paging={"module": ["lru", "arc"], "frames": range(1000, 5000, 1000)}``.

    Instead of a table a stage may be a module or several (``paging="lru"``), and None leaves it out. A module may be a class.
    ``vm`` is a list of tables, or one table of options by name.
    """
    changed = dict(tables)
    for stage, given in stages.items():
        if stage == "vm":
            named = [{"name": name} | dict(options) for name, options in given.items()] if isinstance(given, Mapping) else list(given)
            changed["vm"] = [*changed.get("vm", []), *named]
            continue
        table = dict(given) if isinstance(given, Mapping) else {"module": NO_MODULE if given is None else given}
        changed[stage] = {**changed.get(stage, {}), **{name: _plain(value) for name, value in table.items()}}
    return changed


def _plain(value: Any) -> Any:
    """A value as TOML has it: ranges, tuples and arrays are lists, a module's class is registered and goes by its name."""
    if isinstance(value, type) and issubclass(value, Module):
        registry.register(value)
        return value.name
    if hasattr(value, "tolist"):  # of NumPy
        return value.tolist()
    if isinstance(value, Iterable) and not isinstance(value, (str, Mapping)):
        return [_plain(item) for item in value]
    return value


def variants(tables: Mapping[str, Any]) -> list[Variant]:
    """All variants of a scenario: one a combination of the listed values, in the order given.

    Raises ScenarioError for unknown tables, modules or parameters, and for impossible values.
    """
    vms = _vm_options(tables.get("vm", []))
    axes: list[tuple[str, str, list[Any]]] = []
    for stage, table in tables.items():
        if stage == "vm":
            continue
        _check_table(stage, table)
        axes += [(stage, name, value if isinstance(value, list) else [value]) for name, value in table.items()]
    for stage, name, values in axes:
        if not values:
            raise ScenarioError(f"{stage}.{name} is an empty list; give it at least one value")
    _check_names(axes)
    count = math.prod(len(values) for _, _, values in axes)
    if count > MAX_VARIANTS:
        raise ScenarioError(f"the listed values make {count} variants, more than {MAX_VARIANTS}; list fewer, or split the sweep")
    found: dict[str, Variant] = {}
    for combination in itertools.product(*(values for _, _, values in axes)):
        chosen: dict[str, dict[str, Any]] = {stage: {} for stage in tables if stage != "vm"}
        for (stage, name, _), value in zip(axes, combination, strict=True):
            chosen[stage][name] = value
        variant = _resolve(chosen, vms)
        found.setdefault(variant.id, variant)
    return list(found.values())


def family_of(stage: str) -> str:
    """The family whose modules can fill a stage: its name, or for observers what stands before a label."""
    family, _, label = stage.partition("_")
    return family if family in BESIDE and label.isidentifier() and label != "host" else stage


def _check_table(stage: str, table: Any) -> None:
    if not isinstance(table, dict):
        raise ScenarioError(f"{stage} = {table!r} stands outside a table; a scenario has tables such as [host] or [paging]")
    if stage in _SECTIONS:
        return
    if family_of(stage) not in registry.families():
        known = [*_SECTIONS, "vm", *registry.families()]
        raise ScenarioError(f"unknown table or stage {stage!r}{nearest(stage, known)}; expected one of {', '.join(known)}")
    if "module" not in table:
        raise ScenarioError(
            f"stage {stage!r} has no module here; add {stage}.module = one of {', '.join(registry.names(family_of(stage)))}, "
            "or choose a preset that has the stage"
        )


def _check_names(axes: Sequence[tuple[str, str, list[Any]]]) -> None:
    """Every parameter must be known to at least one of the modules that its stage may be filled with."""
    for stage, name, _ in axes:
        if stage in _SECTIONS:
            known = {field.name for field in dataclasses.fields(_SECTIONS[stage])}
        else:
            modules = next(values for s, n, values in axes if s == stage and n == "module")
            known = {"module"}
            for module in modules:
                if module != NO_MODULE:
                    known |= {field.name for field in dataclasses.fields(registry.load(family_of(stage), str(module)).Params)}
        if name not in known:
            names = sorted(known)
            raise ScenarioError(f"unknown parameter {stage}.{name}{nearest(name, names)}; expected one of {', '.join(names)}")


def _resolve(chosen: Mapping[str, Mapping[str, Any]], vms: tuple[VmParams, ...]) -> Variant:
    sections = {name: _make(name, cls, chosen.get(name, {})) for name, cls in _SECTIONS.items()}
    stages = {}
    for stage, values in chosen.items():
        if stage not in _SECTIONS and values["module"] != NO_MODULE:
            cls = registry.load(family_of(stage), str(values["module"]))
            stages[stage] = cls, _make(stage, cls.Params, {k: v for k, v in values.items() if k != "module"}, lenient=True)
    if not stages:
        raise ScenarioError(
            f"no stage has a module; give at least one of {', '.join(registry.available())} one, such as paging.module = 'lru'"
        )
    return Variant(sections["host"], sections["replay"], vms, stages)


def _make(shown: str, cls: Any, values: Mapping[str, Any], lenient: bool = False) -> Any:
    """A Params instance; ``lenient`` skips parameters of other modules of the same sweep (checked before)."""
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for name in values:
        if name not in fields and not lenient:
            raise ScenarioError(f"unknown parameter {shown}.{name}{nearest(name, list(fields))}; expected one of {', '.join(fields)}")
    return cls(**{name: parse_param(shown, fields[name], value) for name, value in values.items() if name in fields})


def _vm_options(tables: Any) -> tuple[VmParams, ...]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ScenarioError("options of VMs stand in tables [[vm]], each with a name")
    options = tuple(_make("vm", VmParams, table) for table in tables)
    names = [vm.name for vm in options]
    for name in names:
        if names.count(name) > 1:
            raise ScenarioError(f"two [[vm]] tables are named {name!r}; put their options into one")
    return options
