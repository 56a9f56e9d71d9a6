"""A recipe with its parameters filled in: the VMs, their memory by regions, and what they do when.

Recipes are TOML. Any value may be a text that begins with ``=``, worked out of the recipe's parameters (and ``vm``, the
number of the VM among those of its table, from 0).
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tracekit.errors import ScenarioError, nearest
from tracekit.metadata import MAX_PPN, VmInfo
from tracekit.synth.blocks import BLOCKS, Block
from tracekit.synth.expressions import work_out
from tracekit.synth.keys import BlockKeys, CaptureKeys, RegionKeys, VmKeys
from tracekit.synth.params import resolve
from tracekit.units import PAGE_BYTES

#: The last moment that a capture can have (ns): times stay below it in all arithmetic.
END_OF_TIME = 1 << 61
#: How many buckets, clocks, snapshots or periods a capture can have.
MOST_STEPS = 10**7


@dataclass(frozen=True)
class Region:
    """A stretch of a VM's memory; ``skip`` in pages."""

    name: str
    pages: int
    content: str
    image: str
    skip: int
    copies: int
    relocated: float


@dataclass(frozen=True)
class Run:
    """A block at work: what, where, from when to when (ns; ``ends`` is None until the capture's end is known)."""

    name: str
    kind: type[Block]
    params: Any
    region: str
    pages: int
    begins: int
    ends: int | None
    mark: bool

    def phases(self, ends: int) -> list[tuple[int, int]]:
        """(t, pages) of its phases up to ``ends``."""
        return self.kind.phases(self.params, self.pages, self.begins, ends)


@dataclass(frozen=True)
class Vm:
    """A VM with its memory and blocks."""

    info: VmInfo
    regions: tuple[Region, ...]
    runs: tuple[Run, ...]
    scatter: bool
    aslr: bool
    blank: bool
    executes: float
    arrives: int
    departs: int | None


@dataclass(frozen=True)
class Setup:
    """All that a recipe asks for."""

    keys: CaptureKeys
    vms: tuple[Vm, ...]
    ends: int


def set_up(where: str, recipe: Mapping[str, Any], values: Mapping[str, Any]) -> Setup:
    """The setup of a recipe (its TOML without `params`) under its parameters' values. Raises ScenarioError."""
    own = {name: value for name, value in recipe.items() if name not in ("vm", "about", "text")}
    keys = _read(where, CaptureKeys, own, values)
    tables = _tables(where, recipe, "vm")
    vms = [vm for i, table in enumerate(tables, 1) for vm in _vms(f"{where}: vm {i}", table, values)]
    if not vms:
        raise ScenarioError(f"{where}: there is no VM; give at least one [[vm]]")
    ends = keys.duration or max((run.ends for vm in vms for run in vm.runs if run.ends is not None), default=0)
    if not ends and not keys.snapshots:
        raise ScenarioError(f"{where}: duration is missing, and no block knows its own end; give a duration such as 30s")
    if ends > END_OF_TIME:
        raise ScenarioError(f"{where}: the capture would last {ends / 1e9:.3g} s, longer than times can tell; raise rates or shorten it")
    for name in ("bucket", "clock", "snapshots", "period"):
        step = getattr(keys, name)
        if step and ends // step > MOST_STEPS:
            raise ScenarioError(
                f"{where}: {name} = {step} ns comes {ends // step} times in {ends} ns; make it longer, or the capture shorter"
            )
    _whole_buckets(where, keys, vms, ends)
    return Setup(keys, tuple(_closed(vm, ends) for vm in vms), ends)


def _vms(where: str, table: Mapping[str, Any], values: Mapping[str, Any]) -> list[Vm]:
    own = {name: value for name, value in table.items() if name not in ("region", "block")}
    copies = _read(where, VmKeys, own, dict(values) | {"vm": 0}).count
    return [_vm(where, table, own, dict(values) | {"vm": i}, f"{i}" if "count" in own else "") for i in range(copies)]


def _vm(where: str, table: Mapping[str, Any], own: Mapping[str, Any], values: Mapping[str, Any], suffix: str) -> Vm:
    keys = _read(where, VmKeys, own, values)
    if not keys.name or keys.name == "*":
        raise ScenarioError(f"{where}: name = {keys.name!r} cannot name a VM; give it a name such as guest")
    pages = keys.memory // PAGE_BYTES
    if pages > MAX_PPN:
        raise ScenarioError(f"{where}: memory = {keys.memory} bytes exceeds {MAX_PPN} pages; make it smaller")
    if keys.departs and keys.departs <= keys.arrives:
        raise ScenarioError(f"{where}: departs = {keys.departs} ns is not after arrives = {keys.arrives} ns; make it later, or 0 for never")
    asked = [_read(f"{where}: region {i}", RegionKeys, t, values) for i, t in enumerate(_tables(where, table, "region"), 1)]
    regions = _regions(where, asked, pages)
    runs: dict[str, Run | int] = {}
    for i, block in enumerate(_tables(where, table, "block"), 1):
        _run(f"{where}: block {i}", block, values, keys, pages, regions, runs)
    info = VmInfo(keys.name + suffix, pages, keys.os, keys.domain)
    present = tuple(run for run in runs.values() if isinstance(run, Run))
    return Vm(info, regions, present, keys.scatter, keys.aslr, keys.blank, keys.executes, keys.arrives, keys.departs or None)


def _regions(where: str, asked: list[RegionKeys], pages: int) -> tuple[Region, ...]:
    sizes = [round(keys.share * pages) if keys.share else keys.size // PAGE_BYTES for keys in asked]
    rests = [i for i, keys in enumerate(asked) if keys.rest]
    if rests:
        sizes[rests[0]] = max(pages - sum(sizes), 0)
    names = [keys.name for keys in asked]
    for i, keys in enumerate(asked, 1):
        if not keys.name or names.count(keys.name) > 1:
            raise ScenarioError(f"{where}: region {i}: name = {keys.name!r} must be a name that no other region of the VM has")
        if (keys.content == "image") != bool(keys.image):
            raise ScenarioError(f"{where}: region {i}: content = {keys.content!r} and image = {keys.image!r} do not go together; set both")
        if bool(keys.share) + bool(keys.size) + keys.rest > 1 or (keys.rest and i - 1 != rests[0]):
            raise ScenarioError(
                f"{where}: region {i}: size, share and rest exclude one another, and one region has the rest; give one of them"
            )
    if sum(sizes) > pages:
        raise ScenarioError(f"{where}: its regions have {sum(sizes)} pages, more than its memory of {pages}; make them smaller")
    return tuple(
        Region(keys.name, size, keys.content, keys.image, keys.skip // PAGE_BYTES, keys.copies, keys.relocated)
        for keys, size in zip(asked, sizes)
    )


def _run(
    where: str, table: Mapping[str, Any], values: Mapping[str, Any], vm: VmKeys, pages: int, regions: tuple[Region, ...],
    runs: dict[str, Run | int],
) -> None:  # fmt: skip
    """Add a block to ``runs``; one that is left out is known there by the time at which it would begin."""
    common = {field.name for field in dataclasses.fields(BlockKeys)}
    keys = _read(where, BlockKeys, {name: value for name, value in table.items() if name in common}, values)
    if keys.block not in BLOCKS:
        raise ScenarioError(f"{where}: block = {keys.block!r} is none{nearest(keys.block, BLOCKS)}; blocks are {', '.join(BLOCKS)}")
    name, kind = keys.name or keys.block, BLOCKS[keys.block]
    if name in runs:
        raise ScenarioError(f"{where}: name = {name!r} is another block's of this VM; give it one of its own")
    sizes = {"": pages} | {region.name: region.pages for region in regions}
    if keys.region not in sizes:
        raise ScenarioError(
            f"{where}: region = {keys.region!r} is none of the VM's{nearest(keys.region, sizes)}; they are {', '.join(sizes)}"
        )
    begins = vm.arrives + keys.start
    if keys.after:
        before = runs.get(keys.after)
        ended = before.ends if isinstance(before, Run) else before
        if ended is None:
            raise ScenarioError(f"{where}: after = {keys.after!r} is no block above it that knows its own end; give that one a duration")
        begins = ended + keys.start
    if not keys.when:
        runs[name] = begins
        return
    size = sizes[keys.region]
    params = _read(where, kind.Params, {key: value for key, value in table.items() if key not in common}, values)
    wrong = "its region has no pages: enlarge it" if not size else kind.check(params, size)
    if wrong:
        found, _, do = wrong.rpartition(": ")
        raise ScenarioError(f"{where}: {found}; {do}")
    length = keys.duration or kind.length(params, size)
    runs[name] = Run(name, kind, params, keys.region, size, begins, None if length is None else begins + length, keys.mark)


def _closed(vm: Vm, ends: int) -> Vm:
    """The VM with its blocks cut at its own end."""
    last = min(ends, vm.departs) if vm.departs else ends
    cut = [(run, min(run.ends if run.ends is not None else last, last)) for run in vm.runs]
    return dataclasses.replace(vm, runs=tuple(dataclasses.replace(run, ends=t) for run, t in cut if run.begins < t))


def _whole_buckets(where: str, keys: CaptureKeys, vms: list[Vm], ends: int) -> None:
    """Refuse times that are no multiple of the bucket: rows of a bucket stand at its beginning."""
    times = {"duration": ends, "clock": keys.clock, "snapshots": keys.snapshots, "period": keys.period}
    for vm in vms:
        times |= {f"arrival of {vm.info.name}": vm.arrives, f"departure of {vm.info.name}": vm.departs or 0}
        for run in vm.runs:
            last = run.ends if run.ends is not None else ends
            times |= {f"phase {i} of {run.name}": t for i, (t, _) in enumerate(run.phases(last), 1)} | {f"end of {run.name}": last}
    for name, t in times.items():
        if keys.bucket and t % keys.bucket:
            raise ScenarioError(
                f"{where}: {name} = {t} ns is not a whole number of bucket = {keys.bucket} ns; make it a multiple of bucket"
            )


def _read(where: str, keys: type[Any], given: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """``keys`` from a table of TOML. Raises ScenarioError."""
    found = {}
    for name, value in given.items():
        try:
            found[name] = work_out(value, values)
        except ValueError as error:
            raise ScenarioError(f"{where}: {name} = {value!r}: {error}") from None
    return resolve(where, keys, found)


def _tables(where: str, table: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = table.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ScenarioError(f"{where}: {name} = {found!r:.60} is no list of tables; write [[{name if name == 'vm' else f'vm.{name}'}]]")
    return found
