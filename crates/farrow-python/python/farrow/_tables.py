"""Tables of columns that others made: of pandas, NumPy, and Python itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Optional

import pyarrow as pa

from farrow._display import counted
from farrow._errors import InvalidData

TEXT = (str, bytes, bytearray, memoryview)
"""What Python can iterate over, and nobody means so."""


def columns(columns: Mapping[Any, Any]) -> pa.Table:
    """Of columns by their names."""
    if not columns:
        raise InvalidData("it has no columns")
    for name, column in columns.items():
        # pyarrow would take a text for a list of its characters.
        if isinstance(column, TEXT) or not (isinstance(column, Iterable) or hasattr(column, "__arrow_c_array__")):
            kind = type(column).__name__
            raise InvalidData(f"its column {name!r} is a single {kind}. Try: for one row, a list of the dict, put(name, [row])")
    return _table(dict(columns))


def rows(rows: Iterable[Mapping[Any, Any]]) -> pa.Table:
    """Of rows, each of which has its columns."""
    # pyarrow's from_pylist would take the first row's columns and drop all others.
    names = dict.fromkeys(name for row in rows for name in row)
    return _table({name: [row.get(name) for row in rows] for name in names})


def _table(columns: Mapping[Any, Any]) -> pa.Table:
    try:
        return pa.table(columns)
    except Exception as error:
        for name, column in columns.items():
            # pyarrow does not say which it is.
            if not isinstance(column, (pa.Array, pa.ChunkedArray)) and (told := _unfit(column)) is not None:
                advice = "its parts, column.real and column.imag, as two columns"
                if not _is_complex(column):
                    advice = "values of one type, such as text: [str(each) for each in column]"
                raise InvalidData(f"column {name!r}: {told}. Try: {advice}") from error
        raise


def _unfit(column: Any) -> Optional[str]:
    """The reason why pyarrow makes no array of a column."""
    try:
        pa.array(column)
    except Exception as error:
        return words(error)
    return None


def _is_complex(column: Any) -> bool:
    return getattr(getattr(column, "dtype", None), "kind", None) == "c"


def pandas(frame: Any) -> pa.Table:
    """Of a data frame."""
    try:
        return pa.Table.from_pandas(frame)
    except Exception as error:
        raise InvalidData(f"{words(error)}. Try: {_for_pandas(frame)}") from error


def _for_pandas(frame: Any) -> str:
    """What to put instead of a frame that pyarrow does not take."""
    if not frame.columns.is_unique:
        names = '[f"{name} {number}" for number, name in enumerate(frame.columns)]'
        return f"other names, put(name, frame.set_axis({names}, axis=1))"
    for name in frame.columns:
        column = frame[name]
        if hasattr(column.dtype, "subtype") and str(column.dtype).startswith("Sparse"):
            return f"values that are not sparse, put(name, frame.astype({{{name!r}: frame[{name!r}].dtype.subtype}}))"
        if _is_complex(column):
            part = f"frame[{name!r}].to_numpy()"
            return f"its parts, put(name, frame.assign(real={part}.real, imag={part}.imag).drop(columns={name!r}))"
        if _unfit(column) is not None:
            return f"its text, put(name, frame.astype({{{name!r}: str}}))"
    return "without the index, put(name, frame.reset_index(drop=True))"


def structured(array: Any) -> pa.Table:
    """Of an array of NumPy with named columns."""
    names = array.dtype.names
    if names is None:
        tries = {1: 'put(name, {"column": array})', 2: "put(name, pandas.DataFrame(array))"}
        advice = tries.get(array.ndim, 'put(name, {"column": array.reshape(-1)})')
        dimensions = counted(array.ndim, "dimension")
        raise InvalidData(f"it is of {dimensions} and {array.dtype}, and has no named columns. Try: {advice}")
    if array.ndim != 1:
        dimensions = counted(array.ndim, "dimension")
        raise InvalidData(f"it is of {dimensions}, and rows are of one. Try: put(name, array.reshape(-1))")
    wide = [name for name in names if array[name].ndim > 1]
    if wide:
        raise InvalidData(
            f"its column {wide[0]!r} has an array of {counted(array[wide[0]].ndim - 1, 'dimension')} in each row. Try: a list "
            f"in each, put(name, {{column: array[column].tolist() for column in array.dtype.names}})"
        )
    return _table({name: array[name] for name in names})


def words(error: BaseException) -> str:
    """What an error says."""
    # pyarrow gives the column of a DataFrame in a second argument.
    parts = error.args if all(isinstance(part, str) for part in error.args) else ()
    return (": ".join(reversed(parts)) if len(parts) > 1 else str(error)).rstrip(".")
