"""Versions that are written batch by batch."""

from __future__ import annotations

from typing import Any, NoReturn, Optional

from farrow import _farrow, _references, _sources
from farrow._answers import Info, Written, info
from farrow._display import counted, size
from farrow._errors import Closed, Error


class Writer:
    """A version that is being written; nobody sees any of it before it is finished.

    A context manager: at its end the version is published, and if an exception ends it, nothing is.

    >>> with client.writer("sales/orders", schema) as writer:
    ...     for batch in batches:
    ...         writer.write(batch)
    >>> writer.info.version
    """

    __slots__ = ("_by_name", "_info", "_name", "_native", "_written")

    def __init__(self, native: _farrow.Writer, name: str, by_name: bool = False) -> None:
        self._native = native
        self._name = name
        self._by_name = by_name
        self._written = Written(0, 0)
        self._info: Optional[Info] = None

    def write(self, data: Any) -> None:
        """Writes a batch, a table, or anything else that put takes but iterables.

        If the agent or the schema refuses it, the writer is aborted, and the error says so.
        """
        rows = _sources.rows(data, self._by_name)
        try:
            self._write_rows(rows)
        except Error as error:
            self.abort()
            ended(error)
            raise

    def _write_rows(self, rows: _sources.Source) -> None:
        """Writes rows that are converted already."""
        # As a stream, a reader whose batches have columns in another order would have them swapped.
        for part in _sources.pieces(rows) if self._by_name and rows.once else [rows]:
            _sources.uncut(part.arrow.schema)
            self._written = Written._make(self._native.write(part.arrow, part.once).wait())

    @property
    def written(self) -> Written:
        """Rows and bytes that were given to it so far."""
        return self._written

    @property
    def info(self) -> Optional[Info]:
        """The version that was published; None before that."""
        return self._info

    def finish(self) -> Info:
        """Publishes the version."""
        self._info = info(self._native.finish().wait())
        return self._info

    def abort(self) -> None:
        """Forgets what was written, and gives its space back. Does nothing after the end."""
        self._native.abort().wait()

    def __repr__(self) -> str:
        return shown_writer("farrow.Writer", self._name, self._written, self._info)

    def __reduce__(self) -> NoReturn:
        raise _references.refuse("a farrow.Writer")

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.abort()
        elif self._info is None:
            self.finish()


def ended(error: Error) -> None:
    """Says with an error of a writer's that it was the last of it."""
    if not isinstance(error, Closed):
        error.args = (f"{error}. The writer has ended with this, and publishes nothing: make another",)


def shown_writer(kind: str, name: str, written: Written, published: Optional[Info]) -> str:
    """A writer as it is printed."""
    rows = f"{counted(written.rows, 'row')}, {size(written.bytes)}"
    label = name if published is None else f"{published.name}@{published.version}, published"
    return f"<{kind} of {label}: {rows} written>"
