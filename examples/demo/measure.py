"""Time and memory of readers, mapped and streamed, against the size of a frame and the number of readers."""

from __future__ import annotations

import contextlib
import statistics
import time
from typing import NamedTuple

import pyarrow.flight as flight

from buffers import sum_of_bytes
from processes import Reader, memory
from reader import stream
from report import check, mib, ms, say

RUNS = 5
GROUP_RUNS = 3
# Every size is read by so many readers at a time, and the frame of middling size by 1, 2, 4 … of them.
READERS = 4
MOST_READERS = 8
SIZES = ("tpch/supplier", "tpch/customer", "tpch/partsupp", "tpch/orders", "tpch/lineitem")
MIDDLING = "tpch/orders"


class Alone(NamedTuple):
    """A frame that one process reads: bytes, and seconds of either kind."""

    name: str
    size: int
    mapped: float
    streamed: float


class Group(NamedTuple):
    """Returns what readers at the same time took: seconds until the last was done, and the bytes that the frame added."""

    seconds: float
    memory: int
    own: int


class Shared(NamedTuple):
    """A frame that several processes read at the same time."""

    name: str
    size: int
    readers: int
    mapped: Group
    streamed: Group


def times(sandbox, client, names: list) -> list:
    """Prints and returns how long it takes one process to get each frame and to read every byte of it."""
    found = []
    say(f"{'frame':<14} {'rows':>8} {'size':>10} {'mapped':>10} {'streamed':>10} {'ratio':>7}")
    with flight.connect(f"grpc+unix://{sandbox.address}") as plain:
        for name in names:
            frame = client.get(name)
            rows, size = frame.num_rows, frame.nbytes
            del frame
            mapped, streamed = [], []
            for _ in range(RUNS):
                mapped.append(seconds(lambda: sum_of_bytes(client.get(name).to_arrow())))
                streamed.append(seconds(lambda: sum_of_bytes(stream(plain, name))))
            fast, slow = statistics.median(mapped), statistics.median(streamed)
            say(f"{name:<14} {rows:>8} {mib(size)} {ms(fast)} {ms(slow)} {slow / fast:>6.1f}x")
            found.append(Alone(name, size, fast, slow))
    return found


def shares(sandbox, client) -> list:
    """Prints and returns what readers of a frame at the same time take: by its size, and by their number."""
    found = []
    say(f"{'':<14} {'':>10} {'':>7} {'until the last has read all of it':>31}   {'memory that the readers add':>31}")
    say(
        f"{'frame':<14} {'size':>10} {'readers':>7} {'mapped':>10} {'streamed':>11} {'ratio':>8}   "
        f"{'mapped':>10} {'streamed':>12} {'ratio':>7}  (their own)"
    )
    points = [(name, READERS) for name in SIZES]
    readers = 1
    while readers <= MOST_READERS:
        if readers != READERS:
            points.append((MIDDLING, readers))
        readers *= 2
    for name, readers in points:
        size = client.stat(name).bytes
        mapped, streamed = (_group(sandbox, mode, name, readers) for mode in ("mapped", "streamed"))
        say(
            f"{name:<14} {mib(size)} {readers:>7} {ms(mapped.seconds)} {ms(streamed.seconds):>11} "
            f"{streamed.seconds / mapped.seconds:>7.1f}x   {mib(mapped.memory)} {mib(streamed.memory):>12} "
            f"{streamed.memory / mapped.memory:>6.1f}x  ({mib(mapped.own).strip()})"
        )
        found.append(Shared(name, size, readers, mapped, streamed))
        # What a process needs for itself, whatever it maps, counts for little only beside a frame of some size.
        if size > 16 << 20:
            expected = f"{readers} mapped readers of {name} to share one copy of {size} bytes"
            check(mapped.memory < 1.1 * size, expected, mapped.memory)
            check(mapped.own < 0.1 * size, f"{readers} mapped readers to have next to no own pages", mapped.own)
    return found


def _group(sandbox, mode: str, name: str, count: int) -> Group:
    """Starts readers, and has them get, read and let go of the frame, all at the same time, several times."""
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(Reader(sandbox, mode, [name])) for _ in range(count)]
        for reader in readers:
            reader.expect("connected")
        before = _memory(readers)
        durations = []
        for run in range(GROUP_RUNS):
            start = time.perf_counter()
            for reader in readers:
                reader.tell("get")
            for reader in readers:
                reader.expect("ready")
            durations.append(time.perf_counter() - start)
            if run == 0:
                # Of the first run: an allocator keeps pages that were in use once.
                after = _memory(readers)
            for reader in readers:
                reader.let_go()
        return Group(statistics.median(durations), after[0] - before[0], max(0, after[1] - before[1]))


def _memory(readers: list) -> list:
    return [sum(part) for part in zip(*(memory(reader.pid) for reader in readers))]


def seconds(action) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
