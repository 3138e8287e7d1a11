"""A quarter's close, decided once more: in Polars, from exported inputs, written from the rules and not from the suite's SQL.

The numbers are those of the shipped policy, since the bench sets no other.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from bench.measuring import expect
from shared.months import add_months, last_day

VIPS = 10
KEYS = 12
_PLACE = pl.col("account_no").cum_count().cast(pl.Int32)
ORDER = [pl.col("sum_fen").neg(), pl.col("opened_on"), pl.col("account_no")]


def close(folder: Path, month: date) -> pl.DataFrame:
    """Return tier, rank, grade, band and what they stand on, of every account opened by the month's last day."""
    day, base_start = last_day(month), add_months(month, -5)
    months = [add_months(month, -n) for n in range(3)]
    totals = pl.scan_parquet(folder / "totals.parquet").filter(pl.col("month") <= month)
    in_quarter, fen = pl.col("month") > add_months(month, -3), pl.col("amount_fen")
    shipped = pl.col("month").filter(fen > 0)
    freight = totals.group_by("account_no").agg(
        fen.filter(in_quarter).sum().alias("sum_fen"),
        fen.filter(~in_quarter & (pl.col("month") >= base_start)).sum().alias("previous_quarter_fen"),
        *(fen.filter(pl.col("month") == one).sum().alias(f"m{n}") for n, one in enumerate(months)),
        shipped.max().alias("last_shipped"),
        (shipped.min() < base_start).fill_null(value=False).alias("shipped_before"),
    )
    places = pl.scan_parquet(folder / "places.parquet").filter(pl.col("from_on") <= day).sort("from_on")
    placed = (
        places.group_by("account_no", maintain_order=True)
        .last()
        .join(pl.scan_parquet(folder / "districts.parquet"), on="branch_code", how="left")
    )
    accounts = pl.scan_parquet(folder / "accounts.parquet").filter(pl.col("opened_on") <= day)
    base = (
        accounts.join(placed, on="account_no", how="left")
        .join(freight, on="account_no", how="left")
        .with_columns(
            *(pl.col(name).fill_null(0) for name in ("sum_fen", "previous_quarter_fen", "m0", "m1", "m2")),
            pl.col("shipped_before").fill_null(value=False),
        )
    )
    return _axes(base.collect(), month)


def _axes(base: pl.DataFrame, month: date) -> pl.DataFrame:
    ranked = base.filter((pl.col("sum_fen") > 0) & pl.col("branch_code").is_not_null()).sort(*ORDER)
    ranked = ranked.with_columns(
        pl.when(pl.col("district_code").is_not_null()).then(_PLACE.over("district_code")).alias("in_district"),
        pl.len().over("district_code").alias("of"),
    ).with_columns((pl.col("in_district") <= VIPS).fill_null(value=False).alias("vip"))
    ranked = ranked.with_columns(_PLACE.over("branch_code", "vip").alias("in_branch"))
    share = [-(-pl.col("of").cast(pl.Int64) * percent // 100) for percent in (5, 20)]
    ranked = ranked.select(
        "account_no",
        pl.when("vip")
        .then(pl.lit("vip"))
        .when(pl.col("in_branch") <= KEYS)
        .then(pl.lit("key"))
        .otherwise(pl.lit("general"))
        .alias("service_tier"),
        pl.when("vip").then("in_district").otherwise("in_branch").cast(pl.Int32).alias("rank"),
        pl.when(pl.col("in_district") <= share[0])
        .then(pl.lit("A"))
        .when(pl.col("in_district") <= share[1])
        .then(pl.lit("B"))
        .otherwise(pl.lit("C"))
        .alias("band"),
    )
    average = pl.col("sum_fen")
    silent = (month.year * 12 + month.month) - (pl.col("last_shipped").dt.year() * 12 + pl.col("last_shipped").dt.month())
    return base.join(ranked, on="account_no", how="left").with_columns(
        pl.col("service_tier").fill_null("general"),
        pl.col("band").fill_null("C"),
        pl.when(average >= 3 * 1_000_000)
        .then(pl.lit("diamond"))
        .when(average >= 3 * 200_000)
        .then(pl.lit("gold"))
        .otherwise(pl.lit("silver"))
        .alias("grade"),
        pl.when(pl.col("m0") <= 0).then(silent.cast(pl.Int32)).alias("zero_months"),
    )


def quarter_movements(decided: pl.DataFrame) -> pl.DataFrame:
    """Return the quarterly movements of what `close` decided."""
    now, before = pl.col("sum_fen"), pl.col("previous_quarter_fen")
    change = now - before
    moved = decided.filter(pl.col("branch_code").is_not_null() & (change != 0)).sort(
        change.abs().neg(), "opened_on", "account_no"
    )
    place = _PLACE.over("branch_code", before == 0, change > 0)
    kind = (
        pl.when(before == 0)
        .then(pl.when("shipped_before").then(pl.lit("resumed")))
        .when((change > 0) & (pl.col("place") <= 1))
        .then(pl.lit("riser"))
        .when((change < 0) & (pl.col("place") <= 4))
        .then(pl.lit("decliner"))
        .when(change * 100 >= before * 20)
        .then(pl.lit("rise"))
        .when(change * -100 >= before * 20)
        .then(pl.lit("fall"))
    )
    found = moved.with_columns(place.alias("place")).with_columns(kind.alias("kind")).filter(pl.col("kind").is_not_null())
    return found.select(
        "account_no",
        "kind",
        pl.when(pl.col("kind").is_in(["riser", "decliner"])).then("place").alias("place"),
        before.alias("previous_fen"),
        now.alias("current_fen"),
    )


def movements(folder: Path, month: date, late: pl.DataFrame) -> pl.DataFrame:
    """Return the movements of a month, with late charges (account_no, month, amount_fen) added to the totals."""
    columns = ["account_no", "month", "amount_fen"]
    early = add_months(month, -3)
    totals = pl.scan_parquet(folder / "totals.parquet").select(columns)
    together = pl.concat([totals, late.lazy().select(columns)]).filter(pl.col("month").is_between(early, month))
    month_no = pl.col("month").dt.year().cast(pl.Int32) * 12 + pl.col("month").dt.month()
    sums = (
        together.group_by("account_no", "month")
        .agg(pl.col("amount_fen").sum())
        .group_by("account_no")
        .agg(
            pl.col("amount_fen").filter(pl.col("month") == month).sum().alias("current_fen"),
            pl.col("amount_fen").filter(pl.col("month") == add_months(month, -1)).sum().alias("previous_fen"),
            (month.year * 12 + month.month - month_no.filter(pl.col("amount_fen") > 0).max()).alias("silent"),
        )
    )
    now, before = pl.col("current_fen"), pl.col("previous_fen")
    kind = (
        pl.when(pl.col("silent").is_between(1, 3))
        .then(pl.lit("zero_month"))
        .when((now > 0) & (before > 0) & ((before - now) * 100 > before * 50))
        .then(pl.lit("fall_over_half"))
    )
    found = sums.with_columns(kind.alias("kind"), pl.lit(month).alias("month")).filter(pl.col("kind").is_not_null())
    return found.select("account_no", "month", "kind", "previous_fen", "current_fen").collect()


def differing(expected: pl.DataFrame, found: pl.DataFrame) -> int:
    """Return how many rows differ between two frames, in the columns of the second one."""
    columns = found.columns
    mine, other = (frame.select(columns) for frame in (expected, found))
    keys = ["account_no", *(["month"] if "month" in columns else [])]
    both = mine.join(other, on=columns, how="inner", nulls_equal=True)
    distinct = mine.select(keys).n_unique() == mine.height and other.select(keys).n_unique() == other.height
    return mine.height + other.height - 2 * both.height + (0 if distinct else 1)


def check_duckdb(folder: Path, month: date) -> None:
    """Compare what DuckDB wrote with the recount. Raises WrongTotalError."""
    expected = close(folder, month)
    names = ["account_no", "service_tier", "rank", "grade", "band", "zero_months", "sum_fen"]
    expect(
        "decisions of DuckDB that Polars takes otherwise",
        differing(expected, pl.read_parquet(folder / "decided.parquet").select(names)),
        0,
    )
    quarterly = pl.read_parquet(folder / "quarter_moved.parquet").rename({"moved": "place"})
    names = ["account_no", "kind", "place", "previous_fen", "current_fen"]
    expect("quarterly movements of DuckDB", differing(quarter_movements(expected), quarterly.select(names)), 0)
    moved = pl.read_parquet(folder / "moved.parquet").select("account_no", "month", "kind", "previous_fen", "current_fen")
    none = pl.DataFrame(schema={"account_no": pl.String, "month": pl.Date, "amount_fen": pl.Int64})
    expect("movements of DuckDB", differing(movements(folder, month, none), moved), 0)
