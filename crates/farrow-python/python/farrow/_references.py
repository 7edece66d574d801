"""Frames and clients as they are pickled: as references, which are resolved where they are unpickled."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

from farrow._errors import InvalidType, NotFound

if TYPE_CHECKING:
    from farrow._client import Client
    from farrow._frame import Frame

# This process's connections for frames, by address: many frames may come, and each connection is the agent's work.
_clients: dict[str, Client] = {}

# A child cannot use its parent's.
os.register_at_fork(after_in_child=_clients.clear)


def frame(
    address: str,
    region: str,
    version: str,
    columns: Optional[Sequence[str]],
    rows: Optional[tuple[int, Optional[int]]],
) -> Frame:
    """Gets ``name@version`` from the agent that it was got from, of the region of that UUID and of no other one."""
    try:
        found = _client(address).get(version, columns=columns, rows=rows)
    except NotFound as error:
        raise NotFound(
            f"{error}. It was pickled as a reference, which holds nothing: keep the frame until it has been unpickled"
        ) from None
    if found.region != region:
        raise NotFound(
            f"{version} was pickled as a reference into region {region}, and the agent at {address} serves region "
            f"{found.region}: it was made anew, or is another one, and has other rows of that name. Put the frame again, and "
            "pickle what is got then"
        )
    return found


def client(address: str) -> Client:
    """Connects to the same agent, as who this process is: see :func:`farrow.connect`."""
    from farrow._client import Client

    return Client(address)


def portable(address: str) -> str:
    """An address that means the same in another directory."""
    return address if "://" in address else os.path.abspath(address)


def refuse(what: str) -> InvalidType:
    """The error for objects that cannot be references."""
    return InvalidType(f"{what} cannot be pickled: make one in the other process, or hand over a farrow.Client or a Frame")


def _client(address: str) -> Client:
    found = _clients.get(address)
    if found is None:
        # Two threads may both connect; one of the connections is kept.
        found = _clients.setdefault(address, client(address))
    return found
