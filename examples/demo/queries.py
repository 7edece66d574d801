"""Three questions, asked in DuckDB and in Polars."""

from __future__ import annotations

import datetime
import math

import duckdb
import polars as pl

SQL = {
    "delay by carrier": """
        SELECT carrier, count(*) AS flights, avg(dep_delay) AS mean_delay
        FROM flights GROUP BY carrier ORDER BY mean_delay DESC
    """,
    "TPC-H Q1": """
        SELECT l_returnflag, l_linestatus,
               sum(l_quantity), sum(l_extendedprice),
               sum(l_extendedprice * (1 - l_discount)),
               sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)),
               avg(l_quantity), avg(l_extendedprice), avg(l_discount), count(*)
        FROM lineitem WHERE l_shipdate <= DATE '1998-12-01' - INTERVAL 90 DAY
        GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus
    """,
    "TPC-H Q6": """
        SELECT sum(l_extendedprice * l_discount)
        FROM lineitem
        WHERE l_shipdate >= DATE '1994-01-01' AND l_shipdate < DATE '1995-01-01'
          AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24
    """,
}


class Stream:
    """What DuckDB is given: an Arrow stream and no more, of a farrow frame or of a pyarrow table.

    Of a pyarrow table itself it would have pyarrow filter the rows, and the oldest pyarrow here cannot do that to
    string views.
    """

    def __init__(self, source):
        self.source = source

    def __arrow_c_stream__(self, requested_schema=None):
        return self.source.__arrow_c_stream__(requested_schema)


def in_duckdb(question: str, tables: dict) -> list:
    """The answer's rows; `tables` are frames or pyarrow tables by the name they have in the SQL."""
    with duckdb.connect() as connection:
        for name, table in tables.items():
            connection.register(name, Stream(table))
        return connection.execute(SQL[question]).fetchall()


def in_polars(question: str, tables: dict) -> list:
    """The answer's rows; `tables` are Polars frames by name."""
    return _POLARS[question](**{name: frame.lazy() for name, frame in tables.items()}).collect().rows()


def _delay_by_carrier(flights: pl.LazyFrame) -> pl.LazyFrame:
    by_carrier = flights.group_by("carrier").agg(pl.len().alias("flights"), pl.mean("dep_delay").alias("mean_delay"))
    return by_carrier.sort("mean_delay", descending=True)


def _q1(lineitem: pl.LazyFrame) -> pl.LazyFrame:
    quantity, price, discount, tax = (
        pl.col(column).cast(pl.Float64) for column in ("l_quantity", "l_extendedprice", "l_discount", "l_tax")
    )
    keys = ["l_returnflag", "l_linestatus"]
    shipped = lineitem.filter(pl.col("l_shipdate") <= datetime.date(1998, 9, 2))
    groups = shipped.group_by(keys).agg(
        quantity.sum().alias("sum_qty"),
        price.sum().alias("sum_base_price"),
        (price * (1 - discount)).sum().alias("sum_disc_price"),
        (price * (1 - discount) * (1 + tax)).sum().alias("sum_charge"),
        quantity.mean().alias("avg_qty"),
        price.mean().alias("avg_price"),
        discount.mean().alias("avg_disc"),
        pl.len().alias("count_order"),
    )
    return groups.sort(keys)


def _q6(lineitem: pl.LazyFrame) -> pl.LazyFrame:
    in_1994 = pl.col("l_shipdate").is_between(datetime.date(1994, 1, 1), datetime.date(1994, 12, 31))
    # Whole cents: a comparison of decimals as floats would lose rows at the bounds.
    discount = (pl.col("l_discount").cast(pl.Float64) * 100).round().cast(pl.Int64)
    wanted = in_1994 & discount.is_between(5, 7) & (pl.col("l_quantity").cast(pl.Float64) < 24)
    revenue = pl.col("l_extendedprice").cast(pl.Float64) * pl.col("l_discount").cast(pl.Float64)
    return lineitem.filter(wanted).select(revenue.sum().alias("revenue"))


_POLARS = {"delay by carrier": _delay_by_carrier, "TPC-H Q1": _q1, "TPC-H Q6": _q6}


def same_rows(one: list, other: list) -> bool:
    """Equal rows in the same order; numbers that a computation rounds may differ by a part in 10^9."""
    return len(one) == len(other) and all(
        len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b)) for a, b in zip(one, other)
    )


def _same(one, other) -> bool:
    if isinstance(one, str) or one is None or other is None:
        return one == other
    return math.isclose(float(one), float(other), rel_tol=1e-9)
