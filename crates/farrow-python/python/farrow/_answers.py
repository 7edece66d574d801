"""What the agent answers, as named tuples."""

from __future__ import annotations

import datetime
from typing import Any, NamedTuple, Optional


class Info(NamedTuple):
    """A version of a frame. Of an Arrow file that another program put into famfs (`foreign`) a listing has no rows."""

    name: str
    """The frame's name, without version."""
    version: int
    """From 1."""
    rows: Optional[int]
    """None if the agent has not looked."""
    bytes: int
    """Of its Arrow files."""
    foreign: bool
    """Whether it is an Arrow file that another program put into famfs."""
    why: Optional[str]
    """Of a put: why the rows were streamed to the agent and not written in place, if they were."""
    segments: int
    """One or more for each put or append that it consists of."""
    committed_at: Optional[datetime.datetime]
    """By the agent's clock, in UTC; None for a foreign file."""
    validation: str
    """How far the agent has checked it: ``none``, ``structure`` or ``values``."""
    retention: int
    """How many of its latest versions the frame keeps; 0: all."""


class Dropped(NamedTuple):
    """What dropping did; held bytes are free once nobody maps them."""

    versions: int
    bytes_freed: int
    bytes_held: int
    frames: int
    """Frames that have no version left."""


class Event(NamedTuple):
    """What happened to a frame that is watched.

    ``kind`` is ``committed`` (name, version and info are the latest version's), ``dropped`` (the latest version of name
    is gone; version is the latest now, None if there is none), or ``drops-missed`` (frames may have been dropped without
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
    uid: int
    lease: int
    """Its number."""


class Usage(NamedTuple):
    """What holds the region's space, in bytes where nothing else is said."""

    pool_bytes: int
    used: int
    """By live versions."""
    held: int
    """By dropped versions that somebody still maps."""
    reserved: int
    """By writers."""
    free: int
    largest_free: int
    """The longest free extent."""
    frames: int
    """A count, as are the next two."""
    versions: int
    leases: int
    catalog_bytes: int
    """Room in one half of the catalog."""
    catalog_committed: int
    """Of which is taken."""
    log_entries: int
    """Entries in the famfs log (a count)."""
    log_capacity: int
    """Entries that it can hold (a count)."""


class Health(NamedTuple):
    """An agent."""

    serving: bool
    """Whether it answers requests for frames."""
    why: Optional[str]
    """If not, what stands in the way."""
    version: str
    """Its release."""
    region: str
    """The UUID of its region."""
    uptime_seconds: float


class Verified(NamedTuple):
    """A version whose batches were found as they were committed."""

    name: str
    version: int
    bytes: int
    batches: int
    without_checksums: int
    """Segments that were committed without checksums, of which only the metadata could be compared."""


class Written(NamedTuple):
    """What a writer was given so far."""

    rows: int
    bytes: int


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def info(found: "tuple[Any, ...]") -> Info:
    """Of the native module's tuple, which has the commit's time in microseconds, 0 for none."""
    made = Info._make(found)
    micros = found[7]
    return made._replace(committed_at=_EPOCH + datetime.timedelta(microseconds=micros) if micros else None)


def event(found: "tuple[Any, ...]") -> Event:
    """Of the native module's tuple, with an info in it."""
    kind, name, version, of = found
    return Event(kind, name, version, None if of is None else info(of))
