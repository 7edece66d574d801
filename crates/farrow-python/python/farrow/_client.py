"""The client: each call waits for its answer."""

from __future__ import annotations

import builtins
import datetime
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Optional, Union

import pyarrow as pa

from farrow import _farrow, _sources
from farrow._answers import Dropped, Event, Health, Info, Lease, Usage, Verified, event, info
from farrow._frame import Frame
from farrow._progress import Progress, shown
from farrow._writer import Writer


class Client:
    """A connection to an agent; also a context manager. Frames outlive it. Threads may share it."""

    __slots__ = ("_native",)

    def __init__(self, address: Optional[str] = None) -> None:
        self._native: _farrow.Client = _farrow.Client.connect(address).wait()

    def get(self, name: str, wait: Optional[float] = None, columns: Optional[Sequence[str]] = None) -> Frame:
        """The latest version of a frame, or one version of it by ``name@version``.

        With ``wait``, as soon as it is there, if that is within so many seconds; else :class:`NotFound` is raised. With
        ``columns``, only these: see :meth:`Frame.select`.
        """
        call = self._native.get(name) if wait is None else self._native.wait_for(name, wait)
        frame = Frame(call.wait())
        return frame if columns is None else frame.select(columns)

    def stream(self, name: str) -> pa.RecordBatchReader:
        """The batches of a frame, one after another and none of them kept.

        They are mapped where that is possible, as :meth:`get` maps them. A frame that has to be streamed need not fit
        into memory.
        """
        reader: pa.RecordBatchReader = self._native.stream(name).wait()
        return reader

    def snapshot(self, names: Sequence[str]) -> builtins.list[Frame]:
        """Several frames, each by its name or ``name@version``, as of one moment.

        Nothing was committed or dropped between any two of them.
        """
        return [Frame(native) for native in self._native.snapshot(list_of(names)).wait()]

    def watch(self, prefix: str = "") -> Iterator[Event]:
        """What is committed and dropped from now on, of the frames whose names begin with prefix.

        The iterator has no end; it waits for what happens next, and Ctrl-C interrupts it. It goes on where it was when
        the agent is restarted.

        >>> for event in client.watch("sales/"):
        ...     print(event.kind, event.name, event.version)
        """
        # Begun here and not at the first event: nothing that happens from now on is missed.
        return _events(self._native.watch(prefix).wait())

    def put(self, name: str, data: Any, progress: Progress = None) -> Info:
        """Publishes data as the next version of a frame, all of it at once.

        Data is anything that offers ``__arrow_c_stream__`` or ``__arrow_c_array__`` (tables, batches and readers of
        pyarrow, polars, duckdb, pandas 2.2 ...), a pandas frame, or an iterable of such, of which one at a time is in
        memory. ``progress`` is True for a bar of tqdm's, a bar, or a function of bytes done and bytes in all.
        """
        return self._put(name, data, progress, append=False)

    def append(self, name: str, data: Any, progress: Progress = None) -> Info:
        """Publishes the latest version's rows, which are not copied, and these behind them as the next version.

        The schemas must be the same, metadata included. A frame that does not exist yet begins with these rows.
        """
        return self._put(name, data, progress, append=True)

    def writer(self, name: str, schema: pa.Schema, append: bool = False) -> Writer:
        """Begins the next version of a frame, to be written batch by batch: see :class:`Writer`."""
        return Writer(self._native.writer(name, schema, append))

    def list(self, prefix: str = "") -> builtins.list[Info]:
        """The latest version of each frame whose name begins with prefix, by name."""
        return [info(found) for found in self._native.list(prefix).wait()]

    def stat(self, name: str) -> Info:
        """What is known of a version, without mapping it."""
        return info(self._native.stat(name).wait())

    def drop(self, name: Optional[str] = None, *, prefix: Optional[str] = None) -> Dropped:
        """Removes a frame, or one version of it, from all look-ups; or all frames whose names begin with ``prefix``.

        Who has it mapped keeps it.
        """
        return Dropped._make(drop(self._native, name, prefix).wait())

    def retain(self, name: str, last: int) -> Dropped:
        """Keeps so many of a frame's latest versions from now on (0: all of them); older ones are removed."""
        return Dropped._make(self._native.retain(name, last).wait())

    def expire(self, prefix: str, older_than: Union[float, datetime.timedelta], latest: bool = False) -> Dropped:
        """Removes versions that are older than so many seconds, of all frames whose names begin with prefix.

        The latest version of each frame stays, unless ``latest`` is set.
        """
        return Dropped._make(self._native.expire(prefix, seconds(older_than), latest).wait())

    def grow(self, bytes: Optional[int] = None) -> int:
        """Has the agent add a pool file of so many bytes, or as large a one as there is room for; its bytes."""
        return int(self._native.grow(bytes).wait())

    def verify(self, name: str) -> Verified:
        """Has the agent compare a version with the checksums of its commit; :class:`Corrupt` says what differs."""
        return Verified._make(self._native.verify(name).wait())

    def leases(self) -> builtins.list[Lease]:
        """Who maps what, oldest first."""
        return [Lease._make(lease) for lease in self._native.leases().wait()]

    def usage(self) -> Usage:
        """What holds the region's space."""
        return Usage._make(self._native.usage().wait())

    def health(self) -> Health:
        """Whether the agent serves, and which one it is."""
        return Health._make(self._native.health().wait())

    def close(self) -> None:
        """Ends the use of this client. Frames got from it stay mapped."""
        self._native.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put(self, name: str, data: Any, progress: Progress, append: bool) -> Info:
        source = _sources.arrow(data)
        quiet = progress is None or progress is False
        if source is not None and quiet:
            return info(self._native.put(name, source, append, _sources.total(source) is not None).wait())
        schema, batches = _sources.batches(data) if source is None else _sources.pieces(source)
        if quiet:
            return self._write(name, schema, batches, append)
        with shown(progress, name, None if source is None else _sources.total(source)) as tell:
            return self._write(name, schema, _told(batches, tell), append)

    def _write(self, name: str, schema: pa.Schema, batches: Iterable[Any], append: bool) -> Info:
        writer = self.writer(name, schema, append)
        with writer:
            for batch in batches:
                writer.write(batch)
            return writer.finish()


def connect(address: Optional[str] = None) -> Client:
    """Connects to an agent: the path of its unix socket, or ``http://HOST:PORT`` or ``https://HOST:PORT`` to stream.

    Without an address: ``$FARROW_ADDRESS``, else the agent of this user, else that of this host.

    A token is taken from ``$FARROW_TOKEN`` or the file ``$FARROW_TOKEN_FILE``. Over TLS ``$FARROW_TLS_CA`` is the file
    with the agent's CA; ``$FARROW_TLS_CERT`` and ``$FARROW_TLS_KEY`` are this client's certificate.
    """
    return Client(address)


def drop(client: _farrow.Client, name: Optional[str], prefix: Optional[str]) -> _farrow.Call:
    """The one of the two that is asked for."""
    if (name is None) == (prefix is None):
        raise TypeError("drop takes either a name or a prefix: drop('sales/orders'), drop(prefix='sales/')")
    return client.drop(name) if name is not None else client.drop_prefix(prefix or "")


def list_of(names: Sequence[str]) -> builtins.list[str]:
    """Names, and not the letters of one."""
    if isinstance(names, str):
        raise TypeError(f"snapshot takes a list of names: snapshot([{names!r}])")
    return [*names]


def seconds(age: Union[float, datetime.timedelta]) -> float:
    """An age in seconds."""
    return age.total_seconds() if isinstance(age, datetime.timedelta) else age


def _events(watch: _farrow.Watch) -> Iterator[Event]:
    while True:
        yield event(watch.next().wait())


def _told(batches: Iterable[Any], tell: Any) -> Iterator[Any]:
    """The batches; each is told when the next one is asked for, and so is written."""
    for batch in batches:
        yield batch
        tell(_sources.total(batch) or 0)
