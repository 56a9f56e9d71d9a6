"""The Pareto front: what is not beaten in everything at once."""

import numpy as np


def front(points: np.ndarray) -> np.ndarray:
    """Which rows of ``points`` no other row dominates. Less is better in every column; equal points are on the front together.

    A row dominates another if it is no worse in any column and better in one. A row with a NaN is not comparable: not on the front.
    """
    on = np.zeros(len(points), np.bool_)
    for i, point in enumerate(points):
        better = (points <= point).all(axis=1) & (points < point).any(axis=1)
        on[i] = not np.isnan(point).any() and not better.any()
    return on
