"""Appends rows to a data frame, a version at a time: `python append.py [NAME]`.

Shows that a version never changes: who holds an older one keeps it, and the newer ones have its rows without a copy.
The agent is found through FARROW_ADDRESS, or at its usual socket.
"""

import sys

import farrow
import pyarrow as pa

name = sys.argv[1] if len(sys.argv) > 1 else "examples/hours"


def hour(number: int) -> pa.Table:
    """One measurement a minute."""
    minutes = range(60 * number, 60 * (number + 1))
    return pa.table({"minute": pa.array(minutes, pa.int64()), "celsius": [-10 + 0.01 * minute for minute in minutes]})


with farrow.connect() as client:
    # The first of them makes the frame.
    first = client.append(name, hour(0))
    held = client.get(f"{first.name}@{first.version}").to_arrow()
    for number in range(1, 4):
        info = client.append(name, hour(number))
        print(f"{info.name}@{info.version}: {info.rows} rows")

    latest = client.get(name)
    print(f"held: {held.num_rows} rows; latest: {latest.num_rows} rows in {latest.num_batches} pieces")
    assert latest.num_rows == held.num_rows + 3 * 60
