"""Arrow files that were put into famfs by other programs."""

import json

import farrow
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from conftest import MIB

TABLE = pa.table({"n": list(range(1000)), "s": [f"row {n}" for n in range(1000)]})


def arrow_file(table: pa.Table, **options) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@pytest.fixture
def exported(make_agent):
    """An agent on a region in which another program finds the frame `orders` as `out/orders.arrow`."""
    agent = make_agent(64 * MIB, "--reserve", "4M")
    with farrow.connect(agent.address) as client:
        client.put("orders", TABLE)
    agent.stop()
    agent.command("export", "--file", "orders", "out/orders.arrow", str(agent.region))
    return agent.start()


def write_over(agent, file: bytes):
    """Does what a program does that has out/orders.arrow open: another file, no longer, in its place."""
    log = json.loads(agent.command("log", "--json", str(agent.region)))
    (entry,) = [entry for entry in log["entries"] if entry.get("path") == "out/orders.arrow"]
    footer = 10 + int.from_bytes(file[-10:-6], "little")
    gap = entry["size"] - len(file)
    assert gap >= 0
    with open(agent.region, "r+b") as medium:
        medium.seek(entry["extents"][0]["offset"])
        # A footer counts from the beginning of its file, and is found from the end.
        medium.write(file[:-footer] + bytes(gap) + file[-footer:])


def test_it_is_a_frame(exported):
    with farrow.connect(exported.address) as client:
        assert [(info.name, info.rows, info.foreign) for info in client.list()] == [
            ("orders", 1000, False),
            ("out/orders.arrow", None, True),
        ]
        frame = client.get("out/orders.arrow")
        assert frame.zero_copy and frame.to_arrow().equals(TABLE)
        assert client.leases() == []
        with pytest.raises(farrow.Error, match="neither replace nor remove"):
            client.drop("out/orders.arrow")
    with flight.connect(f"grpc+unix://{exported.address}") as plain:
        info = plain.get_flight_info(flight.FlightDescriptor.for_path("out", "orders.arrow"))
        assert info.schema.equals(TABLE.schema)
        assert plain.do_get(info.endpoints[0].ticket).read_all().equals(TABLE)


def test_what_pyarrow_writes_is_mapped(exported):
    part = TABLE.slice(500, 300)
    write_over(exported, arrow_file(part))
    with farrow.connect(exported.address) as client:
        frame = client.get("out/orders.arrow")
        assert frame.zero_copy and frame.to_arrow().equals(part)


def test_compressed_bodies_are_refused_with_the_reason(exported):
    write_over(exported, arrow_file(TABLE, compression="lz4"))
    with farrow.connect(exported.address) as client:
        with pytest.raises(farrow.InvalidData, match="compressed and cannot be used in place"):
            client.get("out/orders.arrow")
        assert client.stat("out/orders.arrow").rows is None
