"""Frames, as a program has them."""

from __future__ import annotations

import collections
import difflib
import html
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

import pyarrow as pa

from farrow import _engines, _farrow

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow.dataset


class Frame:
    """One version of a frame: mapped out of the shared memory, or streamed where that is not possible.

    Any Arrow library takes it as it is, by ``__arrow_c_stream__``. Arrays made from a frame keep its memory mapped and
    its lease alive, also after the frame itself is gone.
    """

    __slots__ = ("_native",)

    def __init__(self, native: _farrow.Frame) -> None:
        self._native = native

    @property
    def name(self) -> str:
        """The frame's name, without version."""
        return self._native.name

    @property
    def version(self) -> int:
        """The version's number, from 1."""
        return self._native.version

    @property
    def schema(self) -> pa.Schema:
        """The schema of all batches."""
        return self._native.schema

    @property
    def num_rows(self) -> int:
        """Rows of all batches."""
        return self._native.num_rows

    @property
    def num_batches(self) -> int:
        """Record batches."""
        return self._native.num_batches

    @property
    def nbytes(self) -> int:
        """Bytes of the version's Arrow files, whatever columns were selected."""
        return self._native.nbytes

    @property
    def zero_copy(self) -> bool:
        """Whether the buffers of all batches lie in the shared memory."""
        return self._native.zero_copy

    @property
    def why(self) -> Optional[str]:
        """Why the frame is not mapped; None if it is."""
        return self._native.why

    @property
    def mapping(self) -> Optional[tuple[int, int]]:
        """Address and bytes of the mapped segment; None if streamed, or if there are several (see mappings)."""
        mappings = self._native.mappings
        return mappings[0] if len(mappings) == 1 else None

    @property
    def mappings(self) -> list[tuple[int, int]]:
        """Address and bytes of each mapped segment."""
        return self._native.mappings

    def batch(self, index: int) -> pa.RecordBatch:
        """One record batch, decoded now and without copying."""
        return self._native.batch(index)

    def select(self, columns: Sequence[str]) -> Frame:
        """The same version with these columns only, in this order; nothing is copied."""
        if isinstance(columns, str):
            raise TypeError(f"select takes a list of column names: select([{columns!r}])")
        self._check(columns)
        return Frame(self._native.select([*columns]))

    def __getitem__(self, column: str) -> pa.ChunkedArray:
        """A column by its name, a chunk for each batch; nothing is copied, and no other column is decoded."""
        if not isinstance(column, str):
            raise TypeError(f"frame[...] takes a column's name; found {type(column).__name__}. Try: frame.batch(index)")
        return self.select([column]).to_arrow().column(0)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """The batches in row order, each decoded when its turn comes."""
        return (self.batch(index) for index in range(self.num_batches))

    def __len__(self) -> int:
        return self._native.num_rows

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The Arrow C stream interface: what lets any Arrow library take the batches as they are."""
        return self._native.reader().__arrow_c_stream__(requested_schema)

    def to_arrow(self) -> pa.Table:
        """A table over the same memory."""
        return self._native.reader().read_all()

    def to_polars(self) -> polars.DataFrame:
        """A Polars frame over the same memory, but for types that Polars stores in another way."""
        return _engines.to_polars(self)

    def to_polars_lazy(self) -> polars.LazyFrame:
        """A lazy Polars frame that reads only the columns that its query needs."""
        return _engines.to_polars_lazy(self)

    def to_pandas(self) -> pandas.DataFrame:
        """A pandas frame of Arrow-backed columns over the same memory."""
        return _engines.to_pandas(self)

    def to_duckdb(self, connection: Optional[duckdb.DuckDBPyConnection] = None) -> duckdb.DuckDBPyRelation:
        """A relation of DuckDB, of this connection or of its default one, that scans the same memory."""
        return _engines.to_duckdb(self, connection)

    def to_dataset(self) -> pyarrow.dataset.Dataset:
        """A pyarrow dataset over the same memory."""
        return _engines.to_dataset(self)

    def __repr__(self) -> str:
        return (
            f"<farrow.Frame {self.name}@{self.version}: {self.num_rows} rows, {len(self.schema)} columns, "
            f"{self.nbytes} bytes, {self._how()}>"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        facts = f"{self.num_rows:,} rows, {len(self.schema)} columns, {size(self.nbytes)}, {self._how()}"
        rows = "".join(
            f"<tr><td>{html.escape(field.name)}</td><td>{html.escape(str(field.type))}</td>"
            f"<td>{'' if field.nullable else 'not null'}</td></tr>"
            for field in list(self.schema)[:_SHOWN]
        )
        more = len(self.schema) - _SHOWN
        rest = f"<tr><td colspan='3'>and {more} more</td></tr>" if more > 0 else ""
        return (
            f"<div><p><b>{html.escape(self.name)}@{self.version}</b>: {html.escape(facts)}</p>"
            f"<table><thead><tr><th>column</th><th>type</th><th></th></tr></thead><tbody>{rows}{rest}</tbody></table></div>"
        )

    def _how(self) -> str:
        return "mapped, zero-copy" if self.why is None else f"streamed: {self.why}"

    def _check(self, columns: Sequence[str]) -> None:
        """Whether each is the name of one column."""
        names = collections.Counter(self.schema.names)
        for column in columns:
            if names[column] > 1:
                raise KeyError(f"{self.name}@{self.version}: {names[column]} columns are named {column!r}")
            if column not in names:
                close = difflib.get_close_matches(str(column), names, n=3) or list(names)[:10]
                raise KeyError(f"{self.name}@{self.version} has no column {column!r}. There are: {', '.join(close)}")


# A notebook shows the first columns of a wide frame.
_SHOWN = 50


def size(count: Union[int, float]) -> str:
    """Bytes for people: ``48.4 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            break
        count /= 1024
    else:
        unit = "TiB"
    return f"{count} B" if unit == "B" else f"{count:.1f} {unit}"
