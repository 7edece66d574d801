"""A client that knows nothing of farrow gets the same rows from plain pyarrow.flight, and takes no lease."""

import asyncio
import json

import farrow
import farrow.aio
import pyarrow as pa
import pyarrow.flight as flight
import pytest

TABLE = pa.table(
    {
        "n": range(300_000),
        "s": [f"row {n}" for n in range(300_000)],
        "d": pa.array([str(n % 7) for n in range(300_000)]).dictionary_encode(),
    }
)


@pytest.fixture(params=["unix", "tcp"])
def plain(request, agent):
    """A plain connection, made with no options."""
    location = f"grpc+unix://{agent.address}" if request.param == "unix" else f"grpc+tcp://{agent.tcp}"
    with flight.connect(location) as plain:
        yield plain


def descriptor(name: str) -> flight.FlightDescriptor:
    return flight.FlightDescriptor.for_path(*name.split("/"))


def test_rows_are_streamed(client, plain, name):
    info = client.put(name, TABLE)
    found = plain.get_flight_info(descriptor(name))
    assert found.schema == TABLE.schema
    assert found.total_records == TABLE.num_rows
    assert found.total_bytes == info.bytes
    assert len(found.endpoints) == 1
    assert list(found.endpoints[0].locations) == []

    table = plain.do_get(found.endpoints[0].ticket).read_all()
    assert table.schema == TABLE.schema
    assert table.equals(client.get(name).to_arrow())
    largest = max(batch.nbytes for batch in table.to_batches())
    assert largest <= 2 << 20, "messages stay below the 4 MiB that clients of other languages receive by default"


def test_a_version_can_be_asked_for(client, plain, name):
    for n in (1, 2):
        client.put(name, pa.table({"n": [n]}))
    info = plain.get_flight_info(descriptor(f"{name}@1"))
    assert plain.do_get(info.endpoints[0].ticket).read_all().to_pylist() == [{"n": 1}]


def test_nothing_is_leased(client, plain, name):
    client.put(name, TABLE)
    leases = client.leases()
    info = plain.get_flight_info(descriptor(name))
    assert client.leases() == leases
    plain.do_get(info.endpoints[0].ticket).read_all()
    assert name not in [lease.name for lease in client.leases()]


def test_unknown_frames_and_bad_names(plain):
    with pytest.raises((flight.FlightServerError, KeyError), match="no/such/frame"):
        plain.get_flight_info(descriptor("no/such/frame"))
    with pytest.raises((pa.ArrowInvalid, flight.FlightError)):
        plain.get_flight_info(descriptor("up/../down"))


def test_a_version_conflict(agent, client, name):
    # Over TCP the agent lets only those publish whom a rule names.
    with flight.connect(f"grpc+unix://{agent.address}") as plain:

        def put(if_version: int) -> None:
            options = flight.FlightCallOptions(headers=[(b"x-farrow-if-version", b"%d" % if_version)])
            writer, results = plain.do_put(descriptor(name), TABLE.schema, options)
            with writer:
                writer.write_table(TABLE.slice(0, 10))
                writer.done_writing()
                assert results.read() is not None

        put(0)
        put(1)
        for latest, late in ((2, 1), (2, 0), (2, 7)):
            # Flight has no error for ABORTED; pyarrow calls it an internal one.
            with pytest.raises(flight.FlightInternalError, match="gRPC returned aborted error") as error:
                put(late)
            onto = f"be published onto @{late}" if late else "be a new frame"
            assert f"the latest version of `{name}` is @{latest}, and the rows were to {onto}. Nothing" in str(error.value)
        assert client.stat(name).version == 2


def test_a_ticket_of_nobody(plain):
    with pytest.raises((pa.ArrowInvalid, flight.FlightError)):
        plain.do_get(flight.Ticket(b"no ticket of this agent")).read_all()


def test_a_farrow_client_over_tcp_streams_and_says_why(agent, client, name):
    client.put(name, TABLE)
    with farrow.connect(f"http://{agent.tcp}") as remote:
        frame = remote.get(name)
        assert not frame.zero_copy
        assert frame.why
        assert frame.mapping is None
        assert frame.to_arrow().equals(TABLE)


def test_some_columns_and_rows_by_a_command(agent, client, name):
    table = pa.table({"n": range(1000), "s": [f"row {n}" for n in range(1000)], "d": pa.array(["a"] * 1000).dictionary_encode()})
    client.put(name, table)
    with flight.connect(f"grpc://{agent.tcp}") as plain:
        for wanted, expected in [
            ({"columns": ["s", "n"], "rows": [10, 20]}, table.select(["s", "n"]).slice(10, 10)),
            ({"columns": ["d"]}, table.select(["d"])),
            ({"rows": [990, None]}, table.slice(990)),
            ({"rows": [2000, 3000]}, table.slice(0, 0)),
            ({"columns": [], "rows": [0, 7]}, table.select([]).slice(0, 7)),
        ]:
            command = json.dumps({"name": name, **wanted})
            info = plain.get_flight_info(flight.FlightDescriptor.for_command(command))
            assert info.schema == expected.schema and info.total_records == expected.num_rows
            found = plain.do_get(info.endpoints[0].ticket).read_all()
            assert found.equals(expected) and found.num_rows == expected.num_rows, wanted
        with pytest.raises(pa.ArrowInvalid, match="has no column `x`; it has `n`, `s`, `d`"):
            plain.get_flight_info(flight.FlightDescriptor.for_command(json.dumps({"name": name, "columns": ["x"]})))


def test_get_and_stream_some_columns_and_rows(agent, client, name):
    table = pa.table({"n": range(1000), "s": [f"row {n}" for n in range(1000)]})
    client.put(name, table)
    client.append(name, table)
    twice = pa.concat_tables([table, table])

    async def awaited(address):
        async with await farrow.aio.connect(address) as there:
            frame = await there.get(name, columns=["s"], rows=(998, 1003))
            batches = [batch async for batch in there.stream(name, columns=["s"], rows=(998, 1003))]
            return frame.to_arrow(), pa.Table.from_batches(batches)

    for address in (agent.address, f"http://{agent.tcp}"):
        with farrow.connect(address) as there:
            for columns in (None, ["s", "n"], ["n"], ["n", "n"]):
                expected = twice if columns is None else twice.select(columns)
                for rows in (None, (0, None), (998, 1003), (1999, 5000), (3000, None), (5, 5)):
                    first, end = rows or (0, None)
                    part = expected.slice(first, None if end is None else end - first)
                    frame = there.get(name, columns=columns, rows=rows)
                    assert frame.to_arrow().equals(part) and len(frame) == part.num_rows
                    assert there.stream(name, columns=columns, rows=rows).read_all().equals(part)
                    assert there.get(name, wait=1, columns=columns, rows=rows).to_arrow().equals(part)
            assert len(there.get(name, columns=[])) == 2000
            for error in (farrow.NoColumn, KeyError, farrow.Error):
                with pytest.raises(error, match="has no column `x`; it has `n`, `s`"):
                    there.get(name, columns=["n", "x"])
            with pytest.raises(TypeError, match=r"columns=\['n'\]"):
                there.get(name, columns="n")
            for rows in ((-1, 5), (5, 4)):
                with pytest.raises(ValueError, match="expected the first row, from 0"):
                    there.get(name, rows=rows)
        for found in asyncio.run(awaited(address)):
            assert found.equals(twice.select(["s"]).slice(998, 5))
