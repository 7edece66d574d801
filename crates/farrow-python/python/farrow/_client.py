"""The client in Python's shapes, over the native module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

import pyarrow as pa

from farrow import _farrow

if TYPE_CHECKING:
    import polars


class Info(NamedTuple):
    """A version of a frame. Of an Arrow file that another program put into famfs (`foreign`) a listing has no rows.

    Of a put, `why` says why the rows were streamed to the agent and not written in place, if they were.
    """

    name: str
    version: int
    rows: Optional[int]
    bytes: int
    foreign: bool
    why: Optional[str] = None


class Dropped(NamedTuple):
    """What dropping did; held bytes are free once nobody maps them."""

    versions: int
    bytes_freed: int
    bytes_held: int


class Event(NamedTuple):
    """What happened to a frame that is watched.

    ``kind`` is ``committed`` (name, version and info are the latest version's), ``dropped`` (the latest version of name is
    gone; version is the latest now, None if there is none), or ``drops-missed`` (frames may have been dropped without
    being told, because the watcher was slow or the agent was restarted).
    """

    kind: str
    name: Optional[str]
    version: Optional[int]
    info: Optional[Info]


class Lease(NamedTuple):
    """A process that maps a version."""

    pid: int
    name: str
    version: int
    bytes: int
    age_seconds: float


class Usage(NamedTuple):
    """What holds the region's space, in bytes; frames and versions are counts."""

    pool_bytes: int
    used: int
    held: int
    reserved: int
    free: int
    largest_free: int
    frames: int
    versions: int


class Frame:
    """One version of a frame: mapped out of the shared memory, or streamed where that is not possible.

    Arrays made from a frame keep its memory mapped and its lease alive, also after the frame itself is gone.
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
        """Bytes of the stored Arrow file."""
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
        return self._native.mapping

    @property
    def mappings(self) -> list[tuple[int, int]]:
        """Address and bytes of each mapped segment."""
        return self._native.mappings

    def batch(self, index: int) -> pa.RecordBatch:
        """One record batch, decoded now and without copying."""
        return self._native.batch(index)

    def to_arrow(self) -> pa.Table:
        """A table over the same memory."""
        return self._native.reader().read_all()

    def to_polars(self) -> polars.DataFrame:
        """A polars frame; polars takes the memory as it is for the types that it stores as Arrow does."""
        import polars

        return polars.DataFrame(self)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The Arrow C stream interface: what lets any Arrow library take the batches as they are."""
        return self._native.reader().__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return self._native.num_rows

    def __repr__(self) -> str:
        return repr(self._native)


class Client:
    """A connection to an agent; also a context manager. Frames outlive it."""

    __slots__ = ("_native",)

    def __init__(self, address: Optional[str] = None) -> None:
        self._native = _farrow.Client(address)

    def get(self, name: str, wait: Optional[float] = None) -> Frame:
        """The latest version of a frame, or one version of it by ``name@version``.

        With ``wait``, as soon as it is there, if that is within so many seconds; else :class:`NotFound` is raised.
        """
        return Frame(self._native.get(name) if wait is None else self._native.wait_for(name, wait))

    def watch(self, prefix: str = "") -> Iterator[Event]:
        """What is committed and dropped from now on, of the frames whose names begin with prefix.

        The iterator has no end; it waits for what happens next, and Ctrl-C interrupts it. It goes on where it was when
        the agent is restarted.

        >>> for event in client.watch("sales/"):
        ...     print(event.kind, event.name, event.version)
        """
        # Begun here and not at the first event: nothing that happens from now on is missed.
        return _events(self._native.watch(prefix))

    def put(self, name: str, data: Any) -> Info:
        """Publishes data as the next version of a frame, all of it at once.

        Data is anything that offers ``__arrow_c_stream__`` or ``__arrow_c_array__`` (tables, batches and readers of
        pyarrow, polars, duckdb, pandas 2.2 ...), a pandas frame, or an iterable of pyarrow record batches.
        """
        info, why = self._native.put(name, _stream(data))
        return Info(*info, why)

    def append(self, name: str, data: Any) -> Info:
        """Publishes the latest version's rows, which are not copied, and these behind them as the next version.

        The schemas must be the same, metadata included. A frame that does not exist yet begins with these rows.
        """
        info, why = self._native.put(name, _stream(data), append=True)
        return Info(*info, why)

    def list(self, prefix: str = "") -> "list[Info]":
        """The latest version of each frame whose name begins with prefix, by name."""
        return [Info(*info) for info in self._native.list(prefix)]

    def stat(self, name: str) -> Info:
        """What is known of a version, without mapping it."""
        return Info(*self._native.stat(name))

    def drop(self, name: str) -> Dropped:
        """Removes a frame, or one version of it, from all look-ups. Who has it mapped keeps it."""
        return Dropped(*self._native.drop(name))

    def leases(self) -> "list[Lease]":
        """Who maps what, oldest first."""
        return [Lease(*lease) for lease in self._native.leases()]

    def usage(self) -> Usage:
        """What holds the region's space."""
        return Usage(*self._native.usage())

    def close(self) -> None:
        """Ends the use of this client. Frames got from it stay mapped."""
        self._native.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(address: Optional[str] = None) -> Client:
    """Connects to an agent: the path of its unix socket, or ``http://HOST:PORT`` or ``https://HOST:PORT`` to stream.

    Without an address: ``$FARROW_ADDRESS``, else the agent of this user, else that of this host.

    A token is taken from ``$FARROW_TOKEN`` or the file ``$FARROW_TOKEN_FILE``. Over TLS ``$FARROW_TLS_CA`` is the file
    with the agent's CA; ``$FARROW_TLS_CERT`` and ``$FARROW_TLS_KEY`` are this client's certificate.
    """
    return Client(address)


def _events(watch: _farrow.Watch) -> Iterator[Event]:
    while True:
        kind, name, version, info = watch.next()
        yield Event(kind, name, version, None if info is None else Info(*info))


def _stream(data: Any) -> Any:
    """Data as something that offers the Arrow C interface."""
    if hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
        return data
    if type(data).__module__.partition(".")[0] == "pandas":
        return pa.Table.from_pandas(data)
    if not isinstance(data, Iterable):
        raise _farrow.InvalidData(
            f"put takes what offers __arrow_c_stream__ or __arrow_c_array__, or an iterable of "
            f"pyarrow.RecordBatch; found {type(data).__name__}"
        )
    batches = list(data)
    if not batches or not all(isinstance(batch, pa.RecordBatch) for batch in batches):
        found = ", ".join(sorted({type(batch).__name__ for batch in batches})) or "nothing"
        raise _farrow.InvalidData(f"put takes an iterable of at least one pyarrow.RecordBatch; it held {found}")
    return pa.RecordBatchReader.from_batches(batches[0].schema, batches)
