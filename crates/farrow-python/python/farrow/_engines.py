"""Frames as objects of other engines. None of the engines is needed to import farrow.

Engines keep what they map: the buffers that they are given own the frame's lease.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Optional

import pyarrow as pa

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow.dataset

    from farrow import Frame


def to_polars(frame: Frame) -> polars.DataFrame:
    """A Polars frame over the same memory, but for types that Polars stores in another way.

    Of strings it makes new views, 16 bytes each, of all columns: see :func:`to_polars_lazy`.
    """
    return _polars_frame(_engine("polars"), pa.table(frame))


def to_polars_lazy(frame: Frame) -> polars.LazyFrame:
    """A lazy Polars frame: a query takes the columns that it needs, batch by batch, and stops at its limit.

    Can be collected any number of times, by either engine.
    """
    polars = _engine("polars")
    try:
        from polars.io.plugins import register_io_source
    except ImportError:
        raise ImportError(
            f"Frame.to_polars_lazy needs Polars 1.32 or newer; found {polars.__version__}. "
            "Try: `pip install --upgrade polars`"
        ) from None

    def scan(
        columns: Optional[list[str]], predicate: Optional[polars.Expr], rows: Optional[int], _batch_size: Optional[int]
    ) -> Iterator[polars.DataFrame]:
        wanted = frame if columns is None else frame.select(columns)
        for batch in map(wanted.batch, range(wanted.num_batches)):
            if rows is not None:
                batch = batch.slice(0, rows)
                rows -= batch.num_rows
            part = _polars_frame(polars, pa.Table.from_batches([batch]))
            yield part if predicate is None else part.filter(predicate)
            if rows == 0:
                break

    # Not empty_table(), which does not make arrays of every extension type.
    empty = pa.Table.from_batches([], frame.schema)
    return register_io_source(scan, schema=_polars_frame(polars, empty).schema)


def to_pandas(frame: Frame, **options: Any) -> pandas.DataFrame:
    """A pandas frame over the same memory: its columns are Arrow arrays (``pandas.ArrowDtype``).

    Dictionaries become categorical columns, with copies of their indices and words, unless words are null, repeated or
    instants, whose zone categories would lose.

    With options, those of pyarrow's ``Table.to_pandas``; a ``types_mapper`` among them replaces these types.
    """
    pandas = _engine("pandas")
    table = pa.table(frame)
    if "types_mapper" in options:
        return table.to_pandas(**options)
    columns = [column for column in table.columns if pa.types.is_dictionary(column.type)]
    # Of these pandas makes no categories: they stay dictionaries of Arrow.
    others = [column.type for column in columns if not all(map(_are_categories, column.chunks))]

    def mapped(kind: pa.DataType) -> Optional[pandas.ArrowDtype]:
        return None if pa.types.is_dictionary(kind) and kind not in others else pandas.ArrowDtype(kind)

    return table.to_pandas(types_mapper=mapped, **options)


def _are_categories(column: pa.DictionaryArray) -> bool:
    words = column.dictionary
    if pa.types.is_timestamp(words.type) and words.type.tz is not None:
        # Categories would lose the zone.
        return False
    try:
        return words.null_count == 0 and len(words.unique()) == len(words)
    except pa.ArrowNotImplementedError:
        # Lists, for example, are not compared.
        return False


def to_duckdb(frame: Frame, connection: Optional[duckdb.DuckDBPyConnection] = None) -> duckdb.DuckDBPyRelation:
    """A relation of DuckDB, of this connection or of the default one, that scans the same memory.

    A query reads the columns that it names, and takes filters along. What it returns is DuckDB's own.
    """
    duckdb = _engine("duckdb")
    return (duckdb if connection is None else connection).from_arrow(pa.table(frame))


def to_dataset(frame: Frame) -> pyarrow.dataset.Dataset:
    """A pyarrow dataset over the same memory: what takes datasets can read columns of it, and filter."""
    import pyarrow.dataset

    return pyarrow.dataset.InMemoryDataset(pa.table(frame))


def _engine(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            # It is there, and something that it needs is not.
            raise
        what = f"Frame.to_{name} needs {name}, which is not installed. Try: `pip install {name}`"
        raise ModuleNotFoundError(what, name=name) from None


def _polars_frame(polars: Any, table: pa.Table) -> polars.DataFrame:
    # Else Polars would join the batches' chunks, which copies them.
    return polars.from_arrow(table, rechunk=False)
