"""Versions that are written batch by batch."""

from __future__ import annotations

from typing import Any, Optional

from farrow import _farrow
from farrow._answers import Info, Written, info


class Writer:
    """A version that is being written; nobody sees any of it before it is finished.

    A context manager: at its end the version is published, and if an exception ends it, nothing is.

    >>> with client.writer("sales/orders", schema) as writer:
    ...     for batch in batches:
    ...         writer.write(batch)
    >>> writer.info.version
    """

    __slots__ = ("_info", "_native", "_written")

    def __init__(self, native: _farrow.Writer) -> None:
        self._native = native
        self._written = Written(0, 0)
        self._info: Optional[Info] = None

    def write(self, data: Any) -> None:
        """Writes a batch, a table, or anything else that offers ``__arrow_c_stream__`` or ``__arrow_c_array__``.

        If that fails, the writer is aborted.
        """
        self._written = Written._make(self._native.write(data).wait())

    @property
    def written(self) -> Written:
        """Rows and bytes that were given to it so far."""
        return self._written

    @property
    def info(self) -> Optional[Info]:
        """What was published; None before that."""
        return self._info

    def finish(self) -> Info:
        """Publishes the version."""
        self._info = info(self._native.finish().wait())
        return self._info

    def abort(self) -> None:
        """Forgets what was written, and gives its space back. Does nothing after the end."""
        self._native.abort().wait()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.abort()
        elif self._info is None:
            self.finish()
