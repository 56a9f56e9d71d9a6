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
from tracekit.synth.params import choice, count, flag, memory_size, number, resolve, share, size_of_pages, text, timespan
from tracekit.units import PAGE_BYTES

#: The last moment that a capture can have (ns): times stay below it in all arithmetic.
END_OF_TIME = 1 << 61


@dataclass(frozen=True)
class CaptureKeys:
    """Keys of the recipe itself."""

    duration: int = timespan(0, "length of the capture; 0: until the last block that knows its own end has ended", low=0)
    bucket: int = timespan(0, "accesses are gathered in buckets of this length, a page once a block; 0: each has its own time", low=0)
    clock: int = timespan(0, "a VM's `clock` events come this often (a: instructions, one a ns; b: accesses so far); 0: never", low=0)
    snapshots: int = timespan(0, "contents are told this often, at first all, then those that changed; 0: never", low=0)
    period: int = timespan(0, "period by which the truth counts active pages; 0: the whole capture", low=0)
    accesses: bool = flag(True, "write access rows (false: only what they change)")


@dataclass(frozen=True)
class VmKeys:
    """Keys of a `[[vm]]`."""

    name: str = text("", "name; with `count`, followed by a number from 0")
    count: int = count(1, "so many VMs like this", low=0, high=1000)
    memory: int = memory_size(64 << 20, "size", low=4096, high=1 << 43)
    os: str = text("", "operating system, as the metadata tells it")
    domain: str = text("", "security domain, as the metadata tells it")
    scatter: bool = flag(False, "pages of regions lie in random order over the memory, not one region after the other")
    aslr: bool = flag(False, "addresses are randomized: `relocated` pages of images differ in this VM")
    blank: bool = flag(False, "all memory is zero at first; `load` brings in what regions hold")
    executes: float = share(1.0, "share of the time that the VM executes, for its `clock`")
    arrives: int = timespan(0, "when it is booted (event `boot`, if not at 0)", low=0)
    departs: int = timespan(0, "when it is powered off (event `power-off`); 0: never", low=0)


@dataclass(frozen=True)
class RegionKeys:
    """Keys of a `[[vm.region]]`; regions take the VM's memory in their order."""

    name: str = text("", "name, by which blocks call it")
    size: int = size_of_pages(0, "size", low=0)
    share: float = share(0.0, "size as a share of the VM's memory, instead")
    rest: bool = flag(False, "size is what the other regions leave, instead")
    content: str = choice("zero", "`zero` pages, pages of an `image` or `private` ones, that no other page equals", ("zero", "image", "private"))
    image: str = text("", "name of the image: pages at the same place of an image are equal, in every VM")
    skip: int = size_of_pages(0, "where in the image the region begins", low=0)
    copies: int = count(1, "so many pages in a row hold the same content", low=1, high=1 << 30)
    relocated: float = number(0.0, "share of the image's pages that hold addresses, which differ by VM under `aslr`", low=0.0, high=1.0)


@dataclass(frozen=True)
class BlockKeys:
    """Keys that every `[[vm.block]]` has; the others are the block's own."""

    block: str = text("", "which block it is")
    name: str = text("", "name, for `after` and the truth; the block's if none is given")
    region: str = text("", "region that it works on; all memory if none is given")
    start: int = timespan(0, "when it begins, after the VM's arrival or after the block that `after` names", low=0)
    after: str = text("", "it begins when this block, named above it, has ended")
    duration: int = timespan(0, "how long it runs; 0: as long as it takes, or as the capture lasts", low=0)
    when: bool = flag(True, "false leaves it out")
    mark: bool = flag(False, "an event `mark` begins each phase (a: number of the phase among the VM's marks; b: its pages)")


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
            raise ScenarioError(f"{where}: region {i}: size, share and rest exclude one another, and one region has the rest; give one of them")
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
        raise ScenarioError(f"{where}: region = {keys.region!r} is none of the VM's{nearest(keys.region, sizes)}; they are {', '.join(sizes)}")
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
    runs = [dataclasses.replace(run, ends=min(run.ends if run.ends is not None else last, last)) for run in vm.runs]
    return dataclasses.replace(vm, runs=tuple(run for run in runs if run.begins < run.ends))


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
            raise ScenarioError(f"{where}: {name} = {t} ns is not a whole number of bucket = {keys.bucket} ns; make it a multiple of bucket")


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
