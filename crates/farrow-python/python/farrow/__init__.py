"""Arrow data frames in memory that processes and hosts share.

>>> import farrow
>>> client = farrow.connect()                       # the agent of this host
>>> client.put("sales/orders", table)               # one copy, into the shared memory
>>> frame = client.get("sales/orders")              # mapped: no copy, whatever its size
>>> frame.to_arrow()                                # a pyarrow.Table over the shared memory
"""

import farrow._interpreter  # noqa: F401 - first: it refuses where pyarrow and the native module would fail
from farrow._answers import Dropped, Event, Health, Info, Lease, Usage, Verified, Written
from farrow._client import Client, connect
from farrow._errors import (
    Busy,
    Corrupt,
    CutOff,
    Denied,
    Error,
    Failed,
    Fenced,
    Forked,
    InvalidData,
    InvalidName,
    NeedsUnixSocket,
    NotFound,
    NotHeld,
    Quota,
    ReadOnly,
    RegionFull,
    Stalled,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from farrow._farrow import __version__
from farrow._frame import Frame
from farrow._writer import Writer

__all__ = [
    "Busy",
    "Client",
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
    "InvalidData",
    "InvalidName",
    "Lease",
    "NeedsUnixSocket",
    "NotFound",
    "NotHeld",
    "Quota",
    "ReadOnly",
    "RegionFull",
    "Stalled",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Usage",
    "Verified",
    "Writer",
    "Written",
    "__version__",
    "connect",
]
