"""Maps a data frame with pyarrow, a socket and mmap, without the farrow package: `python map_by_hand.py [NAME]`.

This is "Get" of proto/README.md, step by step, in as little as it takes: one segment in one extent, of a region in a
file. The agent passes a descriptor of the region over its map socket (proto/farrow/v1/map_socket.proto), so this
process needs no right on the file.
"""

import io
import mmap
import os
import socket
import struct
import sys

import pyarrow as pa
import pyarrow.flight as flight


def fields(message: bytes) -> dict[int, list]:
    """The fields of a protobuf message: numbers, and bytes where a field is longer than eight."""
    found: dict[int, list] = {}
    stream = io.BytesIO(message)

    def read() -> int:
        (byte,) = stream.read(1)
        return byte if byte < 0x80 else byte - 0x80 | read() << 7

    while stream.tell() < len(message):
        number, kind = divmod(read(), 8)
        length = {0: 0, 1: 8, 5: 4}[kind] if kind != 2 else read()
        found.setdefault(number, []).append(stream.read(length) if kind else read())
    return found


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    return bytes([number]) if number < 0x80 else bytes([number % 0x80 + 0x80]) + varint(number >> 7)


def descriptor(path: str, region_uuid: bytes, pool: int) -> int:
    """A descriptor of a pool file, from the agent."""
    # MapSocketRequest: region_uuid = 1, pool = 2.
    request = b"FRRQ\x01" + b"\x0a\x10" + region_uuid + b"\x10" + varint(pool)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        connection.connect(path)
        connection.sendall(struct.pack("<H", len(request)) + request)
        answer, descriptors, _, _ = socket.recv_fds(connection, 2048, 1)
    assert answer[2:7] == b"FRRA\x01", f"no map socket: {answer!r}"
    refusal = fields(answer[7:])
    assert not refusal, f"the agent refused: {refusal[2][0].decode()}"
    return descriptors[0]


name = sys.argv[1] if len(sys.argv) > 1 else "examples/readings"
address = os.environ.get("FARROW_ADDRESS", "/run/farrow/agent.sock")

with flight.connect("grpc+unix://" + address) as client:
    announced = flight.FlightCallOptions(headers=[(b"x-farrow", b"v=1")])
    info = client.get_flight_info(flight.FlightDescriptor.for_path(*name.split("/")), announced)
    metadata = info.endpoints[0].app_metadata
    assert metadata[:5] == b"FRRW\x01", "no mapping descriptor: redeem the ticket by DoGet"
    described = fields(metadata[5:])
    region_uuid, lease = described[1][0], described.get(6, [0])[0]
    (segment,) = map(fields, described[4])
    (extent,) = map(fields, segment[3])
    (pool,) = map(fields, described[5])
    (place,) = map(fields, pool[3])
    # A field that is missing is 0.
    offset = place.get(1, [0])[0] + extent.get(2, [0])[0]
    length = segment[4][0]

    map_socket = os.path.join(os.path.dirname(address), described[10][0].decode())
    region = descriptor(map_socket, region_uuid, pool.get(1, [0])[0])
    with mmap.mmap(region, 4096, prot=mmap.PROT_READ) as superblock:
        assert superblock[48:64] == region_uuid, "another region"
    mapped = mmap.mmap(region, length, prot=mmap.PROT_READ, offset=offset)
    # A child that is forked has no lease.
    mapped.madvise(mmap.MADV_DONTFORK)
    os.close(region)

    table = pa.ipc.open_file(pa.py_buffer(mapped)).read_all()
    assert table.num_rows == info.total_records
    print(f"{name}: {table.num_rows} rows mapped by hand, {length} bytes")
    print(table.slice(0, 5).to_pylist())

    # Only now: while the lease lasts, nobody changes these bytes. ReleaseRequest: leases = 1, each a varint.
    del table
    lease_bytes = varint(lease)
    list(client.do_action(("farrow.Release", b"\x0a" + varint(len(lease_bytes)) + lease_bytes)))
