"""Arguments of calls, checked and converted to the types of the native module."""

from __future__ import annotations

import builtins
import datetime
import operator
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

import pyarrow as pa

from farrow._errors import InvalidArgument, InvalidType

if TYPE_CHECKING:
    import pyarrow.compute

Rows = Union[tuple[int, Optional[int]], slice, range]
"""Rows from the first, counted from 0, to the one before the second."""

Address = Union[str, "os.PathLike[str]"]
"""Where an agent is; a path is that of its unix socket, whatever its name is."""

Age = Union[float, datetime.timedelta]
"""A time span, in seconds where it is a number."""

LAST = 2**64 - 1
"""Behind every row."""


def text(what: str, value: Any) -> str:
    """A name or a prefix."""
    if isinstance(value, str):
        return _unicode(what, value)
    raise InvalidType(f"{what} takes a str; found a {_kind(value)}")


def address(value: Any) -> str:
    """The address of an agent."""
    if isinstance(value, str):
        return _unicode("connect", value)
    if not isinstance(value, os.PathLike):
        raise InvalidType(
            f"connect takes an address, a str, or the path of a unix socket; found a {_kind(value)}. It is such as "
            "'/run/farrow/agent.sock' or 'http://HOST:PORT'"
        )
    path = os.fsdecode(value)
    return _unicode("connect", path if "/" in path else f"./{path}")


def name(call: str, value: Any, data: Any = None) -> str:
    """The name of a frame; ``data`` is the argument behind it, with which it may have been swapped."""
    if isinstance(value, str):
        return _unicode(call, value)
    swapped = f". The name comes first: {call}({data!r}, data)" if isinstance(data, str) else ""
    raise InvalidType(f"{call} takes the name of a frame, a str; found a {_kind(value)}{swapped}")


def names(call: str, values: Sequence[str]) -> builtins.list[str]:
    """Names, and not the letters of one."""
    if isinstance(values, str):
        raise InvalidType(f"{call} takes a list of names: {call}([{values!r}])")
    return _texts(call, values)


def columns(values: Optional[Sequence[str]]) -> Optional[builtins.list[str]]:
    """Names of columns, and not the letters of one."""
    if isinstance(values, str):
        raise InvalidType(f"columns takes a list of names: columns=[{values!r}]")
    return None if values is None else _texts("columns", values)


def rows(wanted: Optional[Rows]) -> Optional[tuple[int, Optional[int]]]:
    """The first row and the one behind the last, None being the end."""
    if wanted is None:
        return None
    if isinstance(wanted, (slice, range)):
        if wanted.step not in (None, 1):
            raise InvalidArgument(f"rows={wanted!r}: rows are taken without step; found {wanted.step}. {_ROWS}")
        parts: Any = (0 if wanted.start is None else wanted.start, wanted.stop)
        if isinstance(wanted, range) and wanted.stop < wanted.start:
            parts = (wanted.start, wanted.start)
    else:
        parts = wanted
    if not isinstance(parts, (tuple, builtins.list)) or len(parts) != 2:
        raise InvalidType(f"rows={wanted!r}: {_ROWS}")
    try:
        first = operator.index(parts[0])
        end = None if parts[1] is None else operator.index(parts[1])
    except TypeError:
        raise InvalidType(f"rows={wanted!r}: {_ROWS}") from None
    if first < 0 or (end is not None and end < first):
        raise InvalidArgument(
            f"rows={wanted!r}: expected the first row, from 0, and the one behind the last, or None. {_ROWS}"
        )
    return first, end


def bounds(wanted: Optional[tuple[int, Optional[int]]]) -> Optional[tuple[int, int]]:
    """The same, as 64 bits hold it."""
    return wanted and (min(wanted[0], LAST), LAST if wanted[1] is None else min(wanted[1], LAST))


def seconds(what: str, span: Any, endless: bool = False) -> float:
    """A time span in seconds; ``math.inf``, where it may be endless, is more than a century."""
    if isinstance(span, datetime.timedelta):
        count = span.total_seconds()
    else:
        try:
            count = float("nan" if isinstance(span, (str, bytes)) else span)
        except (TypeError, ValueError):
            count = float("nan")
        if count != count:
            raise InvalidType(
                f"{what} takes seconds or a datetime.timedelta; found {span!r}. Try: {what}=3600, or "
                f"{what}=datetime.timedelta(hours=1)"
            )
    if endless and count == float("inf"):
        return 2.0**32
    if not 0 <= count < 2**64:
        raise InvalidArgument(f"{what} {span}: expected seconds, at least 0 and less than 2**64")
    return count


def count(what: str, value: Any) -> int:
    """A whole number from 0 on that 64 bits hold."""
    try:
        number = operator.index(value)
    except TypeError:
        raise InvalidType(f"{what} takes a whole number; found {value!r}") from None
    if not 0 <= number < 1 << 64:
        raise InvalidArgument(f"{what} takes a whole number from 0 on; found {number}")
    return number


def schema(value: Any) -> pa.Schema:
    """A schema, or that of what has one."""
    for found in (value, getattr(value, "schema", None)):
        if isinstance(found, pa.Schema):
            return found
    if hasattr(value, "__arrow_c_schema__") and not isinstance(value, (pa.Field, pa.DataType)):
        return pa.schema(value)
    raise InvalidType(
        f"writer takes a pyarrow.Schema, or what has one as .schema; found a {_kind(value)}. Try: table.schema, or "
        'pyarrow.schema([("id", pyarrow.int64())])'
    )


def mask(value: Any, rows: int) -> Union[pyarrow.compute.Expression, pa.Array, pa.ChunkedArray]:
    """An expression of pyarrow's, or a mask of so many values."""
    from pyarrow.compute import Expression

    if isinstance(value, Expression):
        return value
    found = _values(value)
    if found is None:
        raise InvalidType(
            f"filter takes an expression of pyarrow.compute or a mask, a boolean array of pyarrow, NumPy, pandas or "
            f"Polars, or a list of bool; found a {_kind(value)}. For Polars' expressions: "
            "frame.to_polars_lazy().filter(...)"
        )
    if pa.types.is_null(found.type):
        found = found.cast(pa.bool_())
    if not pa.types.is_boolean(found.type):
        raise InvalidType(f"filter takes a mask of bool; found a {_kind(value)} of {found.type}")
    if len(found) != rows:
        raise InvalidArgument(f"filter takes a mask with a value for each row; found {len(found)} for {rows}")
    return found


def _values(value: Any) -> Union[pa.Array, pa.ChunkedArray, None]:
    """An array of pyarrow's, of what may be a mask."""
    if isinstance(value, (pa.Array, pa.ChunkedArray)):
        return value
    kinds = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(value).__mro__}
    try:
        if ("polars", "Series") in kinds:
            return value.to_arrow()
        if kinds & {("pandas", "Series"), ("pandas", "Index"), ("numpy", "ndarray")}:
            return pa.array(value, from_pandas=True)
        if isinstance(value, (builtins.list, tuple)):
            return pa.array(value)
    except (pa.ArrowException, TypeError, ValueError):
        return None
    return None


def _texts(what: str, values: Any) -> builtins.list[str]:
    try:
        found = [*values]
    except TypeError:
        raise InvalidType(f"{what} takes a list of names; found a {_kind(values)}") from None
    for each in found:
        if not isinstance(each, str):
            raise InvalidType(f"{what} takes a list of names; found a {_kind(each)} in it: {each!r:.100}")
        _unicode(what, each)
    return found


def _unicode(what: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        surrogate = f"the surrogate {value[error.start]!a} at {error.start}"
        raise InvalidArgument(f"{what} takes text of Unicode; found {surrogate}, in {value[:256]!a}") from None
    return value


def _kind(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


_ROWS = "rows takes (first, end), slice(first, end) or range(first, end)"
