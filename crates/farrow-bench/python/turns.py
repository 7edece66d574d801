"""Operations that have their turns, so that what else the machine does meets all of them."""

import time

import pyarrow.compute as pc


def timed(operation):
    """Nanoseconds of one call; what it gives is dropped after the clock has stopped."""
    start = time.perf_counter_ns()
    done = operation()
    taken = time.perf_counter_ns() - start
    del done
    return taken


def timed_again(operation):
    """The same of a call right after another one: what others have left in the processor's caches is not in it."""
    operation()
    return timed(operation)


def take_turns(operations, limits):
    """Name -> nanoseconds of each round, the first of which does not count.

    `operations`: name -> a function that does it and returns its nanoseconds. `limits`: seconds; rounds at least, however
    long they take; rounds at most.
    """
    seconds, least, most = map(int, limits)
    for operation in operations.values():
        operation()
    times = {name: [] for name in operations}
    start, done = time.monotonic(), 0
    while done < least or (done < most and time.monotonic() - start < seconds):
        for name, operation in operations.items():
            times[name].append(operation())
        done += 1
    return times


def read(table, expected):
    """Reads every value of a table of integers, which must add up to `expected`."""
    total = sum(pc.sum(column).as_py() for column in table.columns)
    if total != expected:
        raise SystemExit(f"the rows add up to {total}, not to {expected}")
    return table
