"""What a program hands over to put."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterable, Iterable, Iterator
from typing import Any, Optional, Union

import pyarrow as pa

from farrow._errors import InvalidData

PIECE_BYTES = 16 << 20
"""Bytes of data between two signs of progress, about."""


def arrow(data: Any) -> Optional[Any]:
    """Data as something that offers the Arrow C data interface; None if it is perhaps an iterable of such."""
    if hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
        return data
    if type(data).__module__.partition(".")[0] == "pandas":
        # Before 2.2.
        return pa.Table.from_pandas(data)
    if isinstance(data, (Iterable, AsyncIterable)) and not isinstance(data, (str, bytes, dict)):
        return None
    raise InvalidData(f"put takes {_TAKES}; found {type(data).__name__}")


def batches(data: Iterable[Any]) -> tuple[pa.Schema, Iterator[Any]]:
    """The schema of the first element of an iterable, and all its elements."""
    elements = iter(data)
    try:
        first = next(elements)
    except StopIteration:
        raise empty(data) from None
    return schema_of(first), (element(each) for each in itertools.chain([first], elements))


def empty(data: Any) -> InvalidData:
    """What an iterable without elements is refused with."""
    return InvalidData(f"put takes {_TAKES}; found an empty {type(data).__name__}, which has no schema")


def element(data: Any) -> Any:
    """An element of an iterable, if it is what put takes."""
    if hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
        return data
    raise InvalidData(f"put takes {_TAKES}; found a {type(data).__name__} in it")


def schema_of(data: Any) -> pa.Schema:
    """The schema of an element."""
    element(data)
    if isinstance(schema := getattr(data, "schema", None), pa.Schema):
        return schema
    if hasattr(data, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(data).schema
    return pa.record_batch(data).schema


def pieces(data: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema of Arrow data, and the data in batches of about PIECE_BYTES at most."""
    if hasattr(data, "__arrow_c_stream__"):
        reader = pa.RecordBatchReader.from_stream(data)
        return reader.schema, (piece for batch in reader for piece in cut(batch))
    batch = pa.record_batch(data)
    return batch.schema, cut(batch)


def cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch in slices of about PIECE_BYTES."""
    rows = max(1, batch.num_rows * PIECE_BYTES // max(1, size(batch)))
    return (batch.slice(first, rows) for first in range(0, batch.num_rows, rows))


def total(data: Any) -> Optional[int]:
    """Bytes of data that is in memory and knows them; None of a stream."""
    if isinstance(data, (pa.Table, pa.RecordBatch)):
        return size(data)
    known = getattr(data, "nbytes", None)
    return known if isinstance(known, int) else None


def size(data: Union[pa.Table, pa.RecordBatch]) -> int:
    """Bytes of a table or batch."""
    try:
        return int(data.nbytes)
    except TypeError:
        # pyarrow before 17 cannot tell of string views.
        return int(data.get_total_buffer_size())


_TAKES = "what offers __arrow_c_stream__ or __arrow_c_array__, a pandas frame, or an iterable of pyarrow.RecordBatch"
