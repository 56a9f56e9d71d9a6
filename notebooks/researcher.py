import marimo

app = marimo.App(width="medium", app_title="tracekit: a policy of your own")


@app.cell(hide_code=True)
def _():
    import marimo as mo

    mo.md(
        """
        # A policy of your own, compared

        ESX pages at random, because LRU in the host fights with the guests' own LRU and because paging should be rare
        (Waldspurger 2002, section 3.3). LRU asks for a list that every access moves. Redis and others stand between the
        two: **draw a few pages and let the one go that was used longest ago**. How many draws are enough?
        """
    )
    return (mo,)


@app.cell
def _():
    import inspect

    import polars as pl
    from sampled_lru import SampledLru

    import tracekit as tk

    return SampledLru, inspect, pl, tk


@app.cell(hide_code=True)
def _(SampledLru, inspect, mo):
    before = mo.md(
        """
        ## The policy

        A policy answers one question, `victim`; the machine counts the faults. It stands in a file beside this notebook
        (`sampled_lru.py`), because compiled code has to be importable. Its hooks run inside the compiled loop.
        """
    )
    after = mo.md("`tracekit.testing.check(SampledLru)` is its test: books audited, the same for all chunks, no fewer misses than OPT.")
    _, _, policy = inspect.getsource(inspect.getmodule(SampledLru)).partition("class SampledLru")
    mo.vstack([before, mo.md(f"```python\nclass SampledLru{policy}```"), after])
    return


@app.cell
def _(SampledLru, mo, tk):
    trace = mo.notebook_dir().parent / "traces" / "balloon-workload.access.parquet"
    paging = {"module": ["random", SampledLru, "lru", "optimal"], "draws": [1, 2, 5, 10], "frames": [10_000, 20_000]}
    results = tk.replay(trace, until="45s", paging=paging, seed=range(3))
    results
    return paging, results, trace


@app.cell(hide_code=True)
def _(mo):
    mo.md(
        """
        ## Is it better?

        `compare` puts every variant beside random **on the same trace, with the same seed and the same memory**. The
        intervals are Student's t over the paired differences of the three seeds.
        """
    )
    return


@app.cell
def _(results):
    compared = results.compare(metric="misses", baseline="random")
    compared
    return (compared,)


@app.cell(hide_code=True)
def _(compared, mo, pl):
    import altair as alt

    case = pl.when(pl.col("paging.module") == "sampled-lru").then(pl.format("{} draws", pl.col("paging.draws")))
    shown = compared.differences.with_columns(policy=case.otherwise(pl.col("paging.module")), memory=pl.col("paging.frames") / 256)
    shown = shown.with_columns(pl.format("{} MiB", pl.col("memory").round(0).cast(pl.Int64)), (pl.col("low", "high") / pl.col("baseline")))
    data = alt.Data(values=shown.select("policy", "memory", "relative", "low", "high").to_dicts())
    order = ["random", "1 draws", "2 draws", "5 draws", "10 draws", "lru", "optimal"]
    what = alt.Y("policy:N", sort=order, title=None)
    points = alt.Chart().mark_point(filled=True, size=70).encode(alt.X("relative:Q", title="misses against random"), what)
    bars = alt.Chart().mark_rule().encode(alt.X("low:Q", axis=alt.Axis(format="+%")), alt.X2("high:Q"), what)
    chart = alt.layer(bars, points, data=data).properties(width=260, height=150).facet(alt.Facet("memory:N", title=None))
    drawn = shown.filter(pl.col("paging.draws").is_in([1, 2, 5])).sort("paging.draws").group_by("memory", maintain_order=True)
    lines = [
        f"- at {memory}: one draw {one:+.1%}, two {two:+.1%}, five {five:+.1%}"
        for (memory,), rows in drawn
        for one, two, five in [rows["relative"]]
    ]
    mo.vstack(
        [
            chart,
            mo.md(
                "\n".join(lines)
                + "\n\nOne draw is random by another name, to the last miss. The more draws, the nearer to LRU: worse than "
                "random where a loop is larger than memory, better where the loop fits. `optimal` knows the future and is the floor."
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(
        """
        ## From here

        - another workload: any Parquet file of accesses (`tracekit import`), or a recipe (`tracekit synth zipf`);
        - all sizes at once: `tracekit mrc TRACE --method mini --policy lru`;
        - beside the whole machine: `tk.replay(trace, preset="esx", paging=SampledLru)` lets sharing, balloon and tax run with it.
        """
    )
    return


if __name__ == "__main__":
    app.run()
