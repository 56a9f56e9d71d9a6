"""Who should share a host: placements of VMs on hosts of one size, judged by sketches of what the VMs hold.

A sketch is all contents whose hash lies below a rate, the same for all VMs, with the VMs that hold each. So what VMs of a
host share between them is estimated without bias by what they share in the sketch, divided by the rate (Horvitz & Thompson
1952), and for any placement at all. A content that n VMs on m hosts hold saves x = n − m pages; the estimate's variance is
(1 − rate) / rate² · Σ x² over the sketch. The search goes by the sketch, so it finds some of the sketch's own noise too:
the figure that counts is the one counted over all contents afterwards.

*Greedy* fills one host after the other: the largest VM left, then whichever VM that fits shares most with those there
(Sindelar, Sitaraman & Shenoy, SPAA 2011, prove such rules good for trees of sharing; in general the problem is hard).
*Local search* then moves single VMs and swaps pairs as long as that saves more.
"""

from dataclasses import dataclass

import numpy as np

from tracekit.errors import TracekitError
from tracekit.kernel import entry
from tracekit.rng import bits, stream

#: Passes of the local search over all VMs, at most.
_PASSES = 30
_TRIES = 200


@dataclass(frozen=True)
class Sketch:
    """Sampled contents that at least two VMs hold: those of VM i are ``content[start[i]:start[i + 1]]``; there are ``contents``,
    and content c is held by ``vm[first[c]:first[c + 1]]``."""

    start: np.ndarray
    content: np.ndarray
    first: np.ndarray
    vm: np.ndarray
    contents: int
    rate: float


def make_sketch(content: np.ndarray, vm: np.ndarray, vms: int, rate: float) -> Sketch:
    """A sketch of rows (content, VM) as ``count.Answer`` has them, in order of content."""
    fresh = np.append(True, content[1:] != content[:-1]) if len(content) else np.empty(0, np.bool_)
    number = np.cumsum(fresh).astype(np.int32) - np.int32(1)
    start = np.concatenate([[0], np.cumsum(np.bincount(vm, minlength=vms))]).astype(np.int64)
    first = np.append(np.flatnonzero(fresh), len(content)).astype(np.int64)
    mine = number[np.argsort(vm, kind="stable")].astype(np.int32)
    return Sketch(start, mine, first, vm.astype(np.int32), int(fresh.sum()), rate)


def estimate(sketch: Sketch, host: np.ndarray) -> tuple[float, float]:
    """(pages that a placement saves between VMs of a host, standard error of that)."""
    sums = np.zeros(2, np.int64)
    _saved(sketch.first, sketch.vm, host, np.full(int(host.max(initial=0)) + 1, -1, np.int64), sums)
    return int(sums[0]) / sketch.rate, float(np.sqrt((1 - sketch.rate) * int(sums[1]))) / sketch.rate


@entry
def _saved(first, vm, host, last, sums):
    """The sums of what each content saves, and of its square; ``last`` is by host the last content found there."""
    for c in range(first.size - 1):
        saved = 0
        for k in range(first[c], first[c + 1]):
            saved += np.int64(last[host[vm[k]]] == c)
            last[host[vm[k]]] = c
        sums[0] += saved
        sums[1] += saved * saved


def pair_bound(sketch: Sketch, sizes: np.ndarray, capacity: int) -> float:
    """Another figure that no placement exceeds, estimated from the sketch; exact where that holds all contents.

    A content that n VMs of a host hold saves 1 − 1/n by each of them. That is at most (n − 1) / 2, so that a VM saves at most
    half of what it has in common with each of its neighbours, summed: who they are is a knapsack, filled here with parts of
    VMs too. And it is at most 1 − 1/k where no more than k VMs fit.
    """
    vms = len(sizes)
    common = np.zeros((vms, vms), np.int32)
    _pairs(sketch.first, sketch.vm, common)
    total, held, ascending = 0.0, np.diff(sketch.start), np.sort(sizes)
    for vm in range(vms):
        room = capacity - int(sizes[vm])
        others = np.flatnonzero(np.arange(vms) != vm)
        best = others[np.argsort(-common[vm, others] / sizes[others], kind="stable")]
        part = np.clip((room - (np.cumsum(sizes[best]) - sizes[best])) / sizes[best], 0, 1)
        neighbours = float((part * common[vm, best]).sum())
        most = 1 + int(np.searchsorted(np.cumsum(ascending), room, "right"))
        total += min(neighbours / 2, (1 - 1 / most) * min(float(held[vm]), neighbours))
    return total / sketch.rate


@entry
def _pairs(first, vm, common):
    for c in range(first.size - 1):
        for k in range(first[c], first[c + 1]):
            for j in range(first[c], k):
                common[vm[k], vm[j]] += 1
                common[vm[j], vm[k]] += 1


def hosts_needed(sizes: np.ndarray, capacity: int) -> int:
    """Hosts that first-fit-decreasing takes: at most 11/9 of the fewest, and 6/9 of one (Dósa 2007)."""
    if int(sizes.max(initial=0)) > capacity:
        raise TracekitError(f"a VM of {int(sizes.max())} pages fits on no host of {capacity}; give hosts more memory")
    room: list[int] = []
    for size in sorted(sizes.tolist(), reverse=True):
        i = next((i for i, left in enumerate(room) if left >= size), None)
        if i is None:
            room.append(capacity - size)
        else:
            room[i] -= size
    return len(room)


def at_random(sizes: np.ndarray, capacity: int, hosts: int, seed: int, draw: int) -> np.ndarray | None:
    """A placement drawn at random: VMs in random order, each on a random host that has room. None if none came about."""
    rng = stream("placement", seed, draw)
    with np.errstate(over="ignore"):
        for _ in range(_TRIES):
            room, host = np.full(hosts, capacity, np.int64), np.empty(len(sizes), np.int32)
            for vm in np.argsort([bits(rng) for _ in sizes], kind="stable"):
                (fitting,) = np.nonzero(room >= sizes[vm])
                if not len(fitting):
                    break
                host[vm] = fitting[int(bits(rng)) % len(fitting)]
                room[host[vm]] -= sizes[vm]
            else:
                return host
    return None


def greedy(sketch: Sketch, sizes: np.ndarray, capacity: int, hosts: int) -> np.ndarray:
    """Fill hosts one after the other (see above). Where the last VMs do not fit so, first-fit-decreasing places all."""
    host = np.full(len(sizes), -1, np.int32)
    gain, here = np.zeros(len(sizes), np.int64), np.zeros(sketch.contents, np.bool_)
    _fill(sketch.start, sketch.content, sketch.first, sketch.vm, sizes, capacity, hosts, gain, here, host)
    return host if host.min(initial=0) >= 0 else _first_fit(sizes, capacity, hosts)


def improve(sketch: Sketch, sizes: np.ndarray, capacity: int, hosts: int, host: np.ndarray) -> np.ndarray:
    """The placement after moves and swaps, until none saves more by the sketch."""
    host = host.copy()
    held = np.zeros((hosts, max(sketch.contents, 1)), np.uint16)
    for vm, h in enumerate(host):
        held[h, sketch.content[sketch.start[vm] : sketch.start[vm + 1]]] += 1
    room = capacity - np.bincount(host, weights=sizes, minlength=hosts).astype(np.int64)
    mine = np.zeros(max(sketch.contents, 1), np.bool_)
    for _ in range(_PASSES):
        if not _pass(sketch.start, sketch.content, sizes, held, room, mine, host):
            break
    return host


def shared_on_host(sketch: Sketch, host: np.ndarray) -> np.ndarray:
    """By VM: pages that it shares with others of its host, estimated: what saving the host would lose without it."""
    vm = np.repeat(np.arange(len(host)), np.diff(sketch.start))
    key = host[vm].astype(np.int64) * max(sketch.contents, 1) + sketch.content
    _, which, count = np.unique(key, return_inverse=True, return_counts=True)
    return np.bincount(vm, weights=count[which] > 1, minlength=len(host)) / sketch.rate


def _first_fit(sizes: np.ndarray, capacity: int, hosts: int) -> np.ndarray:
    room, host = np.full(hosts, capacity, np.int64), np.empty(len(sizes), np.int32)
    for vm in np.argsort(-sizes, kind="stable"):
        (fitting,) = np.nonzero(room >= sizes[vm])
        if not len(fitting):
            raise TracekitError(f"{len(sizes)} VMs do not fit on {hosts} hosts of {capacity} pages; give more or larger hosts")
        host[vm] = fitting[0]
        room[host[vm]] -= sizes[vm]
    return host


@entry
def _fill(start, content, first, vms_of, sizes, capacity, hosts, gain, here, host):
    """``gain`` is by VM: sketched contents that it shares with the host being filled; ``here`` by content: whether it is there."""
    for h in range(hosts):
        room = capacity
        gain[:] = 0
        here[:] = False
        while True:
            best = -1
            for vm in range(sizes.size):
                if host[vm] < 0 and sizes[vm] <= room:
                    if best < 0 or gain[vm] > gain[best] or (gain[vm] == gain[best] and sizes[vm] > sizes[best]):
                        best = vm
            if best < 0:
                break
            host[best] = h
            room -= sizes[best]
            for k in range(start[best], start[best + 1]):
                c = content[k]
                if not here[c]:
                    here[c] = True
                    for j in range(first[c], first[c + 1]):
                        gain[vms_of[j]] += 1


@entry
def _pass(start, content, sizes, held, room, mine, host):
    """Move or swap each VM in turn if that saves more. ``held`` counts VMs by host and content; returns how many moved."""
    moved = 0
    hosts = held.shape[0]
    for vm in range(sizes.size):
        a = host[vm]
        lost = 0  # what its host loses without it
        for k in range(start[vm], start[vm + 1]):
            mine[content[k]] = True
            lost += np.int64(held[a, content[k]] > 1)
        best_gain, best_host, best_other = 0, -1, -1
        for b in range(hosts):
            if b == a:
                continue
            won = 0
            for k in range(start[vm], start[vm + 1]):
                won += np.int64(held[b, content[k]] > 0)
            if won - lost <= 0:  # a swap that gains by the other VM alone is found when its turn comes
                continue
            if room[b] >= sizes[vm]:
                if won - lost <= best_gain:
                    continue
                best_gain, best_host, best_other = won - lost, b, -1
                continue
            for other in range(sizes.size):
                if host[other] != b or room[b] + sizes[other] < sizes[vm] or room[a] + sizes[vm] < sizes[other]:
                    continue
                gain = won - lost
                for k in range(start[other], start[other + 1]):
                    c = content[k]
                    gain -= np.int64(held[b, c] > 1)  # b loses it without the other
                    if mine[c]:
                        gain -= np.int64(held[b, c] == 1)  # the VM finds it on b no more
                        gain += np.int64(held[a, c] > 1)  # the other finds it on a still
                    else:
                        gain += np.int64(held[a, c] > 0)
                if gain > best_gain:
                    best_gain, best_host, best_other = gain, b, other
        for k in range(start[vm], start[vm + 1]):
            mine[content[k]] = False
        if best_host < 0:
            continue
        _put(start, content, sizes, held, room, host, vm, best_host)
        if best_other >= 0:
            _put(start, content, sizes, held, room, host, best_other, a)
        moved += 1
    return moved


@entry
def _put(start, content, sizes, held, room, host, vm, to):
    was = host[vm]
    for k in range(start[vm], start[vm + 1]):
        held[was, content[k]] -= np.uint16(1)
        held[to, content[k]] += np.uint16(1)
    room[was] += sizes[vm]
    room[to] -= sizes[vm]
    host[vm] = to
