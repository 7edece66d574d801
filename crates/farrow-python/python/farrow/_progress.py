"""The progress of a put, told to whatever shows it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Callable, Optional, Protocol, Union, runtime_checkable


@runtime_checkable
class Bar(Protocol):
    """A progress bar as tqdm makes them."""

    total: Any

    def update(self, n: Any) -> Any:
        """So many bytes more are done."""


Progress = Union[bool, Bar, Callable[[int, Optional[int]], Any], None]
"""True: a bar of tqdm's. A bar: its ``total`` is set if it has none, and it stays open. Or ``call(done, total)``, with
bytes done and bytes in all, None if nobody knows."""


@contextlib.contextmanager
def shown(progress: Progress, name: str, total: Optional[int]) -> Iterator[Callable[[int], Any]]:
    """A function that takes each number of bytes that is done."""
    if progress is True:
        with _tqdm()(total=total, unit="B", unit_scale=True, unit_divisor=1024, desc=name) as bar:
            yield bar.update
    elif isinstance(progress, Bar):
        if total is not None and progress.total is None:
            progress.total = total
        yield progress.update
    elif callable(progress):
        done = 0

        def tell(count: int) -> None:
            nonlocal done
            done += count
            progress(done, total)

        yield tell
    else:
        raise TypeError(
            f"progress takes True, something with total and update(n) such as tqdm's bars, or a function of bytes done and "
            f"bytes in all; found {type(progress).__name__}"
        )


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "progress=True shows a bar of tqdm's, which is not installed. Try: `pip install tqdm`; or progress=print, or "
            "another function of bytes done and bytes in all",
            name="tqdm",
        ) from error
    return tqdm
