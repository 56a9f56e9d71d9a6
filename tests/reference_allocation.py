"""Slow twins of the allocation policies: page by page, or step by step, as their definitions say."""

import numpy as np


def revoked(price, least, most, memory):
    """Min-funding revocation as the paper tells it: from full, take a page from whoever pays least, until memory suffices."""
    held = most.copy()
    while held.sum() > memory:
        pays = np.where(held > least, price(np.maximum(held, 1)), np.inf)
        held[int(np.argmin(pays))] -= 1
    return held


def filled(least, most, memory):
    """Max-min: a page at a time to whoever has fewest and can take it."""
    held = least.copy()
    while held.sum() < memory and (held < most).any():
        held[int(np.argmin(np.where(held < most, held, np.iinfo(np.int64).max)))] += 1
    return held


def dominant(wanted, capacity, weights, step=1e-4):
    """DRF by many small tasks: the next one is of the user with the lowest weighted dominant share, while resources last."""
    share = (wanted / capacity).max(axis=1)
    tasks, used, open_ = np.zeros(len(wanted)), np.zeros(len(capacity)), share > 0
    each = np.divide(wanted, share[:, None], out=np.zeros_like(wanted), where=share[:, None] > 0) * step
    while open_.any():
        user = int(np.argmin(np.where(open_, tasks / weights, np.inf)))
        short = used + each[user] > capacity * (1 + 1e-9)
        if short.any() or tasks[user] + step > share[user] * (1 + 1e-9):
            open_[user] = False
            open_ &= ~(each[:, short] > 0).any(axis=1)  # nobody else may have what is left of a resource that is used up
            continue
        tasks[user] += step
        used += each[user]
    return np.divide(wanted * tasks[:, None], share[:, None], out=np.zeros_like(wanted), where=share[:, None] > 0)


def best_division(curves, most, memory):
    """The most hits that any division of ``memory`` pages has, by trying all; ``curves[vm][c]`` are hits in c pages."""
    if len(curves) == 1:
        return curves[0][min(memory, most[0])]
    return max(curves[0][c] + best_division(curves[1:], most[1:], memory - c) for c in range(min(memory, most[0]) + 1))


def jain(values):
    """Jain's index by its definition."""
    return sum(values) ** 2 / (len(values) * sum(value**2 for value in values))
