"""Publishes a small data frame: `python publish.py [NAME]`.

The agent is found through FARROW_ADDRESS, or at its usual socket.
"""

import sys

import farrow
import pyarrow as pa

name = sys.argv[1] if len(sys.argv) > 1 else "examples/readings"

table = pa.table(
    {
        "station": pa.array(["Sonnblick", "Zugspitze", "Sonnblick", "Brocken"]).dictionary_encode(),
        "celsius": pa.array([-11.4, -9.0, None, 2.5]),
    }
)

with farrow.connect() as client:
    # Anything that speaks Arrow will do: a pyarrow or Polars frame, a DuckDB result, a list of batches.
    info = client.put(name, table)
    print(f"published {info.name}@{info.version}: {info.rows} rows, {info.bytes} bytes")

    for info in client.list("examples/"):
        print(f"  {info.name}@{info.version}: {info.rows} rows")
