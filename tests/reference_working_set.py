"""A slow, readable twin of the working-set observer: everything from its definition, nothing in one pass.

Rows are (t, vm, page) in order, times in ns.
"""

from collections import Counter, defaultdict
from statistics import fmean


def working_set(rows, t, window, vm):
    """W(t, τ): pages of a VM used in (t − τ, t]."""
    return {page for used, name, page in rows if name == vm and t - window < used <= t}


def mean_size(rows, window, vm, resolution):
    """Mean of |W(t, τ)| from the first row to the last, looked at in the middle of steps of ``resolution`` ns, all times its multiples."""
    first, last = rows[0][0], rows[-1][0]
    return fmean(len(working_set(rows, t + resolution / 2, window, vm)) for t in range(first, last, resolution))


def reuse_times(rows, vm):
    """The time since its page was last used, of every use in order; None for the first."""
    before, found = {}, []
    for t, name, page in rows:
        if name == vm:
            found.append(t - before[page] if page in before else None)
            before[page] = t
    return found


def sizes(rows, window, step, vm):
    """(t, pages used in [t − window, t)) at every multiple of the step, from the first whole window on."""
    first, last = rows[0][0], rows[-1][0]
    moments = range(first + window, last + 1, step)
    return [(t, len({page for used, name, page in rows if name == vm and t - window <= used < t})) for t in moments]


def heat(rows, period, wide):
    """{(begin of period, vm, first page of band): (accesses, distinct pages)}; ``wide``: pages of a band by VM."""
    accesses, used = Counter(), defaultdict(set)
    for t, vm, page in rows:
        key = (rows[0][0] + (t - rows[0][0]) // period * period, vm, page // wide[vm] * wide[vm])
        accesses[key] += 1
        used[key].add(page)
    return {key: (count, len(used[key])) for key, count in accesses.items()}
