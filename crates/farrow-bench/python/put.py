"""A put beside one copy of its bytes into the same pages, in turns.

`put.py SOCKET TCP_ADDRESS FRAME BYTES REGION OFFSET SECONDS ROUNDS MOST`: the pages are those of REGION from OFFSET on,
reserved by whoever starts this. Prints one JSON object: what -> nanoseconds of each round.
"""

import ctypes
import json
import mmap
import os
import sys

import pyarrow as pa
import pyarrow.flight as flight
from turns import take_turns, timed

import farrow

COLUMNS = 8
# As the agent stores them: none has to be joined.
BATCH_ROWS = (64 << 20) // (8 * COLUMNS)
# As a stream is sent fastest.
MESSAGE_ROWS = (1 << 20) // (8 * COLUMNS)


class Target:
    """Pages of the region, mapped to be written; faulted in at the first write."""

    def __init__(self, file, length, offset):
        self.map = mmap.mmap(file, length, offset=offset)
        self.start = ctypes.c_char.from_buffer(self.map)

    def copy(self, buffers):
        at = ctypes.addressof(self.start)
        for buffer in buffers:
            ctypes.memmove(at, buffer.address, buffer.size)
            at += buffer.size

    def close(self):
        del self.start
        self.map.close()


def rows(size):
    """Batches of so many bytes of data, each column with memory of its own."""
    count = size // (8 * COLUMNS)
    batches = []
    for first in range(0, count, BATCH_ROWS):
        numbers = pa.array(range(first, min(count, first + BATCH_ROWS)), pa.int64())
        copies = [pa.concat_arrays([numbers, numbers.slice(0, 0)]) for _ in range(COLUMNS)]
        batches.append(pa.record_batch(copies, [f"c{index}" for index in range(COLUMNS)]))
    return pa.Table.from_batches(batches)


def main():
    socket, frame, size, path, offset = sys.argv[1], sys.argv[3], int(sys.argv[4]), sys.argv[5], int(sys.argv[6])
    table = rows(size)
    buffers = [chunk.buffers()[1] for column in table.columns for chunk in column.chunks]
    file = os.open(path, os.O_RDWR)
    client = farrow.connect(socket)
    plain = flight.connect(f"grpc+unix://{socket}")
    mapped = Target(file, size, offset)

    def copy_mapped():
        target = Target(file, size, offset)
        target.copy(buffers)
        target.close()

    def put():
        taken = timed(lambda: client.put(frame, table))
        client.drop(frame)
        return taken

    def stream():
        descriptor = flight.FlightDescriptor.for_path(*frame.split("/"))
        writer, results = plain.do_put(descriptor, table.schema)
        writer.write_table(table, max_chunksize=MESSAGE_ROWS)
        writer.done_writing()
        results.read()
        writer.close()

    def do_put():
        taken = timed(stream)
        client.drop(frame)
        return taken

    operations = {
        "copied into the region, mapped before": lambda: timed(lambda: mapped.copy(buffers)),
        "mapped, copied, unmapped": lambda: timed(copy_mapped),
        "put": put,
        "DoPut": do_put,
    }
    json.dump(take_turns(operations, sys.argv[7:10]), sys.stdout)


main()
