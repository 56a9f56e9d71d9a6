"""What VMs are grouped by: tenant, image, host, or whatever a file says of them."""

import csv
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from tracekit.errors import TracekitError
from tracekit.fleet.spill import Capture

#: What traces themselves tell: a VM's security domain, its operating system, and the capture, which is of one host.
FROM_TRACES = ("tenant", "image", "host")


def labels_of(captures: Sequence[Capture], path: Path | None = None) -> dict[str, list[str]]:
    """Labels of all VMs in order, by name. Raises TracekitError if the file cannot be read or names no VM.

    A file is CSV with a column ``vm``, a name or pattern of VMs (as ``capture/vm`` or ``vm``), and one a label; what it leaves
    empty or does not name stays as the traces tell. The last row that matches a VM counts.
    """
    vms = [(capture.name, *vm) for capture in captures for vm in capture.vms]
    labels = {"tenant": [vm[4] for vm in vms], "image": [vm[3] for vm in vms], "host": [vm[0] for vm in vms]}
    for row in _rows(path) if path else ():
        pattern = row.pop("vm")
        matching = [i for i, vm in enumerate(vms) if fnmatchcase(f"{vm[0]}/{vm[1]}", pattern) or fnmatchcase(vm[1], pattern)]
        if not matching:
            raise TracekitError(f"{path}: {pattern!r} matches no VM; these traces have {', '.join(f'{vm[0]}/{vm[1]}' for vm in vms[:5])} …")
        for label, value in row.items():
            for i in matching:
                labels.setdefault(label, [""] * len(vms))[i] = value or labels[label][i]
    return labels


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restval="")
            if "vm" not in (reader.fieldnames or ()) or any(name in ("fleet", "vm") for name in (reader.fieldnames or ())[1:]):
                raise TracekitError(f"{path}: expected a CSV file whose first column is vm and whose others are labels")
            return [{name: value.strip() for name, value in row.items() if name is not None} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TracekitError(f"{path}: cannot be read as CSV ({error})") from None


def groups_of(labels: Mapping[str, Sequence[str]], vms: int) -> dict[str, tuple[np.ndarray, list[str]]]:
    """By grouping: the number of each VM's group, and the groups' names. All VMs together come first, each alone last."""
    found = {"fleet": (np.zeros(vms, np.int32), ["*"])}
    for label, values in labels.items():
        names = sorted(set(values))
        found[label] = np.array([names.index(value) for value in values], np.int32), names
    return found
