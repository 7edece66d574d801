"""Exceptions: one for each reason that the agent refuses for, and few of the client's own."""

from __future__ import annotations

from typing import Optional

MESSAGE = 3 << 10
"""Bytes of the longest message, about: what others say, and what was asked, may be a plan, a traceback or a whole table."""


class Error(Exception):
    """Any failure of farrow.

    ``reason`` is the agent's word for it (see ``proto/README.md``), None where it has none. ``retry`` says whether the
    same request may succeed when it is made again: ``no``, ``later`` (once something else has changed) or ``yes``.
    """

    reason: Optional[str] = None
    retry: str = "no"

    def __init__(self, *args: object) -> None:
        super().__init__(*(_line(each) if isinstance(each, str) else each for each in args))


class NotFound(Error):
    """No frame of that name, or no such version of it; or it is not there yet."""

    reason = "not-found"
    retry = "later"


class InvalidName(Error):
    """A name that is no path of plain components, or a version that is no number."""

    reason = "invalid-name"


class InvalidData(Error):
    """Data that is no Arrow, or that farrow does not store.

    Arguments that a call does not take are, too: :class:`InvalidArgument`, :class:`InvalidType`, :class:`OutOfRange`.
    """

    reason: Optional[str] = "invalid-data"


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


class VersionConflict(Error):
    """The latest version is another one than ``if_version`` says: somebody has published or dropped one meanwhile.

    Nothing was published. Get the frame again, change what is there, and put that with its version.
    """

    reason = "version-conflict"


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
    """A client of the parent was used in a forked child: connect again there. Frames and arrays of the parent can be read;
    a frame raises this only if the child could not inherit what is mapped."""


class NoColumn(Error, KeyError):
    """A frame has no column of that name, or several."""

    # A KeyError's is a repr.
    __str__ = Exception.__str__


class NotConvertible(Error, NotImplementedError):
    """Another library has no type, or no value, for a column of a frame; the message names it, and what to do instead."""


class Closed(Error, ValueError):
    """A client or frame was used after ``close()``, or a writer after its end."""


class InvalidArgument(InvalidData, ValueError):
    """A call was given a value that it does not take, such as a negative number of rows."""

    # The client's own: no agent was asked.
    reason = None


class InvalidType(InvalidData, TypeError):
    """A call was given something of another kind than it takes, such as a number for a name."""

    reason = None


class OutOfRange(InvalidData, IndexError):
    """There is no batch of that number."""

    reason = None


def _line(text: str) -> str:
    """A message as one line, its middle left out where it is too long."""
    if not text.isprintable():
        text = " ".join(filter(None, map(str.strip, text.splitlines())))
    if len(text) * 4 > MESSAGE and len(data := text.encode(errors="backslashreplace")) > MESSAGE:
        # The failed request stands in front, the cause at the end.
        first, last = data[: MESSAGE * 3 // 4], data[-MESSAGE // 4 :]
        left = f" … {len(data) - MESSAGE:,} bytes … "
        text = first.decode(errors="ignore") + left + last.decode(errors="ignore")
    return text


for _kind in [Error, *Error.__subclasses__(), *Denied.__subclasses__(), *InvalidData.__subclasses__()]:
    # Programs find them there, and tracebacks and pickles name it.
    _kind.__module__ = "farrow"
