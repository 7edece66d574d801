"""Two scans of rows that this process has just got: `scan.py SOCKET TCP_ADDRESS PLACE FRAME SUM FILE`.

Says `ready`, waits for the end of its input, and prints the nanoseconds of both.
"""

import sys

import pyarrow as pa
import pyarrow.flight as flight
from turns import read, timed

import farrow


def main():
    socket, place, frame, expected, file = sys.argv[1], *sys.argv[3:7]
    if place == "mapped":
        table = farrow.connect(socket).get(frame).to_arrow()
    elif place == "heap":
        client = flight.connect(f"grpc+unix://{socket}")
        info = client.get_flight_info(flight.FlightDescriptor.for_path(*frame.split("/")))
        table = client.do_get(info.endpoints[0].ticket).read_all()
    else:
        table = pa.ipc.open_file(pa.memory_map(file)).read_all()
    print("ready", flush=True)
    sys.stdin.read()
    first = timed(lambda: read(table, int(expected)))
    second = timed(lambda: read(table, int(expected)))
    print(first, second)


main()
