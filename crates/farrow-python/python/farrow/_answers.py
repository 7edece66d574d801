"""The agent's answers, as named tuples."""

from __future__ import annotations

import datetime
from typing import Any, NamedTuple, Optional, Union

from farrow._display import counted, size


class Info(NamedTuple):
    """A version of a frame. Of an Arrow file that another program put into famfs (`foreign`) a listing has no rows.

    A publisher that may not read the frame is told the name and number of its version alone: ``rows`` and
    ``committed_at`` are None then, and the numbers are 0: also ``segments``, of which a version has one at least.
    """

    name: str
    """The frame's name, without version."""
    version: int
    """From 1."""
    rows: Optional[int]
    """None if they are not told, or the agent has not looked."""
    bytes: int
    """Of its Arrow files."""
    foreign: bool
    """True if it is an Arrow file that another program put into famfs."""
    why: Optional[str]
    """Of a put: why the rows were streamed to the agent and not written in place, if they were."""
    segments: int
    """One or more for each put or append that it consists of."""
    committed_at: Optional[datetime.datetime]
    """By the agent's clock, in UTC; None for a foreign file, or if it is not told."""
    validation: str
    """The checks that the agent has made: ``none``, ``structure`` or ``values``."""
    retention: int
    """The number of latest versions that the frame keeps, by its own retention or that of a prefix; 0: all."""
    max_age: Optional[datetime.timedelta]
    """The time that it keeps each version but the latest, by the same retention; None: for ever."""

    def __repr__(self) -> str:
        return f"<farrow.Info {_facts(self)}>"


class VersionInfo(NamedTuple):
    """A version in the list of its frame's; what :class:`Info` has of it, and what it holds."""

    name: str
    """The frame's name, without version."""
    version: int
    """From 1."""
    rows: Optional[int]
    """None of a foreign file whose bytes are no Arrow file, or not yet."""
    bytes: int
    """Of its Arrow files."""
    own_bytes: int
    """Bytes of the region that no other version has: what dropping this one alone gives up."""
    segments: int
    """One or more for each put or append that it consists of."""
    committed_at: Optional[datetime.datetime]
    """By the agent's clock, in UTC; None for a foreign file."""
    validation: str
    """The checks that the agent has made: ``none``, ``structure`` or ``values``."""
    foreign: bool
    """True if it is an Arrow file that another program put into famfs."""
    retention: int
    """The number of latest versions that the frame keeps, by its own retention or that of a prefix; 0: all."""
    max_age: Optional[datetime.timedelta]
    """The time that it keeps each version but the latest, by the same retention; None: for ever."""
    uid: int
    """User of the process that committed it, on the agent's host; 65534 for one that came over TCP, and a foreign file."""
    leases: int
    """Leases on it, of those that ``client.leases()`` tells."""

    def __repr__(self) -> str:
        return f"<farrow.VersionInfo {_facts(self)}, {size(self.own_bytes)} its own, {counted(self.leases, 'lease')}>"


class Retention(NamedTuple):
    """The rule that was set for the versions of a frame, or of all frames of a prefix."""

    name: Optional[str]
    """Of one frame; None of a prefix."""
    prefix: Optional[str]
    """Of all frames of a prefix, the empty one for the region; None of one frame."""
    last: int
    """The number of latest versions that a frame keeps; 0: all."""
    max_age: Optional[datetime.timedelta]
    """The time that it keeps each version but the latest, since its commit; None: for ever."""
    uid: int
    """User who set it, on the agent's host; 65534 for one over TCP."""


class Dropped(NamedTuple):
    """The outcome of a drop; held bytes are free once nobody maps them."""

    versions: int
    bytes_freed: int
    bytes_held: int
    frames: int
    """Frames that have no version left."""


class Event(NamedTuple):
    """A change of a frame that is watched.

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
    inherited: bool
    """True if the process has released it, or has ended, and children that it forked may read on."""

    def __repr__(self) -> str:
        reader = f"{'children of ' if self.inherited else ''}process {self.pid} of user {self.uid}"
        version = f"{self.name}@{self.version}, {size(self.bytes)}"
        return f"<farrow.Lease {self.lease}: {version}, mapped by {reader} for {self.age_seconds:.1f} s>"


class Usage(NamedTuple):
    """The use of the region's space, in bytes where nothing else is said."""

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
    """Bytes written into the half in use. It is compacted when it is full."""
    log_entries: int
    """Entries in the famfs log (a count)."""
    log_capacity: int
    """Entries that it can hold (a count)."""
    growable: int
    """The most that :meth:`Client.grow` can add; 0 on a mounted famfs, whose own tools make files."""
    catalog_live: int
    """Bytes that compaction leaves of ``catalog_committed``: what versions, reservations and dropped names take. New
    versions are refused before they are seven eighths of ``catalog_bytes``."""

    def __repr__(self) -> str:
        space = ", ".join(f"{what} {size(getattr(self, what))}" for what in ("used", "held", "reserved", "free"))
        return (
            f"<farrow.Usage of {size(self.pool_bytes)}: {space} (largest extent {size(self.largest_free)}); "
            f"{counted(self.frames, 'frame')}, {counted(self.versions, 'version')}, {counted(self.leases, 'lease')}; catalog "
            f"{size(self.catalog_live)} of {size(self.catalog_bytes)}, log {self.log_entries} of "
            f"{self.log_capacity} entries>"
        )


class Health(NamedTuple):
    """An agent."""

    serving: bool
    """True if it answers requests for frames."""
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
    """The rows that a writer was given so far."""

    rows: int
    bytes: int


# In whole numbers: as a float the longest rounds up to one that is too long.
_LONGEST = datetime.timedelta.max // datetime.timedelta(seconds=1)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_LAST = datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)


def _facts(of: Union[Info, VersionInfo]) -> str:
    if of.segments == 0:
        return f"{of.name}@{of.version}: rows and bytes are told to those who may read it"
    rows = "rows not counted" if of.rows is None else counted(of.rows, "row", ",")
    return f"{of.name}@{of.version}: {rows}, {size(of.bytes)}{', foreign' if of.foreign else ''}"


def info(found: "tuple[Any, ...]") -> Info:
    """Of the native module's tuple, which has the commit's time in microseconds, 0 for none."""
    made = Info._make(found)
    micros = found[7]
    return made._replace(
        committed_at=_moment(micros) if micros else None, max_age=_age(found[10])
    )


def _moment(micros: int) -> datetime.datetime:
    # A clock can be anywhere; a datetime ends with the year 9999.
    last = (_LAST - _EPOCH) // datetime.timedelta(microseconds=1)
    return _EPOCH + datetime.timedelta(microseconds=min(micros, last))


def retention(found: "tuple[Any, ...]") -> Retention:
    """Of the native module's tuple, which has the age in seconds."""
    made = Retention._make(found)
    return made._replace(max_age=_age(found[3]))


def _age(seconds: Optional[int]) -> Optional[datetime.timedelta]:
    # A timedelta ends before the seconds that the agent takes do.
    return None if seconds is None else datetime.timedelta(seconds=min(seconds, _LONGEST))


def version(found: "tuple[Any, ...]") -> VersionInfo:
    """Of the native module's tuple, with an info in it."""
    of, own_bytes, uid, leases = found
    made = info(of)
    return VersionInfo(
        name=made.name,
        version=made.version,
        rows=made.rows,
        bytes=made.bytes,
        own_bytes=own_bytes,
        segments=made.segments,
        committed_at=made.committed_at,
        validation=made.validation,
        foreign=made.foreign,
        retention=made.retention,
        max_age=made.max_age,
        uid=uid,
        leases=leases,
    )


def event(found: "tuple[Any, ...]") -> Event:
    """Of the native module's tuple, with an info in it."""
    kind, name, version, of = found
    return Event(kind, name, version, None if of is None else info(of))
