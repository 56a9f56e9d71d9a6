"""Capturing contents: snapshots of several guests at equal distances on one clock, until told to stop."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tracekit.capture.ending import signals
from tracekit.capture.guest import Guest, refuse_same_names
from tracekit.capture.images import ImageGuest
from tracekit.capture.recording import Recording
from tracekit.capture.snapshot import Snapshot, Snapshots
from tracekit.digest import page_digests
from tracekit.errors import CaptureError, TracekitError
from tracekit.metadata import Metadata, VmInfo, provenance
from tracekit.units import PAGE_BYTES

#: What goes unseen whatever the guest is.
BLIND = (
    "a page that changed and changed back between two snapshots goes unseen",
    "pages of address ranges that are no RAM have no rows",
)
CLOCK = "CLOCK_MONOTONIC"


@dataclass
class Told:
    """What was captured of one guest, for a person: snapshots, pages in the last, pages changed after the first, pauses in ns."""

    snapshots: int = 0
    pages: int = 0
    changed: int = 0
    pauses: list[list[int]] = field(default_factory=list)  # [t, ns]


@dataclass(frozen=True)
class Done:
    """How a capture ended: the file, by which signal (0: in time), what was captured by guest, rounds for which there was no time."""

    path: Path
    signal: int
    guests: dict[str, Told]
    missed: int


class ContentCapture:
    """Snapshots of ``guests`` into ``out`` (FOLDER/CAPTURE), with digests by ``key`` and sizes by ``codec`` if there are.

    ``parameters`` go into the trace's provenance. t is 0 at ``origin`` (ns of ``clock``), by default now.
    """

    def __init__(
        self,
        guests: Sequence[Guest | ImageGuest],
        out: str | os.PathLike[str],
        key: bytes | None = None,
        codec: str | None = None,
        parameters: dict[str, Any] | None = None,
        origin: int | None = None,
        clock: str = CLOCK,
    ):
        if not guests:
            raise CaptureError("nothing to capture; name VMs with --qmp or --domain, a process with --pid, or dumps with --image")
        refuse_same_names([guest.name for guest in guests])
        self._snapshots = [Snapshots(guest, key, codec) for guest in guests]
        self._keyed, self._codec = key is not None, codec
        self._zero = int(page_digests(bytes(PAGE_BYTES), key=key)[0])  # and the kernel is there before a guest waits for it
        self._parameters = parameters or {}
        self._origin, self._clock = time.monotonic_ns() if origin is None else origin, clock
        columns = ("t", "seq", "vm", "ppn", "digest", *(("compressed",) if codec else ()))
        self._recording = Recording(out, "content", columns)
        self._told = {guest.name: Told() for guest in guests}

    def run(self, every_ns: int, for_ns: int | None) -> Done:
        """Snapshot all guests every ``every_ns`` from now on, for ``for_ns`` (None: until SIGINT or SIGTERM ends it).

        However it ends, by a signal or by a guest that fails (CaptureError), guests go on and what was finished is kept.
        """
        missed = 0
        with signals() as ended:
            start = due = time.monotonic_ns()
            try:
                while (for_ns is None or due - start <= for_ns) and ended.sleep_until(due):
                    for snapshots in self._snapshots:
                        if not ended.by:
                            self.take(snapshots)
                    due += every_ns
                    late = max(0, time.monotonic_ns() - due) // every_ns
                    due, missed = due + late * every_ns, missed + late
            except CaptureError as error:
                if not self._recording.rows:
                    self._recording.discard()
                    raise
                path = self.finish()
                raise CaptureError(f"{error}; what was captured until then is in {path}") from None
            except OSError as error:
                said = f"{self._recording.parts}: cannot be written ({error.strerror or error}); what was finished is kept there"
                raise CaptureError(f"{said}: make room, then tracekit capture finish {self._recording.path}") from None
            return Done(self.finish(), ended.by, self._told, missed)

    def run_images(self) -> Done:
        """Take every image of the guests, all of which are ``ImageGuest``, in order of time."""
        images = [(t, i) for i, each in enumerate(self._snapshots) if isinstance(each.guest, ImageGuest) for _, t in each.guest.images]
        try:
            for _, i in sorted(images):
                self.take(self._snapshots[i])
        except TracekitError:
            self._recording.discard()
            raise
        if not self._recording.rows:
            self._recording.discard()
            raise CaptureError("the images hold no page of memory; are they whole?")
        return Done(self.finish(), 0, self._told, 0)

    def take(self, snapshots: Snapshots) -> None:
        """One snapshot of one guest, written."""
        name, snapshot = snapshots.guest.name, snapshots.take()
        t, told = snapshot.since - self._origin, self._told[name]
        told.changed += len(snapshot.pages) if told.snapshots else 0
        told.snapshots += 1
        told.pages = snapshot.seen
        told.pauses.append([t, snapshot.pause_ns])
        self._recording.add(self._metadata({name: told.pauses[-1:]}), self._columns(t, name, snapshot))

    def finish(self) -> Path:
        """Join the snapshots into one file."""
        images = [each.guest for each in self._snapshots if isinstance(each.guest, ImageGuest)]
        dropped = {reason: count for image in images for reason, count in image.dropped.items()}
        pauses = {name: told.pauses for name, told in self._told.items()}
        return self._recording.finish({"pauses_ns": pauses, "rows_dropped": dropped})

    def _columns(self, t: int, name: str, snapshot: Snapshot) -> dict[str, Any]:
        rows = len(snapshot.pages)
        columns: dict[str, Any] = {
            "t": np.full(rows, t, np.int64), "vm": (np.zeros(rows, np.int32), [name]), "ppn": snapshot.pages, "digest": snapshot.digests,
        }  # fmt: skip
        return columns | ({} if snapshot.compressed is None else {"compressed": snapshot.compressed})

    def _metadata(self, pauses: dict[str, list[list[int]]]) -> Metadata:
        guests = [each.guest for each in self._snapshots]
        return Metadata(
            kind="content",
            capture=self._recording.path.name,
            vms=tuple(VmInfo(guest.name, max(guest.pages, 1)) for guest in guests),
            capabilities=("content", "digest64"),
            zero_digest=self._zero,
            keyed=self._keyed,
            provenance=provenance(
                self._parameters,
                method="each guest is stopped, its pages digested, and continued; after the first snapshot changed pages only",
                read_from={guest.name: guest.method for guest in guests},
                pauses_ns=pauses,
                clock={"name": self._clock, "origin_ns": self._origin},
                blind_spots=[*BLIND, *dict.fromkeys(spot for guest in guests for spot in guest.blind)],
                **({"codec": self._codec} if self._codec else {}),
            ),
        )


def read_key(path: Path | None) -> bytes | None:
    """The key in a file, as it stands there. Raises CaptureError if it is no good."""
    if path is None:
        return None
    try:
        key = path.read_bytes()
    except OSError as error:
        raise CaptureError(f"{path}: the key cannot be read ({error.strerror})") from None
    if len(key) < 16:
        raise CaptureError(
            f"{path}: a key of {len(key)} bytes can be guessed; write at least 16 random ones: head -c 32 /dev/urandom > {path}"
        )
    return key
