"""Frames, as a program has them."""

from __future__ import annotations

import builtins
import collections
import difflib
import html
import operator
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Optional, Union, overload

import pyarrow as pa

from farrow import _answers, _arguments, _display, _engines, _farrow, _references
from farrow._errors import Closed, InvalidArgument, InvalidType, NoColumn, OutOfRange

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow.compute
    import pyarrow.dataset


class Frame:
    """One version of a frame: mapped out of the shared memory, or streamed where that is not possible.

    Any Arrow library takes it as it is, by ``__arrow_c_stream__``; it is no sequence, of rows, columns or batches. Arrays
    made from a frame keep its memory mapped and its lease alive, also after the frame itself is gone or closed. A frame is
    a context manager, closed at its end.

    It is pickled as a reference: the agent's address, its region's UUID, ``name@version``, columns and rows. To
    unpickle it gets that version, or :class:`NotFound` if it has been dropped, or the region made anew: a reference holds
    nothing.
    """

    __slots__ = ("_client", "_columns", "_label", "_open", "_rows")

    def __init__(
        self,
        native: _farrow.Frame,
        client: _farrow.Client,
        columns: Optional[Sequence[str]] = None,
        rows: Optional[tuple[int, Optional[int]]] = None,
    ) -> None:
        self._client = client
        # Those that were asked for, if not all were.
        self._columns = columns
        self._rows = rows
        self._open: Optional[_farrow.Frame] = native
        self._label = f"{native.name}@{native.version}"

    @property
    def name(self) -> str:
        """The frame's name, without version."""
        return self._native.name

    @property
    def version(self) -> int:
        """The version's number, from 1."""
        return self._native.version

    @property
    def region(self) -> str:
        """The UUID of its region, as in :class:`Health`: there, a name and a version are given once."""
        return self._native.region

    @property
    def schema(self) -> pa.Schema:
        """The schema of all batches."""
        return self._native.schema

    @property
    def column_names(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self.schema.names)

    @property
    def columns(self) -> list[str]:
        """The same, by the name that pandas and Polars have for it."""
        return self.column_names

    @property
    def num_columns(self) -> int:
        """Columns of all batches."""
        return len(self.schema)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.num_rows, self.num_columns

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
        """Bytes of the version's Arrow files; of a selection of columns or rows, those of its values alone."""
        return self._native.nbytes if self._columns is None and self._rows is None else _farrow.size(self)

    @property
    def zero_copy(self) -> bool:
        """True if the buffers of all batches lie in the shared memory."""
        return self._native.zero_copy

    @property
    def why(self) -> Optional[str]:
        """The reason why the frame is not mapped; None if it is."""
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

    def versions(self) -> list[_answers.VersionInfo]:
        """The versions that the frame has now, oldest first: asked of the agent, by the client that got the frame.

        In a program of asyncio: ``await client.versions(frame.name)``.
        """
        return [_answers.version(found) for found in self._client.versions(self.name).wait()]

    def batch(self, index: int) -> pa.RecordBatch:
        """One record batch, decoded now and without copying; :class:`OutOfRange` if there are not so many."""
        try:
            number = operator.index(index)
        except TypeError:
            raise InvalidType(f"batch takes a batch's number, from 0; found {index!r}") from None
        if not 0 <= number < self.num_batches:
            raise OutOfRange(f"batch {number}: {self._label} has {self.num_batches}, counted from 0")
        return self._native.batch(number)

    def select(self, columns: Sequence[str]) -> Frame:
        """The same version with these columns only, in this order; nothing is copied."""
        wanted = _arguments.names("select", columns)
        self._check(wanted)
        return Frame(self._native.select(wanted), self._client, wanted, self._rows)

    def column(self, name: str) -> pa.ChunkedArray:
        """One column, with a chunk for each batch; nothing is copied, and no other column is decoded."""
        return self.select([name]).to_arrow().column(0)

    def head(self, n: int = 5) -> pa.Table:
        """The first n rows as a table over the same memory."""
        return self.slice(0, _rows_of("head", n))

    def tail(self, n: int = 5) -> pa.Table:
        """The last n rows as a table over the same memory."""
        return self.slice(max(0, self.num_rows - _rows_of("tail", n)))

    def slice(self, offset: int = 0, length: Optional[int] = None) -> pa.Table:
        """So many rows from a row on, or all the rest, as a table over the same memory.

        No batch behind them is decoded.
        """
        offset = _rows_of("slice", offset)
        length = None if length is None else _rows_of("slice", length)
        left = max(0, self.num_rows - offset)
        left = left if length is None else min(left, length)
        batches = []
        for batch in self._batches() if left else ():
            if offset < batch.num_rows:
                batches.append(batch.slice(offset, left))
                left -= batches[-1].num_rows
            offset = max(0, offset - batch.num_rows)
            if not left:
                break
        return pa.Table.from_batches(batches, self.schema)

    def filter(self, mask: Any) -> pa.Table:
        """A table of the rows for which an expression of pyarrow's holds, or a mask is true; these are copied.

        A mask has a bool for each row: an array of pyarrow or NumPy, a series of pandas or Polars, or a list. Null is
        not true. :class:`InvalidType` says what else was found, :class:`InvalidArgument` another number of rows.

        >>> frame.filter(pyarrow.compute.field("amount") > 50)
        """
        return _engines.filtered(self.to_arrow(), _arguments.mask(mask, self.num_rows))

    def to_batches(self, max_chunksize: Optional[int] = None) -> list[pa.RecordBatch]:
        """All batches, or slices of them of so many rows at most; nothing is copied."""
        return [*self._batches()] if max_chunksize is None else self.to_arrow().to_batches(max_chunksize)

    def to_reader(self) -> pa.RecordBatchReader:
        """The batches in row order, each decoded when its turn comes; nothing is copied."""
        return self._native.reader()

    def to_pydict(self) -> dict[str, list[Any]]:
        """A list of Python objects for each column, as ``pyarrow.Table.to_pydict`` makes it."""
        return _engines.to_pydict(self)

    def to_pylist(self) -> list[dict[str, Any]]:
        """A dict of Python objects for each row, as ``pyarrow.Table.to_pylist`` makes it."""
        return _engines.to_pylist(self)

    @overload
    def __getitem__(self, columns: str) -> pa.ChunkedArray: ...
    @overload
    def __getitem__(self, columns: Sequence[str]) -> Frame: ...
    @overload
    def __getitem__(self, columns: builtins.slice) -> pa.Table: ...
    def __getitem__(
        self, columns: Union[str, Sequence[str], builtins.slice]
    ) -> Union[pa.ChunkedArray, Frame, pa.Table]:
        """A column by its name, columns by a list of names (see select), or rows (see slice): ``frame[10:20]``.

        A column has a chunk for each batch; nothing is copied, and no other column is decoded.
        """
        if isinstance(columns, str):
            return self.column(columns)
        if isinstance(columns, (list, tuple)) and all(isinstance(column, str) for column in columns):
            return self.select(columns)
        if isinstance(columns, builtins.slice):
            start, stop, step = columns.indices(self.num_rows)
            if step == 1:
                return self.slice(start, max(0, stop - start))
        raise InvalidType(
            f"frame[...] takes a column's name, a list of names or rows without step; found {columns!r}. For a batch: "
            "frame.batch(index)"
        )

    def __contains__(self, column: object) -> bool:
        """True if a column has that name."""
        return column in self.schema.names

    def __iter__(self) -> NoReturn:
        """Refused: programs that iterate over a table may mean its rows, its columns or its batches."""
        raise InvalidType(
            f"the frame {self._label} is no sequence. Iterate over its batches: frame.to_batches(); its columns: "
            "frame.column_names; its rows: frame.to_pylist()"
        )

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: NumPy has no array of columns of several types, and libraries that ask for one would guess."""
        raise InvalidType(
            f"the frame {self._label} is no array. Try: frame.to_pandas(), frame.to_polars(), or a column's: "
            "frame[name].to_numpy()"
        )

    def __len__(self) -> int:
        return self._native.num_rows

    def close(self) -> None:
        """Ends the use of this frame. Arrays made from it keep its memory, and its lease ends with the last of them."""
        self._open = None

    def __enter__(self) -> Frame:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        version = f"{self.name}@{self.version}"
        address = _references.portable(self._client.address)
        return _references.frame, (address, self.region, version, self._columns, self._rows)

    def __copy__(self) -> Frame:
        return Frame(self._native, self._client, self._columns, self._rows)

    def __deepcopy__(self, _: Any) -> Frame:
        """The same as a copy: nobody can change a frame."""
        return self.__copy__()

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

    def to_pandas(self, **options: Any) -> pandas.DataFrame:
        """A pandas frame of Arrow-backed columns over the same memory; of dictionaries, it has categorical columns.

        Options are those of ``pyarrow.Table.to_pandas``. With ``types_mapper=None`` it has the columns of NumPy that
        ``pandas.read_parquet`` makes, most of them copies, and is equal to a pandas frame that was put.
        """
        return _engines.to_pandas(self, **options)

    def to_duckdb(self, connection: Optional[duckdb.DuckDBPyConnection] = None) -> duckdb.DuckDBPyRelation:
        """A relation of DuckDB, of this connection or of its default one, that scans the same memory."""
        return _engines.to_duckdb(self, connection)

    def to_dataset(self) -> pyarrow.dataset.Dataset:
        """A pyarrow dataset over the same memory."""
        return _engines.to_dataset(self)

    def __repr__(self) -> str:
        if self._open is None:
            return f"<farrow.Frame {self._label}: closed>"
        return f"<farrow.Frame {self._label}: {_display.text(self)}>"

    def _repr_html_(self) -> str:
        """A notebook shows the columns and the first rows."""
        return html.escape(repr(self)) if self._open is None else _display.page(self)

    @property
    def _native(self) -> _farrow.Frame:
        if self._open is None:
            raise Closed(f"the frame {self._label} is closed: get it again")
        return self._open

    def _batches(self) -> Iterator[pa.RecordBatch]:
        return (self.batch(index) for index in range(self.num_batches))

    def _check(self, columns: Sequence[str]) -> None:
        """Checks that each is the name of one column."""
        names = collections.Counter(self.schema.names)
        for column in columns:
            if names[column] > 1:
                raise NoColumn(f"{self.name}@{self.version}: {names[column]} columns are named {column!r}")
            if column not in names:
                close = difflib.get_close_matches(str(column), names, n=3) or list(names)[:10]
                raise NoColumn(f"{self.name}@{self.version} has no column {column!r}. There are: {', '.join(close)}")


def _rows_of(what: str, number: Any) -> int:
    try:
        found = operator.index(number)
    except TypeError:
        raise InvalidType(f"{what} takes a number of rows; found {number!r}") from None
    if found < 0:
        hint = "" if what == "tail" else ". For the last rows: frame.tail(n), or frame[-n:]"
        raise InvalidArgument(f"{what} takes rows from 0 on, and no negative number of them; found {found}{hint}")
    return found
