"""The questions: one of the flights and the 22 of TPC-H, in DuckDB (SQL) and in Polars (expressions).

The SQL of TPC-H is in tpch/*.sql, the expressions are in tpch_polars.py. Both are this project's own wording of the
benchmark's business questions, with the parameters that the TPC-H specification uses to validate answers.
"""

from __future__ import annotations

import inspect
import math
import pathlib
from decimal import Decimal

import duckdb
import polars as pl
import pyarrow as pa

import tpch_polars

DELAYS = "delay by carrier"
TPCH = tuple(f"q{number:02}" for number in range(1, 23))

_DELAYS_SQL = """
    SELECT carrier, count(*) AS flights, avg(dep_delay) AS mean_delay
    FROM flights GROUP BY carrier ORDER BY mean_delay DESC
"""

_SQL = {
    DELAYS: _DELAYS_SQL,
    **{name: pathlib.Path(__file__).with_name("tpch").joinpath(f"{name}.sql").read_text() for name in TPCH},
}

_FILTERS_STRING_VIEWS = int(pa.__version__.split(".")[0]) >= 26

# The number of rows of the specification's answers at scale factor 1.
ROWS_AT_SCALE_1 = dict(
    zip(TPCH, (4, 100, 10, 5, 5, 1, 4, 2, 175, 20, 1048, 2, 42, 1, 1, 18314, 1, 57, 1, 186, 100, 7))
)


class InDuckdb:
    """Asks DuckDB about pyarrow tables, which the SQL knows by their names here."""

    def __init__(self, tables: dict, scale: float):
        self.connection = duckdb.connect()
        self.fraction = _fraction(scale)
        for name, table in tables.items():
            self.connection.register(name, table if _FILTERS_STRING_VIEWS else Stream(table))

    def ask(self, question: str) -> list:
        """The answer's rows."""
        sql = _SQL[question]
        parameters = {"fraction": self.fraction} if "$fraction" in sql else None
        return self.connection.execute(sql, parameters).fetchall()


class Stream:
    """An Arrow stream and no more, of a pyarrow table.

    Of a table itself DuckDB has pyarrow leave out columns and rows, which is faster, but not with string views in a
    pyarrow that cannot filter them.
    """

    def __init__(self, source):
        self.source = source

    def __arrow_c_stream__(self, requested_schema=None):
        return self.source.__arrow_c_stream__(requested_schema)


class InPolars:
    """Asks Polars about Polars frames, which the queries know by their names here."""

    def __init__(self, tables: dict, scale: float):
        self.given = {name: table.lazy() for name, table in tables.items()}
        self.given["fraction"] = _fraction(scale)

    def ask(self, question: str) -> list:
        """The answer's rows."""
        query = _delay_by_carrier if question == DELAYS else getattr(tpch_polars, question)
        return query(*(self.given[name] for name in inspect.signature(query).parameters)).collect().rows()


def _delay_by_carrier(flights: pl.LazyFrame) -> pl.LazyFrame:
    by_carrier = flights.group_by("carrier").agg(
        pl.len().alias("flights"), pl.mean("dep_delay").alias("mean_delay")
    )
    return by_carrier.sort("mean_delay", descending=True)


def _fraction(scale: float) -> float:
    """The part of the stock that q11 takes for a good deal."""
    return 0.0001 / scale


def same_rows(one: list, other: list) -> bool:
    """Equal rows in the same order; numbers that a computation rounds may differ by a part in 10^9."""
    return len(one) == len(other) and all(
        len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b)) for a, b in zip(one, other)
    )


def _same(one, other) -> bool:
    if isinstance(one, (int, float, Decimal)) and isinstance(other, (int, float, Decimal)):
        return math.isclose(one, other, rel_tol=1e-9)
    return one == other
