"""Frames and answers as they are printed, and as notebooks show them: in a bounded space, whatever is in them."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TYPE_CHECKING, Union

import pyarrow as pa

if TYPE_CHECKING:
    from farrow import Frame

COLUMNS = 50
"""Of a wide frame, the columns that are listed."""

ROWS = 5
"""First rows that are shown."""

CELLS = 20
"""Columns whose values are shown."""

ROOM = 60
"""Characters of a value."""


def text(frame: Frame) -> str:
    """One line of facts."""
    shape = f"{counted(frame.num_rows, 'row')}, {counted(frame.num_columns, 'column')}"
    return f"{shape}, {frame.nbytes} bytes, {_how(frame)}"


def page(frame: Frame) -> str:
    """The facts, the columns and the first rows, in HTML."""
    shape = f"{counted(frame.num_rows, 'row', ',')}, {counted(frame.num_columns, 'column')}"
    facts = f"{shape}, {size(frame.nbytes)}, {_how(frame)}"
    fields = list(frame.schema)
    columns = [[_cut(field.name, 4 * ROOM), _cut(str(field.type), 4 * ROOM)] for field in fields[:COLUMNS]]
    header = ["column", "type"]
    if not all(field.nullable for field in fields[:COLUMNS]):
        header.append("nulls")
        for field, row in zip(fields, columns):
            row.append("" if field.nullable else "not null")
    more = f"and {len(fields) - COLUMNS} more" if len(fields) > COLUMNS else ""
    return (
        f"<div><p><b>{html.escape(frame.name)}@{frame.version}</b>: {html.escape(facts)}</p>"
        f"{_table(header, columns, more)}{_rows(frame)}</div>"
    )


def cell(value: pa.Scalar, room: int = ROOM) -> str:
    """A value in about so many characters. No more of it than that is decoded."""
    if not value.is_valid:
        return "null"
    if isinstance(value, (pa.DictionaryScalar, pa.ExtensionScalar, pa.UnionScalar)):
        return cell(value.value, room)
    if isinstance(value, pa.BinaryScalar):
        buffer = value.as_buffer()
        # A character has at most 4 bytes; one that is cut is an odd one at the end, and is cut off below.
        start = bytes(buffer[: 4 * (room + 1)])
        return _cut(start.decode("utf-8", "replace") if _is_text(value.type) else repr(start), room)
    if isinstance(value, pa.ListScalar):
        return _several((cell(each, room // 2) for each in value.values[:4]), len(value.values), "[]", room)
    if isinstance(value, pa.StructScalar):
        shown = range(min(4, value.type.num_fields))
        fields = (f"{value.type.field(n).name}: {cell(value[n], room // 2)}" for n in shown)
        return _several(fields, value.type.num_fields, "{}", room)
    return _cut(str(value), room)


def counted(count: int, one: str, form: str = "") -> str:
    """``1 row``, ``1000 rows``."""
    return f"{count:{form}} {one}{'' if count == 1 else 's'}"


def size(count: Union[int, float]) -> str:
    """Bytes for people: ``48.4 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            break
        count /= 1024
    else:
        unit = "TiB"
    return f"{count} B" if unit == "B" else f"{count:.1f} {unit}"


def _how(frame: Frame) -> str:
    return "mapped, zero-copy" if frame.why is None else f"streamed: {frame.why}"


def _rows(frame: Frame) -> str:
    names = frame.column_names
    try:
        head = frame.head(ROWS)
        columns = [[cell(value) for value in column] for column in head.columns[:CELLS]]
    except Exception as error:
        # A notebook shows the rest.
        return f"<p>{html.escape(_cut(str(error), 10 * ROOM))}</p>"
    if not head.num_rows or not columns:
        return ""
    more = []
    if frame.num_rows > head.num_rows:
        more.append(f"{frame.num_rows - head.num_rows:,} more rows")
    if len(names) > CELLS:
        more.append(f"{len(names) - CELLS} more columns")
    return _table([_cut(name, ROOM) for name in names[:CELLS]], zip(*columns), " and ".join(more))


def _table(header: Iterable[str], rows: Iterable[Iterable[str]], more: str) -> str:
    head = [*header]
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(value)}</td>' for value in row)}</tr>" for row in rows)
    rest = f"<tr><td colspan='{len(head)}'>{more}</td></tr>" if more else ""
    titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}{rest}</tbody></table>"


def _several(shown: Iterable[str], count: int, ends: str, room: int) -> str:
    parts = [*shown]
    rest = ["…"] if count > len(parts) else []
    return _cut(f"{ends[0]}{', '.join([*parts, *rest])}{ends[1]}", room)


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def _cut(value: str, room: int) -> str:
    return value if len(value) <= room else f"{value[: room - 1]}…"
