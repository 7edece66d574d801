"""The client for programs that use asyncio: the same calls, awaited.

>>> import farrow.aio
>>> async with farrow.aio.connect() as client:          # or: client = await farrow.aio.connect()
...     frame = await client.get("sales/orders", wait=60)
...     async for event in client.watch("sales/"):
...         print(event.kind, event.name, event.version)

A call that is cancelled is given up: nothing is published, and no event is lost.
"""

from __future__ import annotations

import asyncio
import builtins
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Generator, Sequence
from typing import Any, NoReturn, Optional

import pyarrow as pa

from farrow import _arguments, _client, _farrow, _references, _sources
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
    Written,
    event,
    info,
    retention,
    version,
)
from farrow._arguments import Address, Age, Rows
from farrow._errors import Error, NotFound
from farrow._frame import Frame
from farrow._options import Options, options
from farrow._writer import ended, shown_writer

__all__ = ["Client", "Watch", "Writer", "connect"]


class Client:
    """A connection to an agent; also an async context manager. Its calls are those of :class:`farrow.Client`, awaited."""

    __slots__ = ("_native",)

    def __init__(self, native: _farrow.Client) -> None:
        self._native = native

    async def get(
        self,
        name: str,
        wait: Optional[Age] = None,
        columns: Optional[Sequence[str]] = None,
        rows: Optional[Rows] = None,
    ) -> Frame:
        """As :meth:`farrow.Client.get`."""
        columns, rows = _arguments.columns(columns), _arguments.rows(rows)
        native = await _done(_client.getting(self._native, name, wait, columns, rows))
        return Frame(native, self._native, columns, rows)

    async def stream(
        self,
        name: str,
        columns: Optional[Sequence[str]] = None,
        rows: Optional[Rows] = None,
    ) -> AsyncIterator[pa.RecordBatch]:
        """As :meth:`farrow.Client.stream`: to iterate over, ``async for batch in client.stream(name)``."""
        reader = await _done(_client.streaming(self._native, name, columns, rows))
        while (batch := await asyncio.to_thread(next, reader, None)) is not None:
            yield batch

    async def snapshot(self, names: Sequence[str]) -> builtins.list[Frame]:
        """As :meth:`farrow.Client.snapshot`."""
        natives = await _done(self._native.snapshot(_arguments.names("snapshot", names)))
        return [Frame(native, self._native) for native in natives]

    def watch(self, prefix: str = "") -> Watch:
        """As :meth:`farrow.Client.watch`: to iterate over, ``async for event in client.watch(prefix)``.

        It begins with the iteration; to begin before that, await it: ``events = await client.watch()``.
        """
        return Watch(self._native, _arguments.text("prefix", prefix))

    async def put(
        self,
        name: str,
        data: Any,
        by_name: bool = False,
        *,
        keep: Optional[int] = None,
        if_version: Optional[int] = None,
    ) -> Info:
        """As :meth:`farrow.Client.put`, without ``progress``; data may also be an async iterable."""
        name = _arguments.name("put", name, data)
        return await self._put(name, data, options(False, by_name, keep, if_version))

    async def append(
        self,
        name: str,
        data: Any,
        by_name: bool = False,
        *,
        keep: Optional[int] = None,
        if_version: Optional[int] = None,
    ) -> Info:
        """As :meth:`farrow.Client.append`, of data that :meth:`put` takes."""
        name = _arguments.name("append", name, data)
        return await self._put(name, data, options(True, by_name, keep, if_version))

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
        """As :meth:`farrow.Client.writer`; nothing is awaited before the first batch."""
        name = _arguments.name("writer", name, schema)
        return self._writer(name, _arguments.schema(schema), options(append, by_name, keep, if_version))

    async def list(self, prefix: str = "") -> builtins.list[Info]:
        """As :meth:`farrow.Client.list`."""
        return [info(found) for found in await _done(self._native.list(_arguments.text("prefix", prefix)))]

    async def exists(self, name: str) -> bool:
        """As :meth:`farrow.Client.exists`."""
        try:
            await self.stat(name)
        except NotFound:
            return False
        return True

    async def stat(self, name: str) -> Info:
        """As :meth:`farrow.Client.stat`."""
        return info(await _done(self._native.stat(_arguments.name("stat", name))))

    async def versions(self, name: str) -> builtins.list[VersionInfo]:
        """As :meth:`farrow.Client.versions`."""
        name = _arguments.name("versions", name)
        return [version(found) for found in await _done(self._native.versions(name))]

    async def drop(self, name: Optional[str] = None, *, prefix: Optional[str] = None) -> Dropped:
        """As :meth:`farrow.Client.drop`."""
        return Dropped._make(await _done(_client.dropping(self._native, name, prefix)))

    async def retain(
        self,
        name: Optional[str] = None,
        last: int = 0,
        *,
        prefix: Optional[str] = None,
        max_age: Optional[Age] = None,
    ) -> Dropped:
        """As :meth:`farrow.Client.retain`."""
        return Dropped._make(await _done(_client.retaining(self._native, name, prefix, last, max_age)))

    async def unset_retention(self, name: Optional[str] = None, *, prefix: Optional[str] = None) -> Dropped:
        """As :meth:`farrow.Client.unset_retention`."""
        return Dropped._make(await _done(_client.retaining(self._native, name, prefix, None, None)))

    async def retentions(self, prefix: str = "") -> builtins.list[Retention]:
        """As :meth:`farrow.Client.retentions`."""
        return [retention(found) for found in await _done(self._native.retentions(_arguments.text("prefix", prefix)))]

    async def expire(self, prefix: str = "", older_than: Optional[Age] = None, latest: bool = False) -> Dropped:
        """As :meth:`farrow.Client.expire`."""
        return Dropped._make(await _done(_client.expiring(self._native, prefix, older_than, latest)))

    async def grow(self, bytes: Optional[int] = None) -> int:
        """As :meth:`farrow.Client.grow`."""
        return int(await _done(self._native.grow(None if bytes is None else _arguments.count("bytes", bytes))))

    async def verify(self, name: str) -> Verified:
        """As :meth:`farrow.Client.verify`."""
        return Verified._make(await _done(self._native.verify(_arguments.name("verify", name))))

    async def leases(self) -> builtins.list[Lease]:
        """As :meth:`farrow.Client.leases`."""
        return [Lease._make(lease) for lease in await _done(self._native.leases())]

    async def usage(self) -> Usage:
        """As :meth:`farrow.Client.usage`."""
        return Usage._make(await _done(self._native.usage()))

    async def health(self) -> Health:
        """As :meth:`farrow.Client.health`."""
        return Health._make(await _done(self._native.health()))

    def close(self) -> None:
        """As :meth:`farrow.Client.close`."""
        self._native.close()

    def __repr__(self) -> str:
        return _client.shown_client(self._native)

    def __reduce__(self) -> NoReturn:
        raise _references.refuse("a farrow.aio.Client")

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def _writer(self, name: str, schema: pa.Schema, how: Options) -> Writer:
        with _sources.explained(schema):
            return Writer(self._native.writer(name, schema, how), name, how.by_name)

    async def _put(self, name: str, data: Any, how: Options) -> Info:
        # To convert data may take long: a lazy frame is collected.
        rows = _sources.ready(data, how.by_name) or await asyncio.to_thread(_sources.converted, data)
        if rows is not None and how.by_name and rows.once:
            async with self._writer(name, rows.arrow.schema, how) as writer:
                await writer._write_rows(rows)
                return await writer.finish()
        if rows is not None:
            with _sources.explained(rows.arrow.schema):
                call = self._native.put(name, rows.arrow, how, rows.whole, rows.once)
            return info(await _done(call))
        if isinstance(data, AsyncIterable):
            elements = data.__aiter__()
            try:
                first = _sources.element(await elements.__anext__(), how.by_name)
            except StopAsyncIteration:
                raise _sources.empty(data) from None
            async with self._writer(name, first.arrow.schema, how) as writer:
                await writer._write_rows(first)
                async for batch in elements:
                    await writer._write_rows(_sources.element(batch, how.by_name))
                return await writer.finish()
        schema, batches = _sources.batches(data, how.by_name)
        async with self._writer(name, schema, how) as writer:
            for batch in batches:
                await writer._write_rows(batch)
            return await writer.finish()


class Writer:
    """As :class:`farrow.Writer`, awaited; an async context manager."""

    __slots__ = ("_by_name", "_info", "_name", "_native", "_written")

    def __init__(self, native: _farrow.Writer, name: str, by_name: bool = False) -> None:
        self._native = native
        self._name = name
        self._by_name = by_name
        self._written = Written(0, 0)
        self._info: Optional[Info] = None

    async def write(self, data: Any) -> None:
        """As :meth:`farrow.Writer.write`."""
        rows = _sources.rows(data, self._by_name)
        try:
            await self._write_rows(rows)
        except Error as error:
            await self.abort()
            ended(error)
            raise

    async def _write_rows(self, rows: _sources.Source) -> None:
        """Writes rows that are converted already."""
        if self._by_name and rows.once:
            parts = _sources.pieces(rows)
            while (part := await asyncio.to_thread(next, parts, None)) is not None:
                _sources.uncut(part.arrow.schema)
                self._written = Written._make(await _done(self._native.write(part.arrow, part.once)))
        else:
            _sources.uncut(rows.arrow.schema)
            self._written = Written._make(await _done(self._native.write(rows.arrow, rows.once)))

    @property
    def written(self) -> Written:
        """As :attr:`farrow.Writer.written`."""
        return self._written

    @property
    def info(self) -> Optional[Info]:
        """As :attr:`farrow.Writer.info`."""
        return self._info

    async def finish(self) -> Info:
        """As :meth:`farrow.Writer.finish`."""
        self._info = info(await _done(self._native.finish()))
        return self._info

    async def abort(self) -> None:
        """As :meth:`farrow.Writer.abort`."""
        await _done(self._native.abort())

    def __repr__(self) -> str:
        return shown_writer("farrow.aio.Writer", self._name, self._written, self._info)

    def __reduce__(self) -> NoReturn:
        raise _references.refuse("a farrow.aio.Writer")

    async def __aenter__(self) -> Writer:
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            await self.abort()
        elif self._info is None:
            await self.finish()


class Watch(AsyncIterator[Event]):
    """Frames that are watched."""

    __slots__ = ("_client", "_native", "_prefix")

    def __init__(self, client: _farrow.Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._native: Optional[_farrow.Watch] = None

    def __await__(self) -> Generator[Any, None, Watch]:
        yield from self._begin().__await__()
        return self

    async def __anext__(self) -> Event:
        native = self._native or await self._begin()
        return event(await _done(native.next()))

    async def _begin(self) -> _farrow.Watch:
        if self._native is None:
            self._native = await _done(self._client.watch(self._prefix))
        return self._native


class Connecting(Coroutine[Any, Any, Client]):
    """A client that is being connected: awaited, or the manager of ``async with farrow.aio.connect() as client``."""

    __slots__ = ("_client", "_work")

    def __init__(self, address: Optional[Address]) -> None:
        self._work = _connected(address)
        self._client: Optional[Client] = None

    def __await__(self) -> Generator[Any, None, Client]:
        return self._work.__await__()

    async def __aenter__(self) -> Client:
        self._client = await self._work
        return self._client

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()

    def send(self, value: Any) -> Any:
        """As that of any coroutine, as are the next two."""
        return self._work.send(value)

    def throw(self, *raised: Any) -> Any:
        """Has it raise an exception, where it waits."""
        return self._work.throw(*raised)

    def close(self) -> None:
        """Gives it up."""
        self._work.close()


def connect(address: Optional[Address] = None) -> Connecting:
    """Connects to an agent: see :func:`farrow.connect`. To be awaited, or for ``async with``.

    >>> async with farrow.aio.connect() as client:
    ...     frame = await client.get("sales/orders")
    """
    return Connecting(address)


async def _connected(address: Optional[Address]) -> Client:
    return Client(await _done(_client.connecting(address)))


async def _done(call: _farrow.Call) -> Any:
    """Begins a call, and awaits what comes of it."""
    loop = asyncio.get_running_loop()
    calls = _calls.get(loop)
    if calls is None:
        calls = _calls[loop] = _Calls(loop)
    return await calls.done(call, loop.create_future())


class _Calls:
    """The calls that an event loop waits for. Its own thread, and no other, is told what comes of them."""

    __slots__ = ("_completions", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._completions = _farrow.Completions()
        self._waiting: dict[int, "asyncio.Future[Any]"] = {}
        loop.add_reader(self._completions.fileno(), self._settle)

    async def done(self, call: _farrow.Call, future: "asyncio.Future[Any]") -> Any:
        number = self._completions.start(call)
        self._waiting[number] = future
        try:
            return await future
        finally:
            del self._waiting[number]
            # Does nothing to what is done.
            call.cancel()

    def _settle(self) -> None:
        for number, value, error in self._completions.take():
            future = self._waiting.get(number)
            if future is None or future.done():
                # Given up: the value goes, and gives back what it holds.
                continue
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)


_calls: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Calls]" = weakref.WeakKeyDictionary()
