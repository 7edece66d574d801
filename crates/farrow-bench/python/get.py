"""A get of a frame beside DoGet of the same, in turns: `get.py SOCKET TCP_ADDRESS FRAME SUM SECONDS ROUNDS MOST`.

Prints one JSON object: what -> way -> nanoseconds of each round.
"""

import json
import sys

import pyarrow.flight as flight
from turns import read, take_turns, timed_again

import farrow


def main():
    socket, frame, expected = sys.argv[1], sys.argv[3], int(sys.argv[4])
    client = farrow.connect(socket)
    plain = flight.connect(f"grpc+unix://{socket}")
    descriptor = flight.FlightDescriptor.for_path(*frame.split("/"))
    ticket = plain.get_flight_info(descriptor).endpoints[0].ticket
    ways = {
        "get": lambda: client.get(frame).to_arrow(),
        "DoGet": lambda: plain.do_get(ticket).read_all(),
    }
    operations = {}
    for way, table in ways.items():
        operations["to a table", way] = lambda table=table: timed_again(table)
        operations["and read all", way] = lambda table=table: timed_again(lambda: read(table(), expected))
    figures = {}
    for (what, way), times in take_turns(operations, sys.argv[5:8]).items():
        figures.setdefault(what, {})[way] = times
    json.dump(figures, sys.stdout)


main()
