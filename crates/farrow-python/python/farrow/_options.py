"""Options of publishing."""

from __future__ import annotations

from typing import NamedTuple, Optional

from farrow._arguments import count


class Options(NamedTuple):
    """Options as the native module takes them."""

    append: bool
    by_name: bool
    keep: Optional[int]
    if_version: Optional[int]


def options(append: bool, by_name: bool, keep: Optional[int], if_version: Optional[int]) -> Options:
    """The options of a put, an append or a writer."""
    keep = None if keep is None else count("keep", keep)
    if_version = None if if_version is None else count("if_version", if_version)
    return Options(append, by_name, keep, if_version)
