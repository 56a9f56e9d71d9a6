"""Who may share with whom: security domains of VMs, as keys that keep the contents of different domains apart."""

from collections.abc import Sequence

import numpy as np
import xxhash

from tracekit.errors import ScenarioError
from tracekit.module import Site

#: From all together to everybody alone; ``salted`` as in ESXi: VMs of one [[vm]] salt together, all others alone.
LEVELS = ("host", "tenant", "salted", "vm")


def domain_keys(level: str, names: Sequence[object]) -> np.ndarray:
    """A key (uint64) a VM, equal where the names are; a page's digest is xored with it."""
    return np.array([xxhash.xxh3_64_intdigest(repr((level, name)).encode()) for name in names], np.uint64)


def vm_domains(site: Site, level: str) -> np.ndarray:
    """The keys of a trace's VMs at a level of ``LEVELS``. Raises ScenarioError if the trace has no tenants to tell apart."""
    vms = site.trace.vms
    if level == "host":
        return np.zeros(len(vms), np.uint64)
    if level == "tenant":
        if not any(vm.domain for vm in vms):
            raise ScenarioError(f"sharing.domain = 'tenant': {site.trace.name} does not say which VM belongs to which security domain")
        return domain_keys(level, [vm.domain or vm.name for vm in vms])
    if level == "salted":
        return domain_keys(level, [int(salt) or vm.name for salt, vm in zip(site.vm_options["salt"], vms, strict=True)])
    return domain_keys(level, [vm.name for vm in vms])
