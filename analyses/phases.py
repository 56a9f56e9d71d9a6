"""What the analyses of estimators share: when a workload's phases begin and end."""

from pathlib import Path

import polars as pl

_MARKS = Path(__file__).parent.parent / "traces" / "marks"


def phases(traces: list[str]) -> pl.DataFrame:
    """Phases of the toucher in committed captures, by their marks: trace, phase, begins, ends (ns). Other traces have none."""
    schema = {"trace": pl.String, "phase": pl.Int64, "begins": pl.Int64, "ends": pl.Int64}
    found = [pl.DataFrame(schema=schema)]
    for trace in traces:
        if not (path := _MARKS / f"{trace}.tsv").exists():
            continue
        marks = pl.read_csv(path, separator="\t").with_columns(
            begins=pl.col("mark").str.extract(r"^toucher phase=(\d+)").cast(pl.Int64),
            ends=pl.col("mark").str.extract(r"^toucher phase-end=(\d+)").cast(pl.Int64),
        )
        begins, ends = (marks.drop_nulls(name).select(pl.col(name).alias("phase"), pl.col("t").alias(name)) for name in ("begins", "ends"))
        found.append(begins.join(ends, on="phase").select(pl.lit(trace).alias("trace"), *list(schema)[1:]))
    return pl.concat(found)


def settled(t: pl.Expr, value: pl.Expr, goal: pl.Expr) -> pl.Expr:
    """When a value that follows a step has covered nine tenths of its way to ``goal``; null if it has not. Rows in order of t."""
    way = value.first() - goal
    return t.filter((value - goal).abs() <= 0.1 * way.abs()).first()
