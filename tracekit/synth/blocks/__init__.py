"""What VMs of a recipe can do, by name: one class a block."""

from tracekit.synth.blocks import dma, file_server, rounds, steady
from tracekit.synth.blocks.base import Block

BLOCKS: dict[str, type[Block]] = {
    block.name: block
    for block in (
        *(steady.Uniform, steady.Zipf, steady.Hotspot, steady.Scan, steady.Loop, steady.PhaseChange, steady.Walk),
        *(rounds.Sweep, rounds.Touch, rounds.Background, rounds.Churn, rounds.CopyStorm, rounds.ZeroThread, rounds.Load, rounds.Pause),
        *(dma.Ring, dma.Stream, dma.Scatter),
        file_server.FileServer,
    )
}
