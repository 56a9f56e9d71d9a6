"""The numbers of Figure 4, solved by hand: which pages identical VMs have in common (paper section 4.4).

What the figure says of n VMs of 40 MB: one alone reclaims nearly 5 MB (0.12 of its memory), about 55 % of it zero pages; ten
have 67 % of their pages shared and nearly 60 % reclaimed; *shared − reclaimed* stays nearly constant as n grows.

The model. Of a VM's P pages
    z  are zero,
    i  hold one copy each of the image's i distinct contents, the same in every VM (code, read-only data),
    e  hold a second copy of e of those contents,
    2g hold g contents of the VM's own, twice each,
    u  hold contents that no other page has.
Sharing everything, n ≥ 2 VMs have (a frame of zeros, i of the image, n g of twins)
    shared(n)    = n (z + i + e + 2g)                   shared(1)    = z + 2e + 2g
    reclaimed(n) = shared(n) − (1 + i + n g)            reclaimed(1) = (z − 1) + e + g

The figure's four statements, as shares of P and without the single frame of zeros:
    (1) z + e + g = 0.120        one VM reclaims 4.8 of 40 MB
    (2) z = 0.55 · 0.120         = 0.066, zero pages are 55 % of that
    (3) z + i + e + 2g = 0.670   shared
    (4) 0.670 − i/10 − g = 0.598 reclaimed by ten
(3) − (1) gives i = 0.550 − g. In (4): g + (0.550 − g)/10 = 0.072, so g = 0.017/0.9 = 0.019, and by (1) e = 0.035.
Hence i = 0.531, u = 0.330: the defaults. For many VMs shared stays at 67 % and reclaimed tends to 0.670 − g = 65.1 %: a marginal
VM that reclaims 60 % would need g = 0.07, and one VM alone would then reclaim z + g = 0.136, 5.4 MB, against (1).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mix:
    """Pages of one VM by what they hold: counts of the docstring's z, i, e, g, u."""

    zero: int
    image: int
    again: int
    twins: int
    unique: int

    @property
    def pages(self) -> int:
        return self.zero + self.image + self.again + 2 * self.twins + self.unique


def solve(pages: int, common: float, zero: float, again: float, twins: float) -> Mix:
    """The mix of a VM of ``pages`` pages from its shares: ``common`` is (3), the others z, e and g. Raises ValueError."""
    z, e, g = round(zero * pages), round(again * pages), round(twins * pages)
    image = round(common * pages) - z - e - 2 * g
    if image < e:
        raise ValueError(f"zero + 2 again + 2 twins exceed common = {common:g}")
    return Mix(z, image, e, g, pages - z - image - e - 2 * g)


def savings(mix: Mix, vms: int) -> dict[str, int]:
    """Pages, shared, reclaimed, zero and distinct contents of ``vms`` VMs, if all equal pages are shared."""
    zeros = vms * mix.zero
    zero_frames = 1 if zeros > 1 else 0
    image_frames = mix.image if vms > 1 else mix.again
    shared = zero_frames * zeros + vms * 2 * mix.twins + (vms * (mix.image + mix.again) if vms > 1 else 2 * mix.again)
    return {
        "pages": vms * mix.pages,
        "shared": shared,
        "reclaimed": shared - zero_frames - image_frames - vms * mix.twins,
        "zero": zeros,
        "distinct": min(zeros, 1) + mix.image + vms * (mix.twins + mix.unique),
    }
