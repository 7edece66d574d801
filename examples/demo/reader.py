"""A process of its own that reads frames, step by step as its parent says: `reader.py mapped|streamed NAME...`.

It prints `connected`. At each line `get` it gets the frames, reads every byte of them and prints `ready`; at each line
`release` it lets go of them and prints `released`; at the end of its input it ends. `sums` instead of a mode prints the
sums of the mapped frames' columns, as the Rust program demo_sums does, and ends.
"""

from __future__ import annotations

import os
import sys

import pyarrow.flight as flight

from buffers import sum_of_bytes
from data import column_sums


def mapped(names: list):
    import farrow

    client = farrow.connect()
    client.usage()
    return lambda: [client.get(name).to_arrow() for name in names]


def streamed(names: list):
    client = flight.connect("grpc+unix://" + os.environ["FARROW_ADDRESS"])
    client.list_actions()
    return lambda: [stream(client, name) for name in names]


def stream(client: flight.FlightClient, name: str):
    info = client.get_flight_info(flight.FlightDescriptor.for_path(*name.split("/")))
    return client.do_get(info.endpoints[0].ticket).read_all()


def print_sums(names: list):
    import farrow

    with farrow.connect() as client:
        for name in names:
            frame = client.get(name)
            if not frame.zero_copy:
                sys.exit(f"{name} was streamed, not mapped: {frame.why}")
            for line in column_sums(name, frame.to_arrow()):
                print(*line, sep="\t")


def main():
    mode, names = sys.argv[1], sys.argv[2:]
    if mode == "sums":
        print_sums(names)
        return
    get = {"mapped": mapped, "streamed": streamed}[mode](names)
    print("connected", flush=True)
    tables = []
    for word in sys.stdin:
        if word == "get\n":
            tables = get()
            for table in tables:
                sum_of_bytes(table)
            print("ready", flush=True)
        else:
            # The loop's variable holds arrays too.
            table = None
            tables.clear()
            print("released", flush=True)


if __name__ == "__main__":
    main()
