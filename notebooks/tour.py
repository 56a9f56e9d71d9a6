import marimo

app = marimo.App(width="medium", app_title="tracekit: the paper in one notebook")


@app.cell(hide_code=True)
def _():
    import marimo as mo

    mo.md(
        """
        # The paper in one notebook

        Carl Waldspurger, *Memory Resource Management in VMware ESX Server*, OSDI 2002: a host that promises its virtual
        machines more memory than it has needs ways to find memory that is there twice, to take memory back, and to know
        who needs it least. This notebook replays what **real VMs** did with their memory (the captures in `traces/`)
        through each of these mechanisms. It claims nothing that it does not replay; where a trace was made up it says
        *synthetic*.
        """
    )
    return (mo,)


@app.cell
def _(mo):
    import tempfile

    import polars as pl

    import tracekit as tk
    from tracekit.synth import synthesize

    traces = mo.notebook_dir().parent / "traces"
    return pl, synthesize, tempfile, tk, traces


@app.cell(hide_code=True)
def _(mo):
    mo.md(
        """
        ## 1 · The same page many times (section 4)

        VMs that run the same systems hold the same pages. A host that maps equal pages to one copy, read-only, saves the
        rest; a write makes a private copy. How much is there to find? Six VMs with different work, every two equal pages
        shared:
        """
    )
    return


@app.cell
def _(tk, traces):
    shared = tk.replay(traces / "six-vms.content.parquet", sharing="share-everything")
    in_production = tk.analysis("sharing_in_production")
    production = in_production.ask(shared)
    in_production.chart(production)
    return (production,)


@app.cell(hide_code=True)
def _(mo, production):
    found = production.row(0, named=True)
    mo.md(
        f"""
        {found["reclaimed"]:.0f} of {found["total"]:.0f} MiB are there twice or more: **{found["reclaimed_part"]:.0%}**.
        But {found["zero"]:.0f} MiB of that are pages of zeros. The paper's three production hosts had 32.9, 18.7 and 7.2
        % (Figure 5).

        And with more VMs of one kind? The first *n* of ten identical guests, as in Figure 4:
        """
    )
    return


@app.cell
def _(tk, traces):
    by_vms = tk.analysis("sharing_by_vms")
    clones = by_vms.ask(tk.open_trace(traces / "ten-clones.content.parquet"))
    by_vms.chart(clones)
    return (clones,)


@app.cell(hide_code=True)
def _(clones, mo):
    ten = clones.row(-1, named=True)
    mo.md(
        f"""
        Ten clones share {ten["shared_part"]:.0%} of their pages and give back {ten["reclaimed_part"]:.0%} (the paper: 67
        % and nearly 60 %). The line is straight after the second VM: each new one brings its own data only.

        ## 2 · When memory is short anyway (section 3)

        Something has to leave. The host does not know what its guests need, so it asks them first: a **balloon** inflates
        in the guest, whose own policy then chooses. Only what that cannot deliver is paged out by the host, and **at
        random**. Is random so bad?
        """
    )
    return


@app.cell
def _(tk, traces):
    paging = {"module": ["lru", "random", "optimal"], "frames": [10_000, 20_000, 30_000]}
    paged = tk.replay(traces / "balloon-workload.access.parquet", until="45s", paging=paging, seed=[1, 2, 3])
    replacement = tk.analysis("replacement")
    misses = replacement.ask(paged)
    replacement.chart(misses)
    return (misses,)


@app.cell(hide_code=True)
def _(misses, mo, pl):
    small, large = (misses.filter(pl.col("memory") == memory) for memory in (misses["memory"].min(), misses["memory"].max()))
    of_opt = {(size, row["policy"]): row["of_opt"] for size, rows in (("small", small), ("large", large)) for row in rows.to_dicts()}
    mo.md(
        f"""
        This guest loops over 64 MiB. In {small["memory"][0]:.0f} MiB LRU always throws out what comes next:
        {of_opt["small", "lru"]:.2f} times the misses of one who knows the future, against {of_opt["small", "random"]:.2f}
        for random. In {large["memory"][0]:.0f} MiB it is {of_opt["large", "lru"]:.2f} against {
            of_opt["large", "random"]:.2f}. Random is never far off, whichever way.

        ## 3 · Who needs it least? Sampling (section 5.3)

        Shares say who should have how much; but an idle VM should not hoard. So the host must know how much of its memory
        a VM *uses*, and the guest does not tell. ESX takes the mappings of 100 pages away, at random, every 30 s, and
        counts how many come back. The truth beside the estimate, for a VM whose program touches 64, 160, 240, 96, 24 and
        200 MiB in turn (Figure 6):
        """
    )
    return


@app.cell
def _(tk, traces):
    watched = tk.replay(traces.glob("toucher-long.*.parquet"), preset="estimators")
    sampling = tk.analysis("sampling_accuracy")
    accuracy = sampling.ask(watched)
    sampling.chart(accuracy)
    return (accuracy,)


@app.cell(hide_code=True)
def _(accuracy, mo):
    error = accuracy.filter(view="error").row(0, named=True)
    mo.md(
        f"""
        The 95 % interval of a period's 100 samples covers the truth in {error["covered"]:.0%} of {error["periods"]}
        periods. A sample is off by {error["error"]:.0f} MiB (by its closed form it should be {error["closed_form"]:.0f}).
        What the host *acts on* is the largest of a slow, a fast and a running average: {error["bias_acted_on"]:+.0f} MiB
        on average, because a VM that wakes up must be believed at once.

        ## 4 · The idle memory tax (sections 5.2 and 5.4)

        With the estimate a host can charge more for idle pages: a share price with a tax. Two VMs of equal shares, one
        idle and one busy, without and with a tax of 75 % (Figure 7; **synthetic**, a thirty-second of the size):
        """
    )
    return


@app.cell
def _(synthesize, tempfile, tk):
    with tempfile.TemporaryDirectory() as folder:
        made = synthesize("tax", folder, duration="360s", memory="8MiB", active1="1280KiB", active2="6400KiB")[1:-1]
        taxed = tk.replay(
            made,
            memory="13.9MiB",
            balloon={"module": "esx", "zeroing": 2000, "inflate": "2MiB", "deflate": "2MiB"},
            paging="random",
            tax={"module": "esx", "rate": [0, 0.75], "overhead": "1MiB"},
            replay={"report": "20s"},
        )
    idle_tax = tk.analysis("idle_tax")
    holdings = idle_tax.ask(taxed)
    idle_tax.chart(holdings)
    return (holdings,)


@app.cell(hide_code=True)
def _(holdings, mo, pl):
    late = holdings.filter(pl.col("t") > 300).group_by("rate", "vm").agg(pl.col("held").mean(), pl.col("page_ins").sum())
    held = {(rate, vm): (size, ins) for rate, vm, size, ins in late.iter_rows()}
    mo.md(
        f"""
        Without the tax both hold {held[0, "idle"][0]:.1f} MiB, and the busy VM reads in {held[0, "busy"][1]:,} pages in
        the last minute. With it the idle VM keeps {held[0.75, "idle"][0]:.1f} MiB, the busy one has {
            held[0.75, "busy"][0]:.1f}, and reads in {held[0.75, "busy"][1]:,}. The dashed line is where the paper's arithmetic says they
        should end.

        ## 5 · Pages that devices cannot reach (section 7)

        A device that addresses 4 GiB only needs a copy, through a *bounce buffer*, of every page above. Pages that are
        copied again and again had better move below. The paper has no numbers for this; here are some:
        """
    )
    return


@app.cell
def _(tk, traces):
    moved = tk.replay(traces.glob("dma-*.parquet"), preset="remap", remap={"threshold": [3, 8, 128]})
    remap_copies = tk.analysis("remap_copies")
    copies = remap_copies.ask(moved)
    remap_copies.chart(copies)
    return (copies,)


@app.cell(hide_code=True)
def _(copies, mo, pl):
    able = copies.filter(~pl.col("forced") & (pl.col("threshold") == 3))
    best, worst = able.sort("left").row(0, named=True), able.sort("left").row(-1, named=True)
    mo.md(
        f"""
        It depends on whether pages are used again. For {best["device"]} in phase {best["phase"]} of the workload, moving
        {best["remapped"]:,} pages leaves {best["left"]:.1%} of the copies; for {worst["device"]} in phase
        {worst["phase"]} it leaves {worst["left"]:.0%}. Copies that are *forced* (a confidential VM) cannot be saved by
        any placement.

        ## All of it at once

        On a real host these meet: a shared page is not paged out, a page-in may push another VM over its target.
        `tk.replay(traces)` without anything else runs them together, on one clock; `tracekit replay traces/*.parquet`
        prints what comes out.
        """
    )
    return


if __name__ == "__main__":
    app.run()
