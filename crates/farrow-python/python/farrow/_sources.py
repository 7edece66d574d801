"""Data that a program hands over to put, as tables, batches and readers of pyarrow."""

from __future__ import annotations

import contextlib
import itertools
import os
import warnings
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from typing import Any, Callable, NamedTuple, Optional, Union

import pyarrow as pa

from farrow import _farrow, _tables
from farrow._errors import Error, InvalidData, InvalidType
from farrow._frame import Frame

PIECE_BYTES = 16 << 20
"""Bytes of data between two signs of progress, about."""


class Source(NamedTuple):
    """Rows that the native module takes."""

    arrow: Union[pa.Table, pa.RecordBatch, pa.RecordBatchReader]
    whole: bool
    """In memory, and so put into one segment."""
    once: bool = False
    """A reader of the program's, which can be read once: without any batch, it has been."""


def source(data: Any, by_name: bool = False) -> Optional[Source]:
    """The rows of something tabular; None of an iterable, whose elements are perhaps tabular.

    With ``by_name``, batches of a reader may have columns in another order than its schema.
    """
    return ready(data, by_name) or converted(data)


@contextlib.contextmanager
def explained(schema: pa.Schema) -> Iterator[None]:
    """Says where a schema that is refused has metadata that is no text, as it is in Arrow's files.

    Refuses those that would be cut on their way.
    """
    uncut(schema)
    try:
        yield
    except InvalidData as error:
        columns = [(f"column {field.name!r}", field.metadata) for field in schema]
        for of, metadata in [("the schema", schema.metadata), *columns]:
            for key, value in (metadata or {}).items():
                if not (_is_text(key) and _is_text(value)):
                    raise InvalidData(
                        f"metadata of {of}: key or value of {key!r} is no text in UTF-8. Try: base64.b64encode(value), "
                        "or without: replace_schema_metadata(), field.remove_metadata()"
                    ) from error
        raise


def uncut(schema: pa.Schema) -> None:
    """Refuses names and time zones that the C data interface, which ends them at a NUL character, would cut."""
    with contextlib.suppress(UnicodeDecodeError):
        # Names that are no text are refused behind it. To look at each field takes ten times longer than the text, where
        # extensions hide theirs.
        text = schema.to_string(show_field_metadata=False, show_schema_metadata=False)
        if "\0" in text or "extension<" in text:
            _uncut(zip(schema.names, schema.types))


def ready(data: Any, by_name: bool = False) -> Optional[Source]:
    """The rows of something that need not be converted."""
    if isinstance(data, (pa.Table, pa.RecordBatch)):
        return Source(data, whole=True)
    if isinstance(data, pa.RecordBatchReader):
        return Source(data if by_name else _same_schema(data), whole=False, once=True)
    if isinstance(data, Frame):
        return Source(data.to_arrow(), whole=True)
    return None


def converted(data: Any) -> Optional[Source]:
    """The rows of something that may have to be computed or read."""
    kinds = _kinds(data)
    with _named(data, kinds):
        for kind in kinds:
            if kind in _CONVERSIONS and (rows := _CONVERSIONS[kind](data)) is not None:
                return Source(rows, whole=isinstance(rows, pa.Table))
        if isinstance(data, Mapping):
            return Source(_tables.columns(data), whole=True)
        if isinstance(data, (list, tuple)) and data and all(isinstance(row, Mapping) for row in data):
            return Source(_tables.rows(data), whole=True)
        if hasattr(data, "__arrow_c_stream__"):
            return Source(_stream(data), whole=False)
        if hasattr(data, "__arrow_c_array__"):
            return Source(pa.record_batch(data), whole=True)
        if _advice(kinds) is None and isinstance(data, (Iterable, AsyncIterable)) and not isinstance(data, _tables.TEXT):
            return None
        raise InvalidData(_NO_TABLE)


def batches(data: Iterable[Any], by_name: bool = False) -> tuple[pa.Schema, Iterator[Source]]:
    """The schema of the first element of an iterable, and all its elements."""
    if not isinstance(data, Iterable):
        raise InvalidType(
            f"put takes an iterable; found an asynchronous one, a {type(data).__name__}, of which farrow.aio's client "
            "takes the elements: await client.put(name, data)"
        )
    elements = (element(each, by_name) for each in data)
    try:
        first = next(elements)
    except StopIteration:
        raise empty(data) from None
    return first.arrow.schema, itertools.chain([first], elements)


def empty(data: Any) -> InvalidData:
    """The refusal of an iterable without elements."""
    return InvalidData(
        f"put takes {_TAKES}; found an empty {type(data).__name__}, which has no schema: was it read before? For a "
        "frame without rows: put(name, pyarrow.Table.from_batches([], schema))"
    )


def element(data: Any, by_name: bool = False) -> Source:
    """The rows of an element of an iterable."""
    if isinstance(data, Mapping):
        raise InvalidData(f"put takes {_TAKES}; found a {type(data).__name__} in it. For rows: put(name, [*rows])")
    return rows(data, by_name)


def rows(data: Any, by_name: bool = False) -> Source:
    """The rows of something tabular, and of no iterable."""
    found = source(data, by_name)
    if found is None:
        raise InvalidData(f"put takes {_TAKES}; found a {type(data).__name__} in it")
    return found


def pieces(rows: Source) -> Iterator[Source]:
    """Rows in batches of about PIECE_BYTES at most."""
    arrow = rows.arrow
    if isinstance(arrow, pa.RecordBatchReader):
        return _read(arrow, rows.once)
    if arrow.num_rows == 0:
        # It has columns, too, which the writer compares.
        return iter([rows])
    batches = [arrow] if isinstance(arrow, pa.RecordBatch) else arrow.to_batches()
    return itertools.chain.from_iterable(map(_cut, batches))


def total(rows: Source) -> Optional[int]:
    """Bytes of rows that are in memory; None of a stream."""
    if isinstance(rows.arrow, pa.RecordBatchReader):
        return None
    with explained(rows.arrow.schema):
        return _farrow.size(rows.arrow)


def _same_schema(reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """The same, of batches of its schema only: its C stream would take columns by their place."""
    expected = reader.schema

    def checked() -> Iterator[pa.RecordBatch]:
        for number, batch in enumerate(reader):
            found = batch.schema
            if (found.names, found.types) != (expected.names, expected.types):
                uncut(found)
                difference = _farrow.difference(expected, found)
                raise InvalidData(f"batch {number} (counted from 0) is not of the reader's schema: {difference}")
            yield batch

    return pa.RecordBatchReader.from_batches(expected, checked())


def _read(reader: pa.RecordBatchReader, once: bool) -> Iterator[Source]:
    begun = False
    while True:
        try:
            batch = next(reader, None)
        except Exception as error:
            raise InvalidData(f"reading the data: {error}") from error
        if batch is None:
            break
        begun = True
        yield from _cut(batch)
    if not begun:
        # The native module refuses it, or its schema is compared.
        yield Source(reader, whole=False, once=once)


def _cut(batch: pa.RecordBatch) -> Iterator[Source]:
    """A batch in slices of about PIECE_BYTES."""
    rows = max(1, batch.num_rows * PIECE_BYTES // max(1, _farrow.size(batch)))
    return (Source(batch.slice(first, rows), whole=True) for first in range(0, batch.num_rows, rows))


class _Offered(NamedTuple):
    """A stream that pyarrow takes: that of DuckDB 1.1 knows no requested schema."""

    capsule: Any

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.capsule


def _stream(data: Any) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_stream(_Offered(data.__arrow_c_stream__()))


def _uncut(fields: Iterable[tuple[str, pa.DataType]]) -> None:
    for name, kind in fields:
        if "\0" in name:
            raise InvalidData(f"field {name!r}: {_NUL_IN_NAME}")
        # Of that class itself are types without parts.
        if type(kind) is not pa.DataType:
            if pa.types.is_timestamp(kind) and kind.tz and "\0" in kind.tz:
                raise InvalidData(
                    f"field {name!r}: the time zone has a NUL character, where strings of the C data interface end; use a "
                    "name such as UTC"
                )
            _uncut(_below(name, kind))


def _below(name: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    """Fields below a type; values of dictionaries, runs and extensions have no name of their own."""
    if isinstance(kind, pa.BaseExtensionType):
        yield name, kind.storage_type
    elif isinstance(kind, (pa.DictionaryType, pa.RunEndEncodedType)):
        yield name, kind.value_type
    elif isinstance(kind, pa.MapType):
        yield from ((field.name, field.type) for field in (kind.key_field, kind.item_field))
    elif hasattr(kind, "value_field"):
        yield kind.value_field.name, kind.value_field.type
    elif kind.num_fields:
        yield from ((field.name, field.type) for field in map(kind.field, range(kind.num_fields)))


def _is_text(word: bytes) -> bool:
    try:
        word.decode()
    except UnicodeDecodeError:
        return False
    return True


def _polars(frame: Any) -> None:
    """Refuses what Polars' own stream would tell wrongly, or end this process of."""
    for name, kind in frame.schema.items():
        _exportable(name, name, kind)


def _exportable(column: str, name: str, kind: Any) -> None:
    if "\0" in name:
        raise InvalidData(f"field {name!r}: {_NUL_IN_NAME}")
    if str(kind) == "Object":
        raise InvalidData(
            f"column {column!r} is of Polars' type Object, of which Arrow would have addresses in this process. Try: "
            f"without it, frame.drop({column!r}), or its text, frame.with_columns(polars.Series({column!r}, "
            f"[str(each) for each in frame[{column!r}]]))"
        )
    if str(kind) in ("Int128", "UInt128"):
        advice = f"without it, put(name, frame.drop({column!r}))"
        # A cast does not reach into others.
        if name == column:
            advice = f"decimals, put(name, frame.cast({{{column!r}: polars.Decimal(38, 0)}}))"
        raise InvalidData(f"column {column!r} has Polars' type {kind}, which Arrow lacks. Try: {advice}")
    if (inner := getattr(kind, "inner", None)) is not None:
        _exportable(column, "", inner)
    for field in getattr(kind, "fields", ()):
        _exportable(column, field.name, field.dtype)


def _lazy(frame: Any) -> pa.RecordBatchReader:
    collected = frame.collect()
    _polars(collected)
    return _stream(collected)


def _structs(array: Any) -> Optional[pa.Table]:
    """Of a struct array, whose fields are columns."""
    if not pa.types.is_struct(array.type):
        raise InvalidData(f"it is one column, of {array.type}")
    if array.null_count:
        raise InvalidData(f"{array.null_count} of its {len(array)} structs are null, and a row cannot be")
    return pa.Table.from_struct_array(array)


def _file(file: Any) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(file.schema, map(file.get_batch, range(file.num_record_batches)))


def _duckdb(result: Any) -> Optional[pa.RecordBatchReader]:
    if hasattr(result, "__arrow_c_stream__"):
        return None
    for method in ("fetch_record_batch", "to_arrow_reader"):
        if hasattr(result, method):
            with warnings.catch_warnings():
                # It advises another call, which whoever puts a result does not make.
                warnings.filterwarnings("ignore", "Arrow output on a DB-API result")
                reader = getattr(result, method)()
            if not isinstance(reader, pa.RecordBatchReader):
                raise InvalidData("its result has been read already: execute the query again")
            return reader
    return None


_CONVERSIONS: dict[str, Callable[[Any], Optional[Any]]] = {
    "duckdb.DuckDBPyConnection": _duckdb,
    "duckdb.DuckDBPyRelation": _duckdb,
    "numpy.ndarray": _tables.structured,
    # Its own stream would cut names.
    "pandas.DataFrame": _tables.pandas,
    "polars.DataFrame": _polars,
    "polars.LazyFrame": _lazy,
    "polars.Series": lambda series: _exportable(series.name, series.name, series.dtype),
    "pyarrow.Array": _structs,
    "pyarrow.ChunkedArray": _structs,
    "pyarrow.Dataset": lambda dataset: dataset.scanner().to_reader(),
    "pyarrow.ParquetFile": lambda file: pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches()),
    "pyarrow.RecordBatchFileReader": _file,
    "pyarrow.Scanner": lambda scanner: scanner.to_reader(),
}
"""Of things that do not offer their rows, or not all of them: the rows, or None where they do after all."""

_GROUPS = "what is computed of it, put(name, groups.agg(polars.len()))"

_ADVICE = {
    "builtins.str": "for a file, put(name, pyarrow.dataset.dataset(path))",
    "io.IOBase": "for an open file, put(name, pyarrow.parquet.ParquetFile(file)), or the reader of its format",
    "os.PathLike": "for a file, put(name, pyarrow.dataset.dataset(path))",
    # Elements of these are groups and windows: several tables, or rows in any order and several times.
    "pandas.BaseGroupBy": "what is computed of it, put(name, groups.count().reset_index())",
    "pandas.BaseWindow": "what is computed of it, put(name, windows.count().reset_index())",
    "polars.DynamicGroupBy": _GROUPS,
    "polars.GroupBy": _GROUPS,
    "polars.LazyGroupBy": _GROUPS,
    "polars.RollingGroupBy": _GROUPS,
    "pandas.Index": "put(name, index.to_frame())",
    "pandas.Series": "put(name, series.to_frame())",
    "polars.DataFrame": "for types that Arrow lacks, put(name, frame.cast({polars.Int128: polars.Decimal(38, 0)}))",
    "polars.Series": "put(name, series.to_frame())",
    "pyarrow.Array": 'put(name, {"column": array})',
    "pyarrow.ChunkedArray": 'put(name, {"column": array})',
    "pyarrow.Schema": "for a frame without rows, put(name, pyarrow.Table.from_batches([], schema))",
}
"""The next thing to try, of things that have no rows and columns."""

_TAKES = (
    "tables, batches and readers of pyarrow, frames of Polars and pandas, relations of DuckDB, anything else with "
    "__arrow_c_stream__ or __arrow_c_array__, a dict of columns, a list of dicts, or an iterable of pyarrow.RecordBatch"
)


_NUL_IN_NAME = "the name has a NUL character, where names of the C data interface end; give it another one"

_NO_TABLE = "it has no rows and columns"


def _kinds(data: Any) -> list[str]:
    """The names of a thing's classes, each by the library that it is of: engines are not imported for this."""
    names = [(kind.__module__.partition(".")[0], kind.__name__) for kind in type(data).__mro__]
    kinds = [f"{library.lstrip('_')}.{name.lstrip('_')}" for library, name in names]
    return [*kinds, "os.PathLike"] if isinstance(data, os.PathLike) else kinds


def _advice(kinds: list[str]) -> Optional[str]:
    return next((_ADVICE[kind] for kind in kinds if kind in _ADVICE), None)


@contextlib.contextmanager
def _named(data: Any, kinds: list[str]) -> Iterator[None]:
    """Says of what fails what it was, and what to do instead."""
    try:
        yield
    except BaseException as error:
        # Panics of Polars and other modules are no Exception.
        panicked = type(error).__name__ == "PanicException"
        if isinstance(error, MemoryError) or not (panicked or isinstance(error, Exception)):
            raise
        if isinstance(error, Error) and not isinstance(error, InvalidData):
            raise
        advice = _advice(kinds)
        module = type(data).__module__
        kind = type(data).__qualname__ if module == "builtins" else f"{module}.{type(data).__qualname__}"
        text = f"{kind} cannot be put: {_tables.words(error)}"
        if advice and "Try: " not in text:
            text = f"{text}. Try: {advice}"
        elif isinstance(error, InvalidData) and str(error) == _NO_TABLE:
            text = f"{text}; put takes {_TAKES}"
        raise InvalidData(text) from error
