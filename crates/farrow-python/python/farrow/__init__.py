"""Arrow data frames in memory that processes and hosts share.

>>> import farrow
>>> client = farrow.connect()                       # the agent of this host
>>> client.put("sales/orders", table)               # one copy, into the shared memory
>>> frame = client.get("sales/orders")              # mapped: no copy, whatever its size
>>> frame.to_arrow()                                # a pyarrow.Table over the shared memory
"""

from farrow._client import Client, Dropped, Event, Frame, Info, Lease, Usage, connect
from farrow._farrow import (
    Denied,
    Error,
    InvalidData,
    InvalidName,
    NotFound,
    RegionFull,
    Unavailable,
    __version__,
)

__all__ = [
    "Client",
    "Denied",
    "Dropped",
    "Error",
    "Event",
    "Frame",
    "Info",
    "InvalidData",
    "InvalidName",
    "Lease",
    "NotFound",
    "RegionFull",
    "Unavailable",
    "Usage",
    "__version__",
    "connect",
]
