"""Flight's own actions and farrow's session with nothing but pyarrow and protobuf made by hand."""

import os

import pyarrow as pa
import pyarrow.flight as flight
import pytest
from conftest import eventually, leases_of

TABLE = pa.table({"n": range(10)})
ANNOUNCED = flight.FlightCallOptions(headers=[(b"x-farrow", b"v=1")])
CANCELLED, NOT_CANCELLABLE = 1, 3
# A field of a FlightEndpoint, by its number: pyarrow 16 has no attribute for it.
EXPIRATION_TIME = 3


@pytest.fixture
def raw(agent):
    with flight.connect(f"grpc+unix://{agent.address}") as raw:
        yield raw


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number: int, value) -> bytes:
    """A field of a protobuf message: an integer, a text or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(message: bytes) -> dict:
    """The fields of a message that has each once; fixed64 as bytes."""
    found, position = {}, 0

    def read() -> int:
        nonlocal position
        number, shift = 0, 0
        while True:
            byte = message[position]
            position += 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    while position < len(message):
        key = read()
        if key & 7 == 0:
            found[key >> 3] = read()
        else:
            length = 8 if key & 7 == 1 else read()
            found[key >> 3] = message[position : position + length]
            position += length
    return found


def mapped(raw, name: str) -> flight.FlightInfo:
    return raw.get_flight_info(flight.FlightDescriptor.for_path(*name.split("/")), ANNOUNCED)


def mine(client, name: str) -> list:
    return [lease for lease in leases_of(client, os.getpid()) if lease.startswith(name + "@")]


def test_renew_and_cancel(client, raw, name):
    client.put(name, TABLE)
    info = mapped(raw, name)
    (endpoint,) = info.endpoints
    renew = flight.Action("RenewFlightEndpoint", field(1, endpoint.serialize()))
    (renewed,) = raw.do_action(renew)
    renewed = renewed.body.to_pybytes()
    assert flight.FlightEndpoint.deserialize(renewed) == endpoint
    assert EXPIRATION_TIME not in fields(renewed)

    # Without the schema: what is cancelled is the endpoint.
    short = field(2, info.descriptor.serialize()) + field(3, endpoint.serialize())
    cancel = flight.Action("CancelFlightInfo", field(1, short))
    assert mine(client, name) == [f"{name}@1"]
    (result,) = raw.do_action(cancel)
    assert fields(result.body.to_pybytes()) == {1: CANCELLED}
    assert mine(client, name) == []
    (result,) = raw.do_action(cancel)
    assert fields(result.body.to_pybytes()) == {1: NOT_CANCELLABLE}
    with pytest.raises((pa.ArrowInvalid, flight.FlightError), match="is not held by pid"):
        list(raw.do_action(renew))
    offered = [action.type for action in raw.list_actions()]
    assert {"RenewFlightEndpoint", "CancelFlightInfo", "farrow.Map"} <= set(offered)


def test_a_session(client, raw, name):
    client.put(name, TABLE)
    writer, reader = raw.do_exchange(flight.FlightDescriptor.for_command(b"farrow.session.v1"))

    def send(seq: int, request: int, body: bytes):
        writer.write_metadata(field(1, seq) + field(request, body))

    def answer() -> dict:
        return fields(reader.read_chunk().app_metadata.to_pybytes())

    hello, map_request, release, watch = 2, 3, 4, 8
    welcome, mapped_answer, watching, event, refusal = 2, 3, 7, 9, 10
    send(1, hello, field(1, 1) + field(2, "pyarrow"))
    greeted = answer()
    assert (greeted[1], fields(greeted[welcome])[1]) == (1, 1)

    send(2, map_request, field(1, name))
    result = answer()
    assert result[1] == 2
    descriptor = fields(fields(fields(result[mapped_answer])[1])[1])
    assert descriptor[2].decode() == name
    assert mine(client, name) == [f"{name}@1"]
    send(3, release, field(1, varint(descriptor[6])))
    eventually(lambda: mine(client, name) == [], "the lease to be released")

    send(4, watch, field(1, name))
    assert answer().keys() == {1, watching}
    client.put(name, TABLE)
    told = answer()
    assert told[1] == 4
    info = fields(fields(told[event])[2])
    assert (info[1].decode(), info[2]) == (name, 2)

    send(5, watch, field(1, "../up"))
    assert fields(answer()[refusal])[1] == b"invalid-name"
    writer.done_writing()
    with pytest.raises(StopIteration):
        reader.read_chunk()
    writer.close()
