"""Frames as objects of other engines. None of the engines is needed to import farrow.

Engines keep what they map: the buffers that they are given own the frame's lease.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Callable, Optional

import pyarrow as pa

from farrow._errors import Error, InvalidArgument, InvalidType, NotConvertible

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
    polars, table = _engine("polars"), pa.table(frame)
    with _polars_converted(polars, table, frame.num_rows):
        return _polars_frame(polars, table)


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
    with _polars_converted(polars, empty, frame.num_rows):
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
        with _converted("pandas", table.schema, lambda field: _of(table, field).to_pandas(**options)):
            return table.to_pandas(**options)
    columns = [column for column in table.columns if pa.types.is_dictionary(column.type)]
    # Of these pandas makes no categories: they stay dictionaries of Arrow.
    others = [column.type for column in columns if not all(map(_are_categories, column.chunks))]

    def mapped(kind: pa.DataType) -> Optional[pandas.ArrowDtype]:
        return None if pa.types.is_dictionary(kind) and kind not in others else pandas.ArrowDtype(kind)

    with _converted("pandas", table.schema, lambda field: _of(table, field).to_pandas(types_mapper=mapped, **options)):
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
    database, table = duckdb if connection is None else connection, pa.table(frame)
    with _converted("DuckDB", table.schema, lambda field: database.from_arrow(_of(table, field))):
        return database.from_arrow(table)


def to_dataset(frame: Frame) -> pyarrow.dataset.Dataset:
    """A pyarrow dataset over the same memory: what takes datasets can read columns of it, and filter."""
    import pyarrow.dataset

    return pyarrow.dataset.InMemoryDataset(pa.table(frame))


def to_pydict(frame: Frame) -> dict[str, list[Any]]:
    """A list of Python objects for each column."""
    table = pa.table(frame)
    with _converted("Python", table.schema, lambda field: _of(table, field).to_pydict()):
        columns: dict[str, list[Any]] = table.to_pydict()
        return columns


def to_pylist(frame: Frame) -> list[dict[str, Any]]:
    """A dict of Python objects for each row."""
    table = pa.table(frame)
    with _converted("Python", table.schema, lambda field: _of(table, field).to_pylist()):
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows


def filtered(table: pa.Table, mask: Any) -> pa.Table:
    """The rows of a mask or an expression; pyarrow picks none of views and runs."""
    try:
        return table.filter(mask)
    except pa.ArrowNotImplementedError as error:
        refused = error
    except pa.ArrowException as error:
        raise InvalidArgument(f"filter: {error}") from error
    plain = table
    try:
        plain = pa.table([*map(_plain, table.columns)], names=table.column_names)
        columns = map(_as_before, plain.filter(mask).columns, table.schema.types)
        return pa.table([*columns], schema=table.schema)
    except pa.ArrowException:
        first = [True] + [False] * (table.num_rows - 1)
        field, _ = next(_refused(plain.schema, lambda field: _of(plain, field).filter(first)), (None, None))
    if field is None:
        # It is what the expression asks for.
        raise InvalidArgument(f"filter: {refused}") from refused
    raise _unconverted("pyarrow's filter", field, refused)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = str(column.type)
    if kind == "string_view":
        return column.cast(pa.large_string())
    if kind == "binary_view":
        return column.cast(pa.large_binary())
    if kind.startswith("run_end_encoded"):
        return _compute().run_end_decode(column)
    return column


def _as_before(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if column.type == kind:
        return column
    if str(kind).startswith("run_end_encoded"):
        return _compute().run_end_encode(column, run_end_type=kind.run_end_type)
    return column.cast(kind)


def _compute() -> Any:
    return importlib.import_module("pyarrow.compute")


@contextlib.contextmanager
def _converted(library: str, schema: pa.Schema, try_field: Callable[[pa.Field], Any]) -> Iterator[None]:
    """Says of what a library does not take which column that is, and what it takes instead."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, (Error, MemoryError)) or not _is_of_library(error):
            raise
        if isinstance(error, TypeError) and library == "pandas":
            raise InvalidType(f"to_pandas: {error}") from error
        field, cause = next(_refused(schema, try_field), (None, error))
        if field is None:
            raise NotConvertible(f"{library} does not take these columns: {error}") from error
        raise _unconverted(library, field, cause) from error


def _unconverted(library: str, field: pa.Field, cause: BaseException) -> NotConvertible:
    text = f"{library} does not take column {field.name!r}, of {field.type}: {str(cause).rstrip('.')}"
    return NotConvertible(f"{text}. Try: {_instead(library, field)}")


def _refused(
    schema: pa.Schema, try_field: Callable[[pa.Field], Any]
) -> Iterator[tuple[pa.Field, BaseException]]:
    for field in schema:
        try:
            try_field(field)
        except BaseException as error:
            if not _is_of_library(error):
                raise
            yield field, error


def _is_of_library(error: BaseException) -> bool:
    # Panics of Polars are no Exception.
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _instead(library: str, field: pa.Field) -> str:
    column, kind = f"frame[{field.name!r}]", field.type
    if str(kind).startswith("run_end_encoded"):
        column, kind = f"pyarrow.compute.run_end_decode({column})", kind.value_type
        if library != "Python":
            return f"its values without runs, {column}"
    if library == "Python" and pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        return f"its numbers, {column}.cast(pyarrow.int{kind.bit_width}())"
    if kind == pa.float16():
        return f"wider ones, {column}.cast(pyarrow.float32())"
    return f"the others, frame.select([name for name in frame.column_names if name != {field.name!r}])"


def _of(table: pa.Table, field: pa.Field) -> pa.Table:
    """A table of one column alone."""
    return pa.table([table.column(table.schema.names.index(field.name))], schema=pa.schema([field]))


def _polars_converted(polars: Any, table: pa.Table, rows: int) -> contextlib.AbstractContextManager[None]:
    """For a table of a frame of so many rows."""

    def try_field(field: pa.Field) -> None:
        # Polars would panic, with a trace on stderr, or, of a lazy frame, fail only in its own engine.
        if rows and (lacks := _polars_lacks(field.type)) is not None:
            raise _Lacking(f"it has no {lacks}")
        _polars_frame(polars, _of(table, field))

    if rows and any(_polars_lacks(field.type) for field in table.schema):
        field, cause = next(_refused(table.schema, try_field))
        raise _unconverted("Polars", field, cause)
    return _converted("Polars", table.schema, try_field)


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


class _Lacking(Exception):
    """A type that an engine lacks."""


def _polars_lacks(kind: pa.DataType) -> Optional[str]:
    if pa.types.is_union(kind):
        return "unions"
    if pa.types.is_decimal256(kind):
        return "decimals of 256 bits"
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == 0:
        return "values of no bytes"
    if isinstance(kind, pa.BaseExtensionType):
        return _polars_lacks(kind.storage_type)
    parts = [kind.field(at).type for at in range(kind.num_fields)]
    if isinstance(kind, pa.DictionaryType):
        parts = [kind.value_type]
    return next(filter(None, map(_polars_lacks, parts)), None)
