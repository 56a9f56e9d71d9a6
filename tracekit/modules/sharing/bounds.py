"""The two bounds of sharing: everything that is equal, at once; and nothing."""

from tracekit.kernel import jit
from tracekit.modules.sharing.sharing import Sharing


class ShareEverything(Sharing):
    """Every page is scanned the moment its content changes, so that equal pages are always shared."""

    name = "share-everything"

    @staticmethod
    @jit
    def changed(s, h, page):
        return True


class NeverShare(Sharing):
    """Nothing is scanned: what could be saved stands beside nothing found."""

    name = "never-share"
