"""The client: each call waits for its answer."""

from __future__ import annotations

import builtins
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Callable, Optional

import pyarrow as pa

from farrow import _arguments, _farrow, _references, _sources
from farrow._answers import (
    Dropped,
    Event,
    Health,
    Info,
    Lease,
    Retention,
    Usage,
    Verified,
    VersionInfo,
    event,
    info,
    retention,
    version,
)
from farrow._arguments import Address, Age, Rows
from farrow._errors import InvalidArgument, InvalidType, NotFound
from farrow._frame import Frame
from farrow._options import Options, options
from farrow._progress import Progress, shown
from farrow._writer import Writer


class Client:
    """A connection to an agent; also a context manager. Frames outlive it. Threads may share it.

    It is pickled as its address: tokens and certificates are those of the process that unpickles it.
    """

    __slots__ = ("_native",)

    def __init__(self, address: Optional[Address] = None) -> None:
        self._native: _farrow.Client = connecting(address).wait()

    def get(
        self,
        name: str,
        wait: Optional[Age] = None,
        columns: Optional[Sequence[str]] = None,
        rows: Optional[Rows] = None,
    ) -> Frame:
        """The latest version of a frame, or one version of it by ``name@version``.

        With ``wait``, as soon as it is there, if that is within so many seconds, or a ``datetime.timedelta``; else
        :class:`NotFound` is raised. With ``math.inf`` it waits for ever. With ``columns``, only these, in this order (none
        at all: rows without columns); another name raises :class:`NoColumn`. With ``rows``, only those from the first,
        counted from 0, to the one before the second, None being the end: ``(0, 100)``, ``slice(0, 100)`` or
        ``range(0, 100)``; rows that there are not are left out. Where the frame has to be streamed, nothing else is sent.

        >>> client.get("sales/orders", columns=["id", "amount"], rows=(0, 100))
        """
        columns, rows = _arguments.columns(columns), _arguments.rows(rows)
        native = getting(self._native, name, wait, columns, rows).wait()
        return Frame(native, self._native, columns, rows)

    def stream(
        self,
        name: str,
        columns: Optional[Sequence[str]] = None,
        rows: Optional[Rows] = None,
    ) -> pa.RecordBatchReader:
        """The batches of a frame, one after another and none of them kept.

        They are mapped where that is possible, as :meth:`get` maps them. A frame that has to be streamed need not fit
        into memory. ``columns`` and ``rows`` are those of :meth:`get`.
        """
        reader: pa.RecordBatchReader = streaming(self._native, name, columns, rows).wait()
        return reader

    def snapshot(self, names: Sequence[str]) -> builtins.list[Frame]:
        """Several frames, each by its name or ``name@version``, as of one moment.

        Nothing was committed or dropped between any two of them.
        """
        return [Frame(native, self._native) for native in self._native.snapshot(_arguments.names("snapshot", names)).wait()]

    def watch(self, prefix: str = "") -> Iterator[Event]:
        """Tells of commits and drops from now on, of the frames of a prefix (see ``list``).

        The iterator has no end; it waits for what happens next, and Ctrl-C interrupts it. It goes on where it was when
        the agent is restarted.

        >>> for event in client.watch("sales/"):
        ...     print(event.kind, event.name, event.version)
        """
        # Begun here and not at the first event: nothing that happens from now on is missed.
        return _events(self._native.watch(_arguments.text("prefix", prefix)).wait())

    def put(
        self,
        name: str,
        data: Any,
        progress: Progress = None,
        by_name: bool = False,
        *,
        keep: Optional[int] = None,
        if_version: Optional[int] = None,
    ) -> Info:
        """Publishes data as the next version of a frame, all of it at once.

        Data is a table, batch, reader, dataset, scanner or open file of pyarrow, a frame of Polars (a lazy one is
        collected) or pandas, a relation or result of DuckDB, a frame of farrow's, anything else that offers
        ``__arrow_c_stream__`` or ``__arrow_c_array__``, a structured array of NumPy, a dict of columns, a list of dicts
        (a row each), or an iterable of such (``pandas.read_csv(chunksize=...)``), of which one at a time is in memory.
        Anything else raises :class:`InvalidData`, which says what to put instead; so does a reader that has been read.
        ``progress`` is True for a bar of tqdm's, a bar, or a function of bytes done and bytes in all.

        The elements of an iterable have the columns of the first one: names, types and order. With ``by_name``, columns
        are matched by name, in any order, and cast where nothing is lost, as :meth:`append` does it.

        With ``keep``, the frame keeps so many of its latest versions from this one on (0: all), as by :meth:`retain`
        and in the same moment. With ``if_version``, nothing is published unless the latest version has that number, or,
        with 0, there is no frame of the name: else :class:`VersionConflict` is raised. Of several programs that put onto
        the same version, one succeeds.

        >>> frame = client.get("sales/orders")
        >>> client.put("sales/orders", corrected(frame), if_version=frame.version)
        """
        return self._put(_arguments.name("put", name, data), data, progress, options(False, by_name, keep, if_version))

    def append(
        self,
        name: str,
        data: Any,
        progress: Progress = None,
        by_name: bool = False,
        *,
        keep: Optional[int] = None,
        if_version: Optional[int] = None,
    ) -> Info:
        """Publishes the latest version's rows, which are not copied, and these behind them as the next version.

        The schemas must be the same, metadata included, but for metadata that describe the rows, as those of pandas and of
        GeoParquet do: the frame keeps what is true of all, and ``to_pandas`` numbers the rows of all from 0. A frame that
        does not exist yet begins with these rows.

        With ``by_name``, columns are matched by name, in any order, and cast to those of the frame where nothing is lost:
        strings and bytes of any kind, fewer bits or digits, coarser times, dictionaries and their values, columns of nulls
        alone, columns without nulls. The frame's metadata hold. Anything else raises :class:`InvalidData`, which says which
        column. It takes the right to read the frame. All other arguments are those of :meth:`put`.

        >>> client.append("sales/orders", polars_frame, by_name=True)
        """
        return self._put(_arguments.name("append", name, data), data, progress, options(True, by_name, keep, if_version))

    def writer(
        self,
        name: str,
        schema: pa.Schema,
        append: bool = False,
        by_name: bool = False,
        *,
        keep: Optional[int] = None,
        if_version: Optional[int] = None,
    ) -> Writer:
        """Begins the next version of a frame, to be written batch by batch: see :class:`Writer`.

        It is that of :meth:`put` or, with ``append``, of :meth:`append`, with their arguments. ``by_name`` matches columns
        with those of the schema, or of the frame that is appended to. For the schema, a table or anything else with one
        as ``.schema`` will do.
        """
        name = _arguments.name("writer", name, schema)
        return self._writer(name, _arguments.schema(schema), options(append, by_name, keep, if_version))

    def list(self, prefix: str = "") -> builtins.list[Info]:
        """The latest version of each frame of a prefix, by name.

        Prefixes are of whole components: ``sales`` is the frame of that name and all frames below it, ``sales/`` all below
        it, and the empty one every frame. ``sales/2024*`` is all frames whose names begin with that text. A ``*`` elsewhere
        and a ``?`` are refused (:class:`InvalidName`), here and in all other calls that take a prefix.
        """
        return [info(found) for found in self._native.list(_arguments.text("prefix", prefix)).wait()]

    def exists(self, name: str) -> bool:
        """True if a frame, or one version of it by ``name@version``, can be got now."""
        try:
            self.stat(name)
        except NotFound:
            return False
        return True

    def stat(self, name: str) -> Info:
        """The facts about a version, without mapping it."""
        return info(self._native.stat(_arguments.name("stat", name)).wait())

    def versions(self, name: str) -> builtins.list[VersionInfo]:
        """The versions that a frame has, oldest first."""
        return [version(found) for found in self._native.versions(_arguments.name("versions", name)).wait()]

    def drop(self, name: Optional[str] = None, *, prefix: Optional[str] = None) -> Dropped:
        """Removes a frame, or one version of it, from all look-ups; or all frames of a prefix (see ``list``).

        The empty prefix is refused here, ``*`` is every frame. A process that maps a version keeps it.
        """
        return Dropped._make(dropping(self._native, name, prefix).wait())

    def retain(
        self,
        name: Optional[str] = None,
        last: int = 0,
        *,
        prefix: Optional[str] = None,
        max_age: Optional[Age] = None,
    ) -> Dropped:
        """Says what a frame, or all frames of a prefix (see ``list``), keep from now on, in place of what was said before.

        It is so many of its latest versions, 0 for all, and each version but the latest for so many seconds (rounded up to
        whole ones) or a timedelta since its commit, None for ever. Versions that are too many are removed at once, and
        later by each put; those that are too old within seconds.

        One retention holds for a frame, as a whole: its own, or else that of the longest prefix that has one. The prefix
        is of whole components, and the empty one is the region. A frame's own is forgotten when all of the frame is
        dropped; if there is no such frame yet, it waits for it. It takes the right to drop each frame that is meant.

        >>> client.retain("sales/orders", 3)
        >>> client.retain(prefix="sales/", last=10, max_age=datetime.timedelta(days=30))
        """
        return Dropped._make(retaining(self._native, name, prefix, last, max_age).wait())

    def unset_retention(self, name: Optional[str] = None, *, prefix: Optional[str] = None) -> Dropped:
        """Removes the rule of a frame or prefix (:meth:`retain`): that of a shorter prefix holds again."""
        return Dropped._make(retaining(self._native, name, prefix, None, None).wait())

    def retentions(self, prefix: str = "") -> builtins.list[Retention]:
        """Lists the rules of :meth:`retain` for frames of a prefix (see ``list``): those of prefixes, then of frames.

        Prefixes and frames below which the client may read nothing are left out.
        """
        return [retention(found) for found in self._native.retentions(_arguments.text("prefix", prefix)).wait()]

    def expire(self, prefix: str = "", older_than: Optional[Age] = None, latest: bool = False) -> Dropped:
        """Removes versions that are older than so many seconds, or a ``datetime.timedelta``.

        Those of all frames of a prefix (see ``list``), of every frame without one. ``older_than`` has to be given. The
        latest version of each frame stays, unless ``latest`` is set.

        >>> client.expire("sales/", older_than=datetime.timedelta(days=30))
        """
        return Dropped._make(expiring(self._native, prefix, older_than, latest).wait())

    def grow(self, bytes: Optional[int] = None) -> int:
        """Has the agent add a pool file of so many bytes, or as large a one as there is room for; its bytes."""
        return int(self._native.grow(None if bytes is None else _arguments.count("bytes", bytes)).wait())

    def verify(self, name: str) -> Verified:
        """Has the agent compare a version with the checksums of its commit; :class:`Corrupt` says what differs."""
        return Verified._make(self._native.verify(_arguments.name("verify", name)).wait())

    def leases(self) -> builtins.list[Lease]:
        """The processes that map versions, oldest first."""
        return [Lease._make(lease) for lease in self._native.leases().wait()]

    def usage(self) -> Usage:
        """The use of the region's space."""
        return Usage._make(self._native.usage().wait())

    def health(self) -> Health:
        """The agent, and whether it serves."""
        return Health._make(self._native.health().wait())

    def close(self) -> None:
        """Ends the use of this client. Frames got from it stay mapped."""
        self._native.close()

    def __repr__(self) -> str:
        return shown_client(self._native)

    def __reduce__(self) -> tuple[Any, ...]:
        return _references.client, (_references.portable(self._native.address),)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put(self, name: str, data: Any, progress: Progress, how: Options) -> Info:
        rows = _sources.source(data, how.by_name)
        quiet = progress is None or progress is False
        if rows is not None and quiet and not (how.by_name and rows.once):
            with _sources.explained(rows.arrow.schema):
                call = self._native.put(name, rows.arrow, how, rows.whole, rows.once)
            return info(call.wait())
        schema, batches = _sources.batches(data, how.by_name) if rows is None else (rows.arrow.schema, iter([rows]))
        writer = self._writer(name, schema, how)
        if quiet:
            return self._write(writer, batches)
        with shown(progress, name, None if rows is None else _sources.total(rows)) as tell:
            pieces = itertools.chain.from_iterable(map(_sources.pieces, batches))
            return self._write(writer, _told(pieces, tell))

    def _writer(self, name: str, schema: pa.Schema, how: Options) -> Writer:
        with _sources.explained(schema):
            return Writer(self._native.writer(name, schema, how), name, how.by_name)

    def _write(self, writer: Writer, batches: Iterable[_sources.Source]) -> Info:
        with writer:
            for batch in batches:
                writer._write_rows(batch)
            return writer.finish()


def getting(
    native: _farrow.Client,
    name: str,
    wait: Optional[Age],
    columns: Optional[builtins.list[str]],
    rows: Optional[tuple[int, Optional[int]]],
) -> _farrow.Call:
    """The call of ``get``, of columns and rows that are checked."""
    name = _arguments.name("get", name)
    wanted = columns, _arguments.bounds(rows)
    if wait is None:
        return native.get(name, *wanted)
    return native.wait_for(name, _arguments.seconds("wait", wait, endless=True), *wanted)


def streaming(
    native: _farrow.Client, name: str, columns: Optional[Sequence[str]], rows: Optional[Rows]
) -> _farrow.Call:
    """The call of ``stream``."""
    name = _arguments.name("stream", name)
    return native.stream(name, _arguments.columns(columns), _arguments.bounds(_arguments.rows(rows)))


def expiring(native: _farrow.Client, prefix: str, older_than: Optional[Age], latest: bool) -> _farrow.Call:
    """The call of ``expire``."""
    return native.expire(_arguments.text("prefix", prefix), _arguments.seconds("older_than", older_than), latest)


def connect(address: Optional[Address] = None) -> Client:
    """Connects to an agent: the path of its unix socket (a str or a ``pathlib.Path``), or ``http://HOST:PORT`` or ``https://HOST:PORT`` to stream.

    Without an address: ``$FARROW_ADDRESS``, else the agent of this user, else that of this host.

    A token is taken from ``$FARROW_TOKEN`` or the file ``$FARROW_TOKEN_FILE``. Over TLS ``$FARROW_TLS_CA`` is the file
    with the agent's CA; ``$FARROW_TLS_CERT`` and ``$FARROW_TLS_KEY`` are this client's certificate.
    """
    return Client(address)


def connecting(address: Optional[Address]) -> _farrow.Call:
    """The call of ``connect``."""
    return _farrow.Client.connect(None if address is None else _arguments.address(address))


def shown_client(native: _farrow.Client) -> str:
    """A client as it is printed."""
    return f"<farrow.Client: {native.address}{', closed' if native.closed else ''}>"


def dropping(client: _farrow.Client, name: Optional[str], prefix: Optional[str]) -> _farrow.Call:
    """The one of the two that is asked for."""
    if (name is None) == (prefix is None):
        raise InvalidType("drop takes either a name or a prefix: drop('sales/orders'), drop(prefix='sales/')")
    if name is not None:
        return client.drop(_arguments.name("drop", name))
    if prefix == "":
        raise InvalidArgument("drop: the prefix is empty, which would be every frame. For that: drop(prefix='*')")
    return client.drop_prefix(_arguments.text("prefix", prefix))


def retaining(
    client: _farrow.Client,
    name: Optional[str],
    prefix: Optional[str],
    last: Optional[int],
    max_age: Optional[Age],
) -> _farrow.Call:
    """Of the one of name and prefix that is given; ``last`` None takes back what was said."""
    if (name is None) == (prefix is None):
        raise InvalidType("it takes either a name or a prefix: retain('sales/orders', 3), retain(prefix='sales/', last=3)")
    of = _arguments.text("prefix", prefix) if name is None else _arguments.name("retain", name)
    number = None if last is None else _arguments.count("last", last)
    return client.retain(of, name is None, number, None if max_age is None else _arguments.seconds("max_age", max_age))


def _events(watch: _farrow.Watch) -> Iterator[Event]:
    while True:
        yield event(watch.next().wait())


def _told(batches: Iterable[_sources.Source], tell: Callable[[int], Any]) -> Iterator[_sources.Source]:
    """The batches; each is told when the next one is asked for, and so is written."""
    for batch in batches:
        yield batch
        tell(_sources.total(batch) or 0)
