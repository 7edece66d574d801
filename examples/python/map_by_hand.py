"""Maps a data frame with pyarrow, protobuf and mmap, without the farrow package: `python map_by_hand.py [NAME]`.

This is "Get" of proto/README.md, step by step, in as little as it takes: one segment in one extent, of a region in a
file that this user may read. (The map socket, on the same page, spares that right.)
"""

import mmap
import os
import pathlib
import sys

import pyarrow as pa
import pyarrow.flight as flight
from google.protobuf import descriptor_pb2, message_factory

PROTO = pathlib.Path(__file__).parents[2] / "proto" / "farrow.v1.binpb"
messages = message_factory.GetMessages(descriptor_pb2.FileDescriptorSet.FromString(PROTO.read_bytes()).file)

name = sys.argv[1] if len(sys.argv) > 1 else "examples/readings"
address = os.environ.get("FARROW_ADDRESS", "/run/farrow/agent.sock")

with flight.connect("grpc+unix://" + address) as client:
    announced = flight.FlightCallOptions(headers=[(b"x-farrow", b"v=1")])
    info = client.get_flight_info(flight.FlightDescriptor.for_path(*name.split("/")), announced)
    metadata = info.endpoints[0].app_metadata
    assert metadata[:5] == b"FRRW\x01", "no mapping descriptor: redeem the ticket by DoGet"
    described = messages["farrow.v1.MapDescriptor"].FromString(metadata[5:])
    parts = described.segments, described.pools, [at for each in described.segments for at in each.extents]
    counts = [len(part) for part in (*parts, [at for each in described.pools for at in each.ranges])]
    if counts != [1, 1, 1, 1]:
        told = "{} segments, {} pool files, {} extents, {} ranges".format(*counts)
        sys.exit(f"{name} has {told}; this example maps what has one of each. Try: a frame that one put has made, such as examples/readings")
    (segment,), (pool,), (extent,) = parts
    (place,) = pool.ranges

    region = os.open(pool.path, os.O_RDONLY)
    with mmap.mmap(region, 4096, prot=mmap.PROT_READ) as superblock:
        assert superblock[48:64] == described.region_uuid, "another region"
    mapped = mmap.mmap(region, segment.len, prot=mmap.PROT_READ, offset=place.offset + extent.offset)
    mapped.madvise(mmap.MADV_DONTFORK)  # A child that is forked has no lease.
    os.close(region)

    table = pa.ipc.open_file(pa.py_buffer(mapped)).read_all()
    assert table.num_rows == described.rows
    print(f"{name}: {table.num_rows} rows mapped by hand, {segment.len} bytes")
    print(table.slice(0, 5).to_pylist())

    # Only now: while the lease lasts, nobody changes these bytes.
    del table
    release = messages["farrow.v1.ReleaseRequest"](leases=[described.lease])
    list(client.do_action(("farrow.Release", release.SerializeToString())))
