"""The keys that a recipe's tables may have: of the capture, its VMs, their regions and blocks. docs/synth.md lists them."""

from dataclasses import dataclass

from tracekit.synth.params import choice, count, flag, memory_size, number, share, size_of_pages, text, timespan


@dataclass(frozen=True)
class CaptureKeys:
    """Keys of the recipe itself."""

    duration: int = timespan(0, "length of the capture; 0: until the last block that knows its own end has ended", low=0)
    bucket: int = timespan(0, "accesses are gathered in buckets of this length, a page once a block; 0: each has its own time", low=0)
    clock: int = timespan(0, "a VM's `clock` events come this often (a: instructions, one a ns; b: accesses so far); 0: never", low=0)
    snapshots: int = timespan(0, "contents are told this often, at first all, then those that changed; 0: never", low=0)
    period: int = timespan(0, "period by which the truth counts active and equal pages; 0: the whole capture, each snapshot", low=0)
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
    blank: bool = flag(False, "it boots (event `boot`): what a page holds is known once it is written; `load` writes what regions hold")
    executes: float = share(1.0, "share of the time that the VM executes, for its `clock`")
    arrives: int = timespan(0, "when it begins; if not at 0, with an event `boot`", low=0)
    departs: int = timespan(0, "when it is powered off (event `power-off`); 0: never", low=0)


@dataclass(frozen=True)
class RegionKeys:
    """Keys of a `[[vm.region]]`; regions take the VM's memory in their order."""

    name: str = text("", "name, by which blocks call it")
    size: int = size_of_pages(0, "size", low=0)
    share: float = share(0.0, "size as a share of the VM's memory, instead")
    rest: bool = flag(False, "size is what the other regions leave, instead")
    content: str = choice(
        "zero", "`zero` pages, pages of an `image` or `private` ones, that no other page equals", ("zero", "image", "private")
    )
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
