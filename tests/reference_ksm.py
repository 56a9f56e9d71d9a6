"""A slow, readable twin of ``sharing.ksm``: ksmd over a list of pages, with trees as dicts. It shares no code with tracekit."""

from collections import defaultdict

ZERO = "zero"


class Node:
    """A merged page: the items that hang on it, and the pages that really map it."""

    def __init__(self):
        self.items, self.mappers = set(), set()


class Item:
    """What ksmd knows of a page from its last visit."""

    def __init__(self):
        self.checksum = self.node = None
        self.unstable = False
        self.age = self.skips = 0


class Ksmd:
    """``content`` is by page, None where nothing is mapped; ``node_of`` tells a page's NUMA node, if nodes are kept apart."""

    def __init__(self, content, most=256, zero_pages=False, smart=False, node_of=None, mergeable=None):
        self.content, self.most, self.zero_pages, self.smart = list(content), most, zero_pages, smart
        self.node_of = node_of or [0] * len(self.content)
        self.mergeable = mergeable or [True] * len(self.content)
        self.items, self.nodes, self.mapped = {}, defaultdict(list), {}
        self.zero, self.scanned, self.skipped, self.scans = set(), 0, 0, 0

    def write(self, page, content):
        """The page gets a private copy, whatever it held."""
        self.content[page] = content
        self.leave(page)

    def advise(self, page, mergeable):
        self.mergeable[page] = mergeable
        if not mergeable:
            self.leave(page)

    def leave(self, page):
        self.zero.discard(page)
        node = self.mapped.pop(page, None)
        if node:
            node.mappers.discard(page)

    def full_scan(self):
        self.unstable = {}
        for page in range(len(self.content)):
            if self.content[page] is None or not self.mergeable[page] or page in self.zero:
                if page in self.items:
                    self.take_off(page)
                    del self.items[page]
                continue
            item = self.items.setdefault(page, Item())
            if self.smart and page not in self.mapped and self.skips(page, item):
                continue
            self.scanned += 1
            if page not in self.mapped:
                self.visit(page, item)
        self.scans += 1

    def skips(self, page, item):
        age, item.age = item.age, min(item.age + 1, 255)
        if age < 3:
            return False
        if item.skips == 0:
            item.skips = next(skips for limit, skips in ((3, 1), (5, 2), (8, 4), (255, 8)) if age <= limit)
            return False
        item.skips -= 1
        self.skipped += 1
        self.take_off(page)
        return True

    def visit(self, page, item):
        self.take_off(page)
        content = self.content[page]
        if item.checksum != content:
            item.checksum = content
            return
        if self.zero_pages and content == ZERO:
            self.zero.add(page)
            return
        key = self.node_of[page], content
        # The newest first; one whose mappers have all gone is gone itself.
        room = [node for node in reversed(self.nodes[key]) if 0 < len(node.mappers) < self.most]
        other = self.unstable.get(key)
        if room:
            self.hang(page, room[0])
        elif other is not None and other != page and self.content[other] == content and other not in self.mapped:
            self.take_off(other)
            del self.unstable[key]
            node = Node()
            self.nodes[key].append(node)
            self.hang(other, node)
            self.hang(page, node)
        else:
            item.unstable = True
            self.unstable[key] = page

    def hang(self, page, node):
        self.items[page].node = node
        node.items.add(page)
        node.mappers.add(page)
        self.mapped[page] = node

    def take_off(self, page):
        item = self.items[page]
        item.unstable = False
        if item.node:
            item.node.items.discard(page)
            item.node = None

    def counters(self):
        """The kernel's counters."""
        nodes = [[node for node in group if node.items] for group in self.nodes.values()]
        shared, hanging = sum(map(len, nodes)), sum(len(node.items) for group in nodes for node in group)
        unshared = sum(item.unstable for item in self.items.values())
        several = [len(group) for group in nodes if len(group) > 1]
        return {
            "full_scans": self.scans,
            "pages_shared": shared,
            "pages_sharing": hanging - shared,
            "pages_unshared": unshared,
            "pages_volatile": len(self.items) - hanging - unshared,
            "pages_scanned": self.scanned,
            "pages_skipped": self.skipped,
            "ksm_zero_pages": len(self.zero),
            "stable_node_chains": len(several),
            "stable_node_dups": sum(several),
            "general_profit": (hanging - shared + len(self.zero)) * 4096 - len(self.items) * 64,
        }
