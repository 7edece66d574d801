"""DoGet and DoPut of one table, by an agent and by pyarrow's own Flight server, in turns.

`streams.py SOCKET TCP_ADDRESS MIB ROUNDS`: prints one JSON object: verb -> way -> server -> seconds of each round. The
client is pyarrow for both. Rows that were got are summed within the time, so that all of them were touched.
"""

import json
import multiprocessing
import os
import sys
import tempfile
import time

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.flight as flight

COLUMNS = 8
# pyarrow's server is fastest with messages of about a mebibyte.
BATCH_ROWS = (1 << 20) // (8 * COLUMNS)


class Tables(flight.FlightServerBase):
    """pyarrow's own server, with tables on its heap."""

    def __init__(self, location):
        super().__init__(location)
        self.tables = {}

    def do_put(self, context, descriptor, reader, writer):
        self.tables[b"/".join(descriptor.path)] = reader.read_all()

    def do_get(self, context, ticket):
        return flight.RecordBatchStream(self.tables[ticket.ticket])


def serve(location, ready):
    server = Tables(location)
    ready.send(server.port)
    server.serve()


def start(location):
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(location, theirs), daemon=True)
    process.start()
    return process, ours.recv()


def put(client, table):
    descriptor = flight.FlightDescriptor.for_path("bench", "stream")
    start = time.perf_counter()
    writer, results = client.do_put(descriptor, table.schema)
    writer.write_table(table, max_chunksize=BATCH_ROWS)
    writer.done_writing()
    # An agent answers when the version is committed; pyarrow's server says nothing.
    results.read()
    writer.close()
    return time.perf_counter() - start


def get(client, ticket, expected):
    start = time.perf_counter()
    table = client.do_get(ticket).read_all()
    total = sum(pc.sum(column).as_py() for column in table.columns)
    taken = time.perf_counter() - start
    if total != expected:
        raise SystemExit(f"got a sum of {total}, expected {expected}")
    return taken


def main():
    socket, tcp, mib, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    rows = mib * (1 << 20) // (8 * COLUMNS)
    column = pa.array(range(rows), pa.int64())
    table = pa.table({f"c{index}": column for index in range(COLUMNS)})
    expected = COLUMNS * rows * (rows - 1) // 2

    with tempfile.TemporaryDirectory() as directory:
        theirs = os.path.join(directory, "pyarrow.sock")
        over_unix, _ = start(f"grpc+unix://{theirs}")
        over_tcp, port = start("grpc://127.0.0.1:0")
        # gRPC C++ does not listen on a path at once.
        ways = {
            "unix": {"farrow": f"grpc+unix://{socket}", "pyarrow": f"grpc+unix://{theirs}"},
            "tcp": {"farrow": f"grpc://{tcp}", "pyarrow": f"grpc://127.0.0.1:{port}"},
        }
        figures = {"DoPut": {}, "DoGet": {}}
        descriptor = flight.FlightDescriptor.for_path("bench", "stream")
        for _ in range(rounds):
            for way, servers in ways.items():
                for server, address in servers.items():
                    with flight.connect(address) as client:
                        taken = put(client, table)
                        figures["DoPut"].setdefault(way, {}).setdefault(server, []).append(taken)
                        if server == "farrow":
                            ticket = client.get_flight_info(descriptor).endpoints[0].ticket
                        else:
                            ticket = flight.Ticket(b"bench/stream")
                        taken = get(client, ticket, expected)
                        figures["DoGet"].setdefault(way, {}).setdefault(server, []).append(taken)
                        if server == "farrow":
                            # farrow.v1.DropRequest { name }
                            name = b"bench/stream"
                            drop = flight.Action("farrow.Drop", bytes([0x0A, len(name)]) + name)
                            list(client.do_action(drop))
        over_unix.kill()
        over_tcp.kill()
    json.dump({"bytes": table.nbytes, "seconds": figures}, sys.stdout)


if __name__ == "__main__":
    main()
