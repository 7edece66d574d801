"""Exceptions: one for each reason that the agent refuses for, and few of the client's own."""

from __future__ import annotations

from typing import Optional


class Error(Exception):
    """Any failure of farrow.

    ``reason`` is the agent's word for it (see ``proto/README.md``), None where it has none. ``retry`` says whether the
    same request may succeed when it is made again: ``no``, ``later`` (once something else has changed) or ``yes``.
    """

    reason: Optional[str] = None
    retry: str = "no"


class NotFound(Error):
    """No frame of that name, or no such version of it; or it is not there yet."""

    reason = "not-found"
    retry = "later"


class InvalidName(Error):
    """A name that is no path of plain components, or a version that is no number."""

    reason = "invalid-name"


class InvalidData(Error):
    """Data that is no Arrow, or that farrow does not store."""

    reason = "invalid-data"


class RegionFull(Error):
    """Not enough free space; the message says what holds it."""

    reason = "region-full"
    retry = "later"


class Quota(Error):
    """The caller has as much as it may have: of bytes, or of reservations."""

    reason = "quota"
    retry = "later"


class Stalled(Error):
    """A stream took or sent nothing for too long."""

    reason = "stalled"
    retry = "yes"


class NotHeld(Error):
    """A reservation or lease is not the caller's, or no longer exists."""

    reason = "not-held"


class ReadOnly(Error):
    """The frame is a file of another program, which nobody can replace or remove."""

    reason = "read-only"


class NeedsUnixSocket(Error):
    """Only possible over the agent's unix socket, where the kernel names the calling process."""

    reason = "needs-unix-socket"


class Denied(Error):
    """No rule of the agent lets this caller do that; whether the frame is there is not said."""

    reason = "denied"
    retry = "later"


class Unauthenticated(Denied):
    """The token is none that the agent knows."""

    reason = "unauthenticated"
    retry = "no"


class Fenced(Error):
    """Another master writes the region: this agent must not."""

    reason = "fenced"


class Corrupt(Error):
    """The region's bytes are damaged, or their memory has gone away."""

    reason = "corrupt"


class Failed(Error):
    """The medium or the system failed."""

    reason = "failed"
    retry = "later"


class Unimplemented(Error):
    """The agent does not offer that."""

    reason = "unimplemented"


class Busy(Error):
    """The agent is at as many such requests as it takes at a time."""

    reason = "busy"
    retry = "later"


class CutOff(Error):
    """A stream ended before it was complete."""

    reason = "cut-off"
    retry = "yes"


class Unavailable(Error):
    """No agent at the address, or it stopped answering."""

    retry = "later"


class Forked(Error):
    """A client or frame of the parent was used in a forked child: connect and get again there."""


for _kind in [Error, *Error.__subclasses__(), Unauthenticated]:
    # Where programs find them, and what tracebacks and pickles name.
    _kind.__module__ = "farrow"
