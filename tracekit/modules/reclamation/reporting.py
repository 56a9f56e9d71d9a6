"""Free-page reporting: a cooperative guest instead of a balloon (Linux mm/page_reporting.c, virtio-balloon's free-page reporting;
before it Disco and Xen's transcendent memory asked for the guest's help as well).
"""

from tracekit.module import Site
from tracekit.modules.reclamation.guest import Guests, Reclaiming, guests


class FreePageReporting(Reclaiming):
    """A guest that tells the host which pages it has freed; it is not asked to free any. Needs hint-free events.

    The frame of a page that is hinted free is the host's at once, a copy in the host's swap is forgotten, and the next
    touch is a fault without I/O.
    """

    name = "free-page-reporting"
    template = "hinting"
    needs = frozenset({"access", "free_hints"})

    def setup(self, site: Site) -> Guests:
        self.site = site
        self.guests = guests(site)
        return self.guests
