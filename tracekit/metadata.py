"""What a trace file says about itself: kind, capture, VMs, capabilities, provenance; kept as JSON in its metadata."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from tracekit import __version__
from tracekit.errors import TraceError
from tracekit.schema import KINDS, SCHEMA_VERSION, ZERO_DIGEST
from tracekit.units import PAGE_BYTES

MAX_PPN = 1 << 31


@dataclass(frozen=True)
class VmInfo:
    """A VM as a trace file describes it: ``pages`` is its size in 4 KiB pages."""

    name: str
    pages: int
    os: str = ""
    domain: str = ""


@dataclass(frozen=True)
class Metadata:
    """What a trace file says about itself, kept as JSON under the Parquet key ``tracekit``."""

    kind: str
    capture: str
    vms: tuple[VmInfo, ...]
    capabilities: tuple[str, ...]
    synthetic: bool = False
    bucket_ns: int = 0
    zero_digest: int = ZERO_DIGEST
    digest: str = "xxh3-64"
    keyed: bool = False
    devices: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        known = asdict(self) | {"schema_version": SCHEMA_VERSION, "page_bytes": PAGE_BYTES}
        return json.dumps(known, sort_keys=True).encode()

    @classmethod
    def from_json(cls, raw: bytes, path: object) -> "Metadata":
        try:
            known = json.loads(raw)
            version, page_bytes = known.pop("schema_version"), known.pop("page_bytes")
            known["vms"] = tuple(VmInfo(**vm) for vm in known["vms"])
            known["capabilities"] = tuple(known["capabilities"])
            known["devices"] = tuple(known.get("devices", ()))
            metadata = cls(**known)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise TraceError(f"{path}: its tracekit metadata cannot be read ({error}); write the file again") from None
        if version != SCHEMA_VERSION:
            raise TraceError(f"{path}: written for schema version {version}, this tracekit reads {SCHEMA_VERSION}; upgrade one of them")
        if page_bytes != PAGE_BYTES:
            raise TraceError(f"{path}: pages of {page_bytes} bytes, only {PAGE_BYTES} are supported")
        metadata.validate(path)
        return metadata

    def validate(self, path: object) -> None:
        """Raise TraceError unless the types and the VM table make sense."""
        for name, wanted in _METADATA_TYPES.items():
            value = getattr(self, name)
            fits = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
            if isinstance(value, tuple) and name != "vms":
                fits = fits and all(isinstance(item, str) for item in value)
            if not fits:
                raise TraceError(f"{path}: its metadata has {name} {value!r:.60}, expected {_TYPE_NAMES[wanted]}; write the file again")
        if self.kind not in KINDS:
            raise TraceError(f"{path}: unknown kind {self.kind!r}; expected one of {', '.join(KINDS)}")
        if not 0 <= self.zero_digest < 1 << 64:
            raise TraceError(f"{path}: the zero page's digest {self.zero_digest} is not of 64 bits; write the file again")
        for vm in self.vms:
            if not isinstance(vm.name, str) or not vm.name or vm.name == "*":
                raise TraceError(f"{path}: {vm.name!r} cannot be the name of a VM; give it a name other than *")
            if not isinstance(vm.os, str) or not isinstance(vm.domain, str):
                raise TraceError(f"{path}: VM {vm.name!r} has an os or domain that is no text; write the file again")
            if not isinstance(vm.pages, int) or isinstance(vm.pages, bool) or not 0 < vm.pages <= MAX_PPN:
                raise TraceError(f"{path}: VM {vm.name!r} has an impossible size of {vm.pages!r} pages; expected 1 to {MAX_PPN}")
        names = [vm.name for vm in self.vms]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise TraceError(f"{path}: two VMs are named {twice[0]!r}; names must be unique within a capture")


_METADATA_TYPES: dict[str, type] = {
    "kind": str, "capture": str, "vms": tuple, "capabilities": tuple, "synthetic": bool, "bucket_ns": int, "zero_digest": int,
    "digest": str, "keyed": bool, "devices": tuple, "provenance": dict,
}  # fmt: skip
_TYPE_NAMES = {str: "a text", int: "a whole number", bool: "true or false", tuple: "a list of texts", dict: "an object"}


def infer_capabilities(kind: str, columns: Iterable[str]) -> set[str]:
    """Capabilities that the columns of a file can carry."""
    present, found = set(columns), {kind}
    if kind == "content":
        found |= {"digest64"} | ({"blocks"} if "block" in present else set())
    if kind == "access":
        found |= {"exact"} | ({"writes"} if "write" in present else set())
    if kind == "io":
        found.add("dma_masks")
    if kind == "event":
        found.add("execution_clock")
    return found


def provenance(parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The provenance record of a written file: which software made it, from what, with which parameters."""
    return {"software": f"tracekit {__version__}", "parameters": parameters, **more}
