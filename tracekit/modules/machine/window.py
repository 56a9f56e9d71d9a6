"""The size of the working set W(t, τ): pages used within the window of length τ before t (Denning 1968), at every step.

Pages are counted by the step that they were last used in, so that an access costs a few instructions and a size is a sum over
the steps of the window.
"""

from typing import NamedTuple

import numpy as np

from tracekit.kernel import jit


class Window(NamedTuple):
    """Steps are counted from 1; 0 is never. The running step is one of the window's."""

    used_in: np.ndarray  # uint32 by page: the step that it was last used in
    step: np.ndarray  # int64 [1]: the running step
    pages: np.ndarray  # int64 (vm, steps of the window): pages last used in a step, at its number modulo the steps


def window(pages: int, vms: int, steps: int) -> Window:
    """A window of so many steps, before its first."""
    return Window(np.zeros(pages, np.uint32), np.ones(1, np.int64), np.zeros((vms, steps), np.int64))


@jit
def see(s, vm, page):
    """A page is used."""
    now, before = s.step[0], np.int64(s.used_in[page])
    if before == now:
        return
    steps = s.pages.shape[1]
    if before > 0 and before > now - steps:
        s.pages[vm, before % steps] -= 1
    s.pages[vm, now % steps] += 1
    s.used_in[page] = now


def end_step(s: Window) -> np.ndarray:
    """End the running step; returns the working set's size by VM (int64)."""
    sizes = s.pages.sum(1)
    s.step[0] += 1
    s.pages[:, s.step[0] % s.pages.shape[1]] = 0
    return sizes
