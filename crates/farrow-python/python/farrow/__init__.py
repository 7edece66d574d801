"""Arrow data frames in memory that processes and hosts share.

>>> import farrow
>>> client = farrow.connect()                       # the agent of this host
>>> client.put("sales/orders", table)               # one copy, into the shared memory
>>> frame = client.get("sales/orders")              # mapped: no copy, whatever its size
>>> frame.to_arrow()                                # a pyarrow.Table over the shared memory
"""

import farrow._interpreter  # noqa: F401 - first: it refuses where pyarrow and the native module would fail
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
)
from farrow._client import Client, connect
from farrow._errors import (
    Busy,
    Closed,
    Corrupt,
    CutOff,
    Denied,
    Error,
    Failed,
    Fenced,
    Forked,
    InvalidArgument,
    InvalidData,
    InvalidName,
    InvalidType,
    NeedsUnixSocket,
    NoColumn,
    NotConvertible,
    NotFound,
    NotHeld,
    OutOfRange,
    Quota,
    ReadOnly,
    RegionFull,
    Stalled,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    VersionConflict,
)
from farrow._farrow import __version__
from farrow._frame import Frame
from farrow._writer import Writer

__all__ = [
    "Busy",
    "Client",
    "Closed",
    "Corrupt",
    "CutOff",
    "Denied",
    "Dropped",
    "Error",
    "Event",
    "Failed",
    "Fenced",
    "Forked",
    "Frame",
    "Health",
    "Info",
    "InvalidArgument",
    "InvalidData",
    "InvalidName",
    "InvalidType",
    "Lease",
    "NeedsUnixSocket",
    "NoColumn",
    "NotConvertible",
    "NotFound",
    "NotHeld",
    "OutOfRange",
    "Quota",
    "ReadOnly",
    "RegionFull",
    "Retention",
    "Stalled",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Usage",
    "Verified",
    "VersionConflict",
    "VersionInfo",
    "Writer",
    "Written",
    "__version__",
    "connect",
]
