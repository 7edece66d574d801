"""Times verbs of an agent from pyarrow, one by one: `verbs.py SOCKET TCP_ADDRESS FRAME TIMES`.

Prints one JSON object: verb -> way -> nanoseconds of each time.
"""

import json
import sys
import time

import pyarrow as pa
import pyarrow.flight as flight

import farrow


def times_of(operation, times):
    """Nanoseconds of each of `times` calls, after some that do not count."""
    for _ in range(min(times, 100)):
        operation()
    taken = []
    for _ in range(times):
        start = time.perf_counter_ns()
        operation()
        taken.append(time.perf_counter_ns() - start)
    return taken


def verbs(client, frame, table):
    """The verbs of plain Flight. Each result is looked at, so that none of it is lazy."""
    descriptor = flight.FlightDescriptor.for_path(*frame.split("/"))
    ticket = client.get_flight_info(descriptor).endpoints[0].ticket
    # farrow.v1.StatRequest { name = frame }, as protobuf writes a string in field 1.
    stat = bytes([0x0A, len(frame)]) + frame.encode()

    def put():
        writer, results = client.do_put(flight.FlightDescriptor.for_path("bench", "put"), table.schema)
        writer.write_table(table)
        writer.done_writing()
        results.read()
        writer.close()

    yield "GetFlightInfo", lambda: client.get_flight_info(descriptor).endpoints
    yield "GetSchema", lambda: client.get_schema(descriptor).schema
    yield "ListFlights", lambda: list(client.list_flights())
    yield "DoAction farrow.Stat", lambda: [r.body for r in client.do_action(flight.Action("farrow.Stat", stat))]
    yield "DoGet of 1 KiB", lambda: client.do_get(ticket).read_all()
    yield "DoPut of 1 KiB", put


def main():
    socket, tcp, frame, times = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    table = pa.table({"number": pa.array(range(128), pa.int64())})
    figures = {}
    for way, address in (("unix", f"grpc+unix://{socket}"), ("tcp", f"grpc://{tcp}")):
        with flight.connect(address) as client:
            for verb, operation in verbs(client, frame, table):
                try:
                    figures.setdefault(verb, {})[way] = times_of(operation, times)
                except (flight.FlightUnauthorizedError, flight.FlightUnauthenticatedError):
                    # Over TCP not everybody may publish.
                    pass
    client = farrow.connect(socket)
    figures["get to a table"] = {"unix": times_of(lambda: client.get(frame).to_arrow(), times)}
    figures["put in place, 1 KiB"] = {"unix": times_of(lambda: client.put("bench/put", table), times)}
    json.dump(figures, sys.stdout)


main()
