#!/bin/sh
# Records a guest's DMA by its kernel's own tracepoints, for tracekit (tracekit capture io). Run in the guest, as root:
#   sh guest_io.sh OUT SECONDS [CLOCK]
# OUT    a file, or a raw disk of its own, to which the text is written at the end, so that it adds no DMA of its own
# CLOCK  a serial port that the host listens at (tracekit capture marks): puts the trace on the host's clock
# BUFFER_KB (8192) is kept in memory for each CPU. Linux 6.12 on tells transfers, older kernels only those that bounced.
set -eu
out=$1 seconds=$2 clock=${3:-/dev/null}
T=/sys/kernel/tracing
[ -d $T/events ] || mount -t tracefs tracefs $T

tell_clock() { # the same words in the trace and at the port: whoever has both knows both clocks
    echo "tracekit clock $1" >$T/trace_marker
    echo "tracekit clock $1" >"$clock"
}

echo 0 >$T/tracing_on
echo nop >$T/current_tracer
echo mono >$T/trace_clock
echo "${BUFFER_KB:-8192}" >$T/buffer_size_kb
echo >$T/trace
events=
for event in swiotlb/swiotlb_bounced dma/dma_map_page dma/dma_map_phys dma/dma_map_sg; do
    [ -d $T/events/$event ] && echo 1 >$T/events/$event/enable && events="$events $event"
done
[ -n "$events" ] || { echo "this kernel has no tracepoints of DMA: CONFIG_SWIOTLB and Linux 3.13, better 6.12" >&2; exit 1; }
echo 1 >$T/tracing_on
end=$(($(cut -d. -f1 /proc/uptime) + seconds)) n=0
while [ "$(cut -d. -f1 /proc/uptime)" -lt $end ]; do
    tell_clock $n
    n=$((n + 1))
    sleep 1
done
tell_clock $n
echo 0 >$T/tracing_on
for event in $events; do echo 0 >$T/events/$event/enable; done
{
    for device in /sys/bus/pci/devices/*; do
        driver=$(readlink $device/driver 2>/dev/null || true)
        echo "# tracekit device ${device##*/} bits=$(cat $device/dma_mask_bits) driver=${driver##*/}"
    done
    for cpu in $T/per_cpu/cpu*; do echo "# tracekit ${cpu##*/} $(grep -E '^(overrun|dropped events)' $cpu/stats | tr '\n' ' ')"; done
    cat $T/trace
} | dd of="$out" bs=64k iflag=fullblock conv=sync 2>/dev/null
sync
echo >$T/trace
echo "tracekit done" >"$clock"
