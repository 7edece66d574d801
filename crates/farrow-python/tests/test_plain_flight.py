"""A client that knows nothing of farrow gets the same rows from plain pyarrow.flight, and takes no lease."""

import farrow
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
