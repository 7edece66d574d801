"""The client for programs that use asyncio: the same calls, awaited.

>>> import farrow.aio
>>> client = await farrow.aio.connect()
>>> frame = await client.get("sales/orders", wait=60)
>>> async for event in client.watch("sales/"):
...     print(event.kind, event.name, event.version)

A call that is cancelled is given up: nothing is published, and no event is lost.
"""

from __future__ import annotations

import asyncio
import builtins
import datetime
from collections.abc import AsyncIterable, AsyncIterator, Generator, Sequence
from typing import Any, Optional, Union

import pyarrow as pa

from farrow import _client, _farrow, _sources
from farrow._answers import Dropped, Event, Health, Info, Lease, Usage, Verified, Written, event, info
from farrow._frame import Frame

__all__ = ["Client", "Watch", "Writer", "connect"]


class Client:
    """A connection to an agent; also an async context manager. See :class:`farrow.Client` for what the calls do."""

    __slots__ = ("_native",)

    def __init__(self, native: _farrow.Client) -> None:
        self._native = native

    async def get(self, name: str, wait: Optional[float] = None, columns: Optional[Sequence[str]] = None) -> Frame:
        """The latest version of a frame, or ``name@version``; with ``wait``, within so many seconds."""
        frame = Frame(await _done(self._native.get(name) if wait is None else self._native.wait_for(name, wait)))
        return frame if columns is None else frame.select(columns)

    async def stream(self, name: str) -> AsyncIterator[pa.RecordBatch]:
        """The batches of a frame, one after another and none of them kept: to iterate over."""
        reader = await _done(self._native.stream(name))
        while (batch := await asyncio.to_thread(next, reader, None)) is not None:
            yield batch

    async def snapshot(self, names: Sequence[str]) -> builtins.list[Frame]:
        """Several frames, each by its name or ``name@version``, as of one moment."""
        return [Frame(native) for native in await _done(self._native.snapshot(_client.list_of(names)))]

    def watch(self, prefix: str = "") -> Watch:
        """What is committed and dropped, of the frames whose names begin with prefix: to iterate over.

        It begins with the iteration; to begin before that, await it: ``events = await client.watch()``.
        """
        return Watch(self._native, prefix)

    async def put(self, name: str, data: Any) -> Info:
        """Publishes data, also of an async iterable, as the next version of a frame."""
        return await self._put(name, data, append=False)

    async def append(self, name: str, data: Any) -> Info:
        """Publishes the latest version's rows and these behind them as the next version."""
        return await self._put(name, data, append=True)

    def writer(self, name: str, schema: pa.Schema, append: bool = False) -> Writer:
        """Begins the next version of a frame, to be written batch by batch."""
        return Writer(self._native.writer(name, schema, append))

    async def list(self, prefix: str = "") -> builtins.list[Info]:
        """The latest version of each frame whose name begins with prefix, by name."""
        return [info(found) for found in await _done(self._native.list(prefix))]

    async def stat(self, name: str) -> Info:
        """What is known of a version, without mapping it."""
        return info(await _done(self._native.stat(name)))

    async def drop(self, name: Optional[str] = None, *, prefix: Optional[str] = None) -> Dropped:
        """Removes a frame, or one version of it; or all frames whose names begin with ``prefix``."""
        return Dropped._make(await _done(_client.drop(self._native, name, prefix)))

    async def retain(self, name: str, last: int) -> Dropped:
        """Keeps so many of a frame's latest versions from now on (0: all of them)."""
        return Dropped._make(await _done(self._native.retain(name, last)))

    async def expire(
        self, prefix: str, older_than: Union[float, datetime.timedelta], latest: bool = False
    ) -> Dropped:
        """Removes versions that are older than so many seconds."""
        return Dropped._make(await _done(self._native.expire(prefix, _client.seconds(older_than), latest)))

    async def grow(self, bytes: Optional[int] = None) -> int:
        """Has the agent add a pool file; its bytes."""
        return int(await _done(self._native.grow(bytes)))

    async def verify(self, name: str) -> Verified:
        """Has the agent compare a version with the checksums of its commit."""
        return Verified._make(await _done(self._native.verify(name)))

    async def leases(self) -> builtins.list[Lease]:
        """Who maps what, oldest first."""
        return [Lease._make(lease) for lease in await _done(self._native.leases())]

    async def usage(self) -> Usage:
        """What holds the region's space."""
        return Usage._make(await _done(self._native.usage()))

    async def health(self) -> Health:
        """Whether the agent serves, and which one it is."""
        return Health._make(await _done(self._native.health()))

    def close(self) -> None:
        """Ends the use of this client. Frames got from it stay mapped."""
        self._native.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def _put(self, name: str, data: Any, append: bool) -> Info:
        source = _sources.arrow(data)
        if source is not None:
            return info(await _done(self._native.put(name, source, append, _sources.total(source) is not None)))
        if isinstance(data, AsyncIterable):
            elements = data.__aiter__()
            try:
                first = await elements.__anext__()
            except StopAsyncIteration:
                raise _sources.empty(data) from None
            async with self.writer(name, _sources.schema_of(first), append) as writer:
                await writer.write(first)
                async for batch in elements:
                    await writer.write(_sources.element(batch))
                return await writer.finish()
        schema, batches = _sources.batches(data)
        async with self.writer(name, schema, append) as writer:
            for batch in batches:
                await writer.write(batch)
            return await writer.finish()


class Writer:
    """A version that is being written; also an async context manager. See :class:`farrow.Writer`."""

    __slots__ = ("_info", "_native", "_written")

    def __init__(self, native: _farrow.Writer) -> None:
        self._native = native
        self._written = Written(0, 0)
        self._info: Optional[Info] = None

    async def write(self, data: Any) -> None:
        """Writes a batch, a table, or anything else that offers the Arrow C data interface."""
        self._written = Written._make(await _done(self._native.write(data)))

    @property
    def written(self) -> Written:
        """Rows and bytes that were given to it so far."""
        return self._written

    @property
    def info(self) -> Optional[Info]:
        """What was published; None before that."""
        return self._info

    async def finish(self) -> Info:
        """Publishes the version."""
        self._info = info(await _done(self._native.finish()))
        return self._info

    async def abort(self) -> None:
        """Forgets what was written, and gives its space back. Does nothing after the end."""
        await _done(self._native.abort())

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


async def connect(address: Optional[str] = None) -> Client:
    """Connects to an agent: see :func:`farrow.connect`."""
    return Client(await _done(_farrow.Client.connect(address)))


async def _done(call: _farrow.Call) -> Any:
    """Begins a call, and awaits what comes of it."""
    loop = asyncio.get_running_loop()
    future: "asyncio.Future[Any]" = loop.create_future()

    def settle(value: Any, error: Optional[BaseException]) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def done(value: Any, error: Optional[BaseException]) -> None:
        try:
            loop.call_soon_threadsafe(settle, value, error)
        except RuntimeError:
            # The loop was closed: nobody waits any more.
            pass

    call.start(done)
    try:
        return await future
    finally:
        # Does nothing to what is done.
        call.cancel()
