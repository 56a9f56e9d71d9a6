import marimo

app = marimo.App(width="medium", app_title="tracekit: how many more VMs?")


@app.cell(hide_code=True)
def _():
    import marimo as mo

    mo.md(
        """
        # How many more VMs?

        Three VMs run on a host: nginx, redis and postgres, 512 MiB together, captured for a minute and a half with
        everything they touched. How many more of their kind would the same memory carry? **Put your own capture in its
        place** (`tracekit capture`), of a whole working day if you can: a minute and a half does not know Monday morning.
        """
    )
    return (mo,)


@app.cell
def _(mo):
    import polars as pl

    import tracekit as tk

    traces = mo.notebook_dir().parent / "traces"
    capture = tk.open_trace(*traces.glob("three-vms.*.parquet"))
    capture
    return capture, pl, tk


@app.cell(hide_code=True)
def _(mo):
    mo.md(
        """
        ## What do they work with?

        Configured memory says little. The *working set*, pages used within a window before, says what has to be there.
        """
    )
    return


@app.cell
def _(capture, tk):
    watched = tk.replay(capture, preset="working-set")
    working_set = tk.analysis("working_set")
    use = working_set.ask(watched)
    working_set.chart(use)
    return use, watched


@app.cell(hide_code=True)
def _(capture, mo, pl, use):
    longest = use.filter((pl.col("view") == "summary") & (pl.col("vm") == "*")).sort("window").row(-1, named=True)
    size = capture.pages / 256
    mo.md(
        f"""
        Of {size:.0f} MiB they used at most **{longest["peak"]:.0f} MiB** within {longest["window"]:.0f} s, and half of
        the time at most {longest["p50"]:.0f}. If each had its own peak reserved, that would be
        {longest["sum_of_peaks"]:.0f} MiB.

        ## Do they peak together?

        Memory for the peak of the sum is enough for all; if peaks fall apart it is less than the sum of the peaks, and
        the more VMs the more so.
        """
    )
    return (longest,)


@app.cell
def _(tk, watched):
    multiplexing = tk.analysis("multiplexing")
    together = multiplexing.ask(watched)
    multiplexing.chart(together)
    return (together,)


@app.cell(hide_code=True)
def _(capture, longest, mo, pl, together):
    window = longest["window"]
    row = together.filter(((pl.col("window") / 1e9 - window).abs() < 1e-6) & (pl.col("vms") == 3)).row(0, named=True)
    carried = capture.pages / 256 / (row["together"] / 3)
    mo.md(
        f"""
        Over {window:.0f} s their correlation is {row["correlation"]:.2f}; together they need {row["together"]:.0f} MiB,
        the sum of their peaks is {row["peaks"]:.0f}, and were their peaks unrelated it would be {row["independent"]:.0f}
        ({row["low"]:.0f} to {row["high"]:.0f}). They start their work at the same time here, so this capture cannot
        promise that peaks fall apart.

        Reckoned by {row["together"]:.0f} MiB for three, {capture.pages / 256:.0f} MiB carry **{carried:.1f} such VMs
        instead of 3**, if nothing is kept that is not in use. What does it cost to go there?

        ## Try it: less memory for the same VMs

        A host with less memory for three VMs is, for each of them, like the same host with more VMs. The same capture,
        replayed in ever less memory, the host paging as ESX does (at random) and as well as anyone could:
        """
    )
    return


@app.cell
def _(capture, tk):
    memory = ["400MiB", "300MiB", "200MiB", "150MiB", "100MiB"]
    squeezed = tk.replay(capture, memory=memory, paging=["random", "optimal"])
    squeezed.compare("host.memory", "page_ins", "400MiB").pivot("paging.module")
    return (squeezed,)


@app.cell(hide_code=True)
def _(capture, mo, pl, squeezed):
    import altair as alt

    from tracekit.report.cost import slowdowns

    size_of = pl.col("host.memory") / (1 << 20)
    cost = slowdowns(squeezed).join(squeezed.params("host.memory", "paging.module"), on="variant").with_columns(memory=size_of).collect()
    data = alt.Data(values=cost.select("vm", "memory", "slowdown", policy="paging.module").to_dicts())
    lines = (
        alt.Chart(data)
        .mark_line(point=True)
        .encode(
            alt.X("memory:Q", title="memory for three VMs (MiB)", scale=alt.Scale(zero=False)),
            alt.Y("slowdown:Q", title="time taken, of the trace's", scale=alt.Scale(zero=False)),
            alt.Color("vm:N", title=None),
            alt.StrokeDash("policy:N", title="paging"),
        )
        .properties(width=520, height=240)
    )
    worst = (
        cost.filter(pl.col("paging.module") == "random").group_by("memory").agg(pl.col("slowdown").max()).sort("memory", descending=True)
    )
    good = worst.filter(pl.col("slowdown") <= 1.05)["memory"].min()
    fits = 3 * capture.pages / 256 / good
    mo.vstack(
        [
            lines,
            mo.md(
                f"""
                At most 5 % slower, the slowest of them: down to **{good:.0f} MiB** of those tried, which is {fits:.1f}
                VMs of this kind where 3 are. The price of a page-in (100 µs, flash) is an assumption:
                `tracekit.report.cost.Costs` takes yours.

                ## What this cannot tell

                - VMs of other kinds, and hours that were not captured;
                - sharing: what equal pages would add is in `tracekit analyze sharing_in_production`, on a replay with contents;
                - a queue at the disk: page-ins are priced one after the other.
                """
            ),
        ]
    )
    return


if __name__ == "__main__":
    app.run()
