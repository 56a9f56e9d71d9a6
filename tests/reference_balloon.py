"""A slow, readable twin of the ballooned guest: what tracekit.modules.reclamation.ballooning must do, in dicts and sets.

It stands on the twin of the machine, which is the host under the guests. Rows are as in ``reference``, each with its ``t``
and in order of it, and ``{"kind": "event", "vm": "a", "t": 0, "what": "boot", "a": 0}``.
"""

from collections import OrderedDict

from reference import Machine

SECOND = 10**9


class Driver:
    """A guest and its balloon driver. Pages are PPNs."""

    def __init__(self, pages, kernel, swap, native):
        self.pages, self.kernel, self.swap, self.native = pages, kernel, swap, native
        self.ballooned = set()
        self.reboot(None)
        self.asked = pages

    def reboot(self, now):
        self.order = OrderedDict()  # pages in use, the next victim first
        self.kept, self.out, self.dirty, self.copy = set(), set(), set(), set()
        self.running, self.began = self.native, now
        self.hand = self.pages


class Ballooned(Machine):
    """Guests under LRU with balloons, on a host of ``frames`` that pages by LRU.

    ``schedule`` is [(ns since the first row, pages)]; without one the events tell the targets. ``at_start``: there is no
    hypervisor, and each machine lacks all but so many pages from the start.
    """

    def __init__(self, vms, rows, *, frames, kernel=0, swap=None, schedule=(), cap=0.65, inflate=16384, deflate=16384, load=0, at_start=0):
        super().__init__(vms, rows, frames, "lru")
        self.schedule, self.cap, self.inflate, self.deflate, self.load = schedule, cap, inflate, deflate, load
        self.native = at_start > 0
        self.guests = [Driver(pages, kernel, swap, self.native) for pages in self.sizes]
        if self.native:
            for vm, guest in enumerate(self.guests):
                for _ in range(max(0, guest.pages - at_start)):
                    self.take_one(vm)
        for vm in range(len(self.guests)):
            self.take_kernel(vm)

    def run(self):
        first = self.rows[0]["t"]
        tick = first + SECOND
        for row in self.rows:
            while tick <= row["t"]:
                self.poll(tick, tick - first)
                tick += SECOND
            vm = self.names.index(row["vm"])
            if row["kind"] == "event":
                self.event(vm, row)
                continue
            self.guest_access(vm, row["ppn"], row["write"])
            self.now += 1
            self.access((vm, row["ppn"]), row["write"])
        while tick <= self.rows[-1]["t"]:
            self.poll(tick, tick - first)
            tick += SECOND
        return self

    # the driver

    def event(self, vm, row):
        if row["what"] == "balloon":
            self.guests[vm].asked = row["a"]
        if row["what"] == "boot":
            self.guests[vm].reboot(row["t"])
            self.take_kernel(vm)

    def poll(self, now, since):
        if self.native:
            return
        for vm, guest in enumerate(self.guests):
            if guest.began is None and self.count["accesses", vm] > 0:
                guest.began = now
            if not guest.running and guest.began is not None and now - guest.began >= self.load:
                if guest.ballooned:
                    self.pop(vm)
                guest.running = True
        for vm, guest in enumerate(self.guests):
            target = guest.asked
            if self.schedule:
                target = ([guest.pages] + [pages for t, pages in self.schedule if t <= since])[-1]
            wanted = min(max(guest.pages - target, 0), int(guest.pages * self.cap))
            if guest.running:
                for _ in range(min(len(guest.ballooned) - wanted, self.deflate)):
                    guest.ballooned.remove(min(guest.ballooned))
                    guest.hand = guest.pages
                for _ in range(min(wanted - len(guest.ballooned), self.inflate)):
                    if not self.take_one(vm):
                        break

    def pop(self, vm):
        self.count["pops", vm] += 1
        self.guests[vm].ballooned.clear()
        self.guests[vm].hand = self.guests[vm].pages

    # the guest

    def take_kernel(self, vm):
        guest = self.guests[vm]
        while len(guest.kept) < guest.kernel and (page := self.free_page(vm)) is not None:
            guest.kept.add(page)

    def guest_access(self, vm, ppn, write):
        guest = self.guests[vm]
        if ppn in guest.order:
            guest.order.move_to_end(ppn)
        else:
            self.guest_fault(vm, ppn)
        if write and ppn not in guest.dirty:
            guest.dirty.add(ppn)
            guest.copy.discard(ppn)

    def guest_fault(self, vm, ppn):
        guest = self.guests[vm]
        self.count["guest_major", vm] += ppn in guest.out
        guest.out.discard(ppn)
        if ppn in guest.ballooned and not guest.running:
            self.pop(vm)
        if ppn in guest.ballooned:
            guest.ballooned.remove(ppn)
            self.count["yielded", vm] += not self.take_one(vm, ppn)
        if ppn in guest.kept:
            guest.kept.remove(ppn)
            page = self.spare_page(vm, ppn)
            self.count["yielded", vm] += page is None
            guest.kept |= {page} - {None}
        guest.order[ppn] = None

    def take_one(self, vm, incoming=None):
        """The balloon takes a page; whether it could."""
        page = self.spare_page(vm, incoming)
        if page is None:
            return False
        self.guests[vm].ballooned.add(page)
        self.swapped.discard((vm, page))
        if (vm, page) in self.frame:
            self.detach((vm, page))
        return True

    def spare_page(self, vm, incoming):
        """A free page, else one that the guest gives up; ``incoming`` is about to be used."""
        guest = self.guests[vm]
        page = self.free_page(vm, incoming)
        if page is not None or not guest.order or len(guest.copy) == guest.swap:
            return page
        page = next(iter(guest.order))
        del guest.order[page]
        swapped = (vm, page) in self.swapped
        guest.out.add(page)
        if page in guest.dirty:
            guest.dirty.remove(page)
            guest.copy.add(page)
            self.count["guest_page_outs", vm] += 1
            self.count["double_paged", vm] += swapped
            self.swapped.discard((vm, page))  # the host has read it in
        else:
            self.count["dropped", vm] += 1
            self.count["dropped_swapped", vm] += swapped
        return page

    def free_page(self, vm, but=None):
        """The next free page downward: each is looked at once until pages come back."""
        guest = self.guests[vm]
        while guest.hand > 0:
            guest.hand -= 1
            if guest.hand != but and not any(guest.hand in pages for pages in (guest.order, guest.kept, guest.ballooned)):
                return guest.hand
        return None

    def table(self):
        """The table balloon's last rows: VM → counts."""
        counted = ("guest_major", "guest_page_outs", "dropped", "double_paged", "dropped_swapped", "yielded", "pops")
        found = {}
        for vm, (name, guest) in enumerate(zip(self.names, self.guests, strict=True)):
            state = {"ballooned": len(guest.ballooned), "in_use": len(guest.order), "swap_used": len(guest.copy)}
            found[name] = state | {column: self.count[column, vm] for column in counted}
        return found
