"""Which choice is best and which is worst, and what makes the difference: the trace, the VM and the part that weigh most."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from tracekit.compare.metrics import METRICS, parts
from tracekit.display import cell

if TYPE_CHECKING:
    from tracekit.compare.comparison import Group
    from tracekit.results import Results

SCHEMA = {
    "metric": pl.String, "which": pl.String, "choice": pl.String, "trace": pl.String, "value": pl.Float64, "baseline": pl.Float64,
    "difference": pl.Float64, "vm": pl.String, "vm_part": pl.Float64, "component": pl.String, "component_part": pl.Float64,
    "says": pl.String,
}  # fmt: skip


def explain(results: "Results", groups: Sequence["Group"], metrics: Sequence[str], by: str | None, baseline: Any) -> pl.DataFrame:
    """One row a metric and end (best, worst). Choices are ranked by their change from the baseline, on average over the traces."""
    rows = []
    if by is None:
        return pl.DataFrame(schema=SCHEMA)
    for metric in metrics:
        ranked = _rank(groups, metric)
        if not ranked or not any(change for change, _ in ranked):
            continue
        sums = _sums(results, metric)
        ends = {"best": ranked[0], "worst": ranked[-1]}
        for which, (change, members) in ends.items():
            if change != 0:  # the baseline itself, or as good
                rows.append(_row(metric, which, members, sums, by, baseline))
            else:
                said = f"{which} {metric}: nothing is {'better' if which == 'best' else 'worse'} than {by} = {baseline}"
                rows.append(dict.fromkeys(SCHEMA) | {"metric": metric, "which": which, "says": said})
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _pairs(group: "Group", metric: str) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    return [(row, mates) for row, mates in group.pairs if mates and None not in (row[metric], *(mate[metric] for mate in mates))]


def _change(group: "Group", metric: str) -> tuple[float, float] | None:
    """(value, baseline), means over the pairs."""
    pairs = _pairs(group, metric)
    if not pairs:
        return None
    base = sum(sum(mate[metric] for mate in mates) / len(mates) for _, mates in pairs) / len(pairs)
    return sum(row[metric] for row, _ in pairs) / len(pairs), base


def _rank(groups: Sequence["Group"], metric: str) -> list[tuple[float, list["Group"]]]:
    """(mean relative change, the choice's groups, one a trace), the best first."""
    choices: dict[tuple[Any, ...], list[Group]] = {}
    for group in groups:
        if _change(group, metric) is not None:
            choices.setdefault(tuple(group.choice.values()), []).append(group)
    most = max((len(members) for members in choices.values()), default=0)
    ranked = []
    for members in choices.values():
        if len(members) == most:  # on all traces
            changes = [change for member in members if (change := _change(member, metric))]
            ranked.append((sum((value - base) / (abs(base) or 1) for value, base in changes) / len(changes), members))
    return sorted(ranked, key=lambda item: item[0] if METRICS[metric].less else -item[0])


def _sums(results: "Results", metric: str) -> dict[tuple[str, str], dict[tuple[str, str], float]]:
    """(trace, variant) → (VM, component) → value."""
    frame = parts(results, metric)
    found: dict[tuple[str, str], dict[tuple[str, str], float]] = {}
    for row in frame.iter_rows(named=True) if frame is not None else ():
        found.setdefault((row["trace"], row["variant"]), {})[row["vm"], row["component"]] = row["value"] or 0.0
    return found


def _row(metric: str, which: str, members: Sequence["Group"], sums: dict, by: str, baseline: Any) -> dict[str, Any]:
    def weight(group: "Group") -> float:
        value, base = _change(group, metric) or (0.0, 0.0)
        return abs((value - base) / (abs(base) or 1))

    group = max(members, key=weight)
    value, base = _change(group, metric) or (0.0, 0.0)
    share: dict[tuple[str, str], float] = {}
    for row, mates in _pairs(group, metric):
        for sign, each in [(1.0, row), *((-1.0 / len(mates), mate) for mate in mates)]:
            for key, amount in sums.get((each["trace"], each["variant"]), {}).items():
                share[key] = share.get(key, 0.0) + sign * amount
    choice = ", ".join(f"{name} = {chosen}" for name, chosen in group.choice.items() if chosen is not None)
    found = {"metric": metric, "which": which, "choice": choice, "trace": group.trace, "value": value, "baseline": base}
    found |= {"difference": value - base} | _heaviest(share)
    amount = f"{abs(value - base) / abs(base):.1%}".replace("%", " %") if base else cell(abs(value - base))
    said = f"{which} {metric}: {choice} has {amount} {'less' if value < base else 'more'} than {by} = {baseline}"
    said += f" on {group.trace}" + (f", where the difference is largest of {len(members)} traces" if len(members) > 1 else "")
    said += f" ({cell(base)} → {cell(value)})"
    if len({vm for vm, _ in share}) > 1 and found.get("vm"):
        said += f"; VM {found['vm']} makes {found['vm_part']:.0%} of it, mostly {found['component']}".replace("%", " %")
    elif found.get("vm"):
        said += f", mostly {found['component']}"
    return dict.fromkeys(SCHEMA) | found | {"says": said}


def _heaviest(share: dict[tuple[str, str], float]) -> dict[str, Any]:
    """The VM that makes most of a difference, and of it the component; parts above 1 where others make up for some of it."""
    total = sum(share.values())
    if not total:
        return {}
    direction = 1 if total > 0 else -1
    by_vm: dict[str, float] = {}
    for (vm, _), amount in share.items():
        by_vm[vm] = by_vm.get(vm, 0.0) + amount
    vm = max(by_vm, key=lambda name: by_vm[name] * direction)
    component = max((part for owner, part in share if owner == vm), key=lambda part: share[vm, part] * direction)
    of_vm = share[vm, component] / by_vm[vm] if by_vm[vm] else None
    return {"vm": vm, "vm_part": by_vm[vm] / total, "component": component, "component_part": of_vm}
