"""Reads a data frame with nothing but pyarrow: `python plain_flight.py [NAME]`.

The agent speaks standard Arrow Flight, so a client that knows nothing of farrow gets the same rows, streamed.
"""

import os
import sys

import pyarrow.flight as flight

name = sys.argv[1] if len(sys.argv) > 1 else "examples/readings"

address = os.environ.get("FARROW_ADDRESS", "/run/farrow/agent.sock")
if address.startswith("http://"):
    location, road = "grpc+tcp://" + address[len("http://") :], "TCP"
else:
    location, road = "grpc+unix://" + address, "a unix socket"

with flight.connect(location) as client:
    descriptor = flight.FlightDescriptor.for_path(*name.split("/"))
    info = client.get_flight_info(descriptor)
    print(f"{name}: {info.total_records} rows, {info.total_bytes} bytes")

    table = client.do_get(info.endpoints[0].ticket).read_all()
    assert table.num_rows == info.total_records, f"{table.num_rows} rows came"
    print(f"streamed {table.num_rows} rows over {road}")
    print(table.slice(0, 5).to_pylist())
