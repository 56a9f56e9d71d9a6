"""Slow twins of the allocation policies: page by page, or step by step, as their definitions say."""

import math

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


class Senpai:
    """One VM under TMO's controller (Weiner et al. 2022, section 3.3): each period current · ratio · max(0, 1 − some / threshold)
    is reclaimed. What is reclaimed stays so until pressure reaches the threshold; then the VM grows as it likes (None)."""

    def __init__(self, ratio, threshold):
        self.ratio, self.threshold, self.limit = ratio, threshold, None

    def period(self, current, stalled, length):
        """A period of ``length`` ends, in which the VM was stalled for so long, and holds ``current`` pages."""
        some = stalled / length
        if some >= self.threshold:
            self.limit = None
            return
        current = current if self.limit is None else min(current, self.limit)
        reclaim = math.ceil(current * self.ratio * (1 - some / self.threshold))
        self.limit = max(1, current - reclaim)


class Harvester:
    """One producer of Memtrade (Maruf et al. 2023, section 4.2): harvests chunk by chunk until performance drops below what it
    was without a limit; then it disables the limit for the recovery period, and begins anew."""

    def __init__(self, chunk, tolerated, recovery):
        self.chunk, self.tolerated, self.recovery = chunk, tolerated, recovery
        self.limit, self.baseline, self.epochs_to_recover = None, [], 0

    def epoch(self, current, page_ins, seconds):
        if self.limit is None:
            self.baseline.append((page_ins, seconds))
            drops = False
        else:
            usual = sum(ins for ins, _ in self.baseline) / sum(time for _, time in self.baseline)
            drops = page_ins / seconds > usual + self.tolerated
        if drops:
            self.limit, self.epochs_to_recover = None, self.recovery
        elif self.epochs_to_recover > 1:
            self.epochs_to_recover -= 1
        else:
            self.epochs_to_recover = 0
            self.limit = max(1, (current if self.limit is None else min(current, self.limit)) - self.chunk)


def lotteries(held, tickets, least, most, memory, turnover, piece, point):
    """A reallocation by lotteries (Waldspurger & Weihl 1994, section 6.2), one ticket or page at a time; ``point()`` is random in [0, 1).

    Each loser is drawn with a chance ∝ (1 − t/T) × its part of the memory in use, tickets of VMs without memory left out.
    """
    held = list(held)
    lower = int(min(memory, sum(most)) * (1 - turnover / 100))
    while sum(held) > max(lower, sum(least)):
        playing = sum(t for t, h in zip(tickets, held) if h > 0)
        chances = [
            (1 - (t if h > 0 else 0) / max(playing, 1)) * h / max(sum(held), 1) if h > low else 0 for t, h, low in zip(tickets, held, least)
        ]
        if not any(chances):
            chances = [float(h > low) for h, low in zip(held, least)]
        vm = drawn(chances, point())
        held[vm] -= min(piece, held[vm] - least[vm], sum(held) - lower)
    while sum(held) < min(memory, sum(most)):
        vm = drawn([float(t) if h < high else 0 for t, h, high in zip(tickets, held, most)], point())
        held[vm] += min(piece, most[vm] - held[vm], memory - sum(held))
    return held


def drawn(chances, point):
    """Whose part of the line from 0 to the sum of all chances the point lies on."""
    end, mark = 0.0, point * sum(chances)
    for i, chance in enumerate(chances):
        end += chance
        if mark < end:
            return i
    raise AssertionError("beyond the line")
