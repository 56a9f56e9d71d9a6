"""How fast and in how much memory synthetic accesses are made: Zipf's law over 2²⁰ pages, the whole trace file written.

Millions of rows a second by the clock (one core makes rows while another writes) and of CPU time, bytes a row on disk and the
peak of resident memory, which must not grow with the rows. Usage: python benchmarks/synth.py [MILLIONS …], by default 10 100
"""

import resource
import sys
import tempfile
import time

from tracekit.synth import find, synthesize
from tracekit.synth.capture import Capture, Piece
from tracekit.synth.generate import generate

PAGES = 1 << 20


class Nowhere(Capture):
    """Takes rows and leaves them."""

    def __init__(self) -> None:
        super().__init__({}, {"device": ()}, None)  # pyright: ignore[reportArgumentType]

    def merge(self, pieces: list[Piece]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        pass


def main(millions: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        synthesize("zipf", folder, accesses=1000)  # compiles
        for rows in (number * 10**6 for number in millions):
            cpu = time.process_time()
            setup, _ = find("zipf").set_up({"accesses": rows, "pages": PAGES})
            generate(setup, 0, Nowhere())
            made = time.process_time() - cpu
            wall, cpu = time.perf_counter(), time.process_time()
            trace, _ = synthesize("zipf", folder, accesses=rows, pages=PAGES)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
            speeds = " ".join(f"{rows / 1e6 / took:.1f}" for took in (wall, cpu, made))
            print(f"{rows // 10**6} M rows: M rows/s by the clock, of CPU time, of it without writing: {speeds}", end="; ")
            print(f"{trace.stat().st_size / rows:.2f} bytes a row, {peak} MiB")


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [10, 100])
