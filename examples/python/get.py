"""Gets a data frame out of shared memory: `python get.py [NAME[@VERSION]]`.

The agent is found through FARROW_ADDRESS, or at its usual socket.
"""

import sys

import farrow

name = sys.argv[1] if len(sys.argv) > 1 else "examples/readings"

with farrow.connect() as client:
    frame = client.get(name)
    print(f"{frame.name}@{frame.version}: {frame.num_rows} rows, {frame.nbytes} bytes")
    if frame.zero_copy:
        for address, length in frame.mappings:
            print(f"zero copy: mapped at {address:#x}, {length} bytes")
    else:
        print(f"streamed, not mapped: {frame.why}")

    # The table's buffers are the mapped bytes: under a lease, for as long as any of its arrays lives.
    table = frame.to_arrow()
    for column in table.column_names:
        print(f"  {column}: {table[column].type}, nulls: {table[column].null_count}")
    print(table.slice(0, 5).to_pylist())
