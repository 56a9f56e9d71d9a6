"""In which parameters the variants of results differ."""

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from tracekit.results import Results


def swept(results: "Results") -> pl.DataFrame:
    """One row a variant: the parameters in which the variants differ, as columns ``stage.param``."""
    wide = (
        results.table("variants")
        .with_columns(key=pl.col("stage") + "." + pl.col("param"))
        .collect()
        .pivot("key", index="variant", values="value")
    )
    wide = wide.with_columns(pl.col("^.*\\.module$").fill_null("none"))
    return wide.select("variant", *(name for name in wide.columns[1:] if _differs(wide, name)))


def _differs(wide: pl.DataFrame, name: str) -> bool:
    """Whether a parameter tells variants apart that their module does not: modules have parameters and defaults of their own."""
    module = name.partition(".")[0] + ".module"
    if name == module or module not in wide.columns:
        return wide[name].drop_nulls().n_unique() > 1
    return wide.group_by(module).agg(pl.col(name).drop_nulls().n_unique()).select(pl.col(name).max()).item() > 1


def swept_labels(results: "Results") -> dict[str, str]:
    """What to call each variant: the values in which it differs from the others."""
    frame = swept(results)
    labels = {}
    for row in frame.iter_rows(named=True):
        parts = [f"{name.removesuffix('.module')}={value}" for name, value in row.items() if name != "variant" and value is not None]
        labels[row["variant"]] = " ".join(parts) or row["variant"]
    return labels


def numbers(values: pl.Series) -> pl.Series:
    """Numbers where all values are, else the texts."""
    for kind in (pl.Int64, pl.Float64):
        cast = values.cast(kind, strict=False)
        if cast.null_count() == values.null_count():
            return cast
    return values
